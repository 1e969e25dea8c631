-- A call begins: who writes, where the store stands, and whether this is a repeat.
local A = ARGV
-- Whether there is a journal of what changes.
local IS_QUIET = false
local writer = A[1]
local number, now = tonumber(A[2]), tonumber(A[3])

local meta = call('HMGET', KEYS[1], 'epoch', 'seq', 'now', 'mark', 'bytes',
  'answers')
-- A store that was emptied or restored from an older copy must not be written to by servers
-- that saw more: they hold leases and answers that it never heard of.
if meta[1] ~= A[4] or tonumber(meta[2]) < tonumber(A[5]) then
  return rolled_back(meta, A[4], A[5])
end

-- Far ahead of all servers and of the Redis: a clock that would take the others along.
local AHEAD_MAX = 60000
if now > tonumber(meta[3]) + AHEAD_MAX then
  local here = tonumber(call('TIME')[1]) * 1000
  if now > math.max(here, tonumber(meta[3])) + AHEAD_MAX then
    return redis.error_reply('AHEAD the clock of this server is minutes ahead of the store')
  end
end

local last = call('HGET', KEY.WRITERS, writer)
if last then
  local known = (parse('>I8', last))
  if known == number then
    return {1, sub(last, 9)}
  elseif known > number then
    return redis.error_reply('OLDCALL call ' .. A[2] .. ' comes after call ' .. format('%.0f', known))
  end
end

-- Clocks of servers differ a little; time never runs backwards for what scripts stamp.
now = math.max(now, tonumber(meta[3]))
local now8 = pack('>i8', now)
local epoch, seq = meta[1], tonumber(meta[2]) + 1
local seq8 = pack('>I8', seq)
-- Bytes of all remembered requests.
local answer_bytes = tonumber(meta[6] or 0)
