-- Lets no session expire before a time, at most `limit` sessions a call.
local expires, until_text, limit = ARGV[1], ARGV[2], ARGV[3]
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
