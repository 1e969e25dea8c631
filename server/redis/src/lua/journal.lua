-- Drops journal entries that are projected and from before a time.
local epoch, projected, before = ARGV[1], tonumber(ARGV[2]), ARGV[3]
if call('HGET', KEYS[1], 'epoch') ~= epoch then
  return 0
end
local mark = call('ZREVRANGEBYSCORE', KEY.TIMES, '(' .. before, '-inf', 'LIMIT', 0, 1)
if not mark[1] then
  return 0
end
local last = min(tonumber(mark[1]), projected)
-- With `~` whole nodes go, and a bounded number of them; the rest goes the next time.
local dropped = call('XTRIM', KEY.JOURNAL, 'MINID', '~', epoch .. '-' .. format('%.0f', last + 1))
-- Marks before the one that was reached say nothing new. It stays itself.
local rank = call('ZRANK', KEY.TIMES, mark[1])
if rank > 0 and tonumber(mark[1]) <= projected then
  call('ZREMRANGEBYRANK', KEY.TIMES, 0, rank - 1)
end
return dropped
