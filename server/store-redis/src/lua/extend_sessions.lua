-- Extends sessions so that none expires before a time, at most `limit` sessions per call.
local expires, until_text, limit = ARGV[1], ARGV[2], ARGV[3]
-- A session lives at most ten minutes without a heartbeat. A server that requests more has a clock
-- that is far ahead.
local SESSION_LIFETIME_MAX = 660000
local redis_now = tonumber(call('TIME')[1]) * 1000
local store_now = math.max(redis_now, tonumber(call('HGET', KEYS[1], 'now') or 0))
if tonumber(until_text) > store_now + SESSION_LIFETIME_MAX then
  return redis.error_reply(
    'AHEAD the clock of this server is more than a minute ahead of the store')
end
local found =
  call('ZRANGEBYSCORE', KEY.SESSION_EXPIRY, '-inf', '(' .. until_text, 'LIMIT', 0, limit)
local rows = get_fields(KEY.SESSIONS, found)
for at = 1, #found do
  if rows[at] then
    call('HSET', KEY.SESSIONS, found[at], sub(rows[at], 1, 8) .. expires)
    call('ZADD', KEY.SESSION_EXPIRY, until_text, found[at])
  else
    call('ZREM', KEY.SESSION_EXPIRY, found[at])
  end
end
return #found
