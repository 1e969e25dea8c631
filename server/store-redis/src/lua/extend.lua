-- Lets no session expire before a time, at most `limit` sessions a call.
local expires, until_text, limit = ARGV[1], ARGV[2], ARGV[3]
-- No session lives longer than ten minutes without a sign of its worker: a server that asks
-- for more has a clock that is far ahead.
local LIFE_MAX = 660000
local here = math.max(tonumber(call('TIME')[1]) * 1000, tonumber(call('HGET', KEYS[1], 'now') or 0))
if tonumber(until_text) > here + LIFE_MAX then
  return redis.error_reply('AHEAD the clock of this server is minutes ahead of the store')
end
local found = call('ZRANGEBYSCORE', KEY.EXPIRY, '-inf', '(' .. until_text, 'LIMIT', 0, limit)
local rows = get_all(KEY.SESSIONS, found)
for at = 1, #found do
  if rows[at] then
    call('HSET', KEY.SESSIONS, found[at], sub(rows[at], 1, 8) .. expires)
    call('ZADD', KEY.EXPIRY, until_text, found[at])
  else
    call('ZREM', KEY.EXPIRY, found[at])
  end
end
return #found
