-- Lets no session expire before a time, at most `limit` sessions a call.
local expires, until_text, limit = ARGV[1], ARGV[2], ARGV[3]
local found = call('ZRANGEBYSCORE', EXPIRY, '-inf', '(' .. until_text, 'LIMIT', 0, limit)
local rows = get_all(SESSIONS, found)
for at = 1, #found do
  if rows[at] then
    call('HSET', SESSIONS, found[at], sub(rows[at], 1, 8) .. expires)
    call('ZADD', EXPIRY, until_text, found[at])
  else
    call('ZREM', EXPIRY, found[at])
  end
end
return #found
