-- Begins a commit: reads its writer and the store's position, and detects a repeated call.
local args = ARGV
-- Whether changes are not written to the journal. `Scripts::without_journal` sets it.
local SKIP_JOURNAL = false
local writer = args[1]
local number, now = tonumber(args[2]), tonumber(args[3])

local meta = call('HMGET', KEYS[1], 'epoch', 'seq', 'now', 'mark', 'bytes',
  'answers')
-- A store that was emptied or restored from an older copy lacks leases and responses that this
-- server acknowledged, so the server must not write to it.
if meta[1] ~= args[4] or tonumber(meta[2]) < tonumber(args[5]) then
  return rolled_back(meta, args[4], args[5])
end

-- Refuses a clock far ahead of all servers and of Redis: the store's time never goes back, so it
-- would move the time of all servers forward.
local AHEAD_MAX = 60000
if now > tonumber(meta[3]) + AHEAD_MAX then
  local redis_now = tonumber(call('TIME')[1]) * 1000
  if now > math.max(redis_now, tonumber(meta[3])) + AHEAD_MAX then
    return redis.error_reply(
      'AHEAD the clock of this server is more than a minute ahead of the store')
  end
end

local last = call('HGET', KEY.WRITERS, writer)
if last then
  local known = (parse('>I8', last))
  if known == number then
    return {1, sub(last, 9)}
  elseif known > number then
    return redis.error_reply(
      'OLDCALL call ' .. args[2] .. ' is older than call ' .. format('%.0f', known))
  end
end

-- The clocks of servers differ slightly. Timestamps written by scripts never go back.
now = math.max(now, tonumber(meta[3]))
local now8 = pack('>i8', now)
local epoch, seq = meta[1], tonumber(meta[2]) + 1
local seq8 = pack('>I8', seq)
-- The size of all idempotency records.
local record_bytes = tonumber(meta[6] or 0)
