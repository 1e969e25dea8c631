-- Drops journal entries that are projected and from before a time, or too much in all.
local epoch, projected = ARGV[1], tonumber(ARGV[2])
local before, most = tonumber(ARGV[3]), tonumber(ARGV[4])
local meta = call('HMGET', KEYS[1], 'epoch', 'bytes', 'seq')
if meta[1] ~= epoch then
  return 0
end
local total = tonumber(meta[2] or 0)

-- Marks, one a second: the number of an entry, and the bytes of all up to it. Entries go up to
-- a mark that is old, or as long as what is left is too much.
local marks = call('ZRANGE', KEY.TIMES, 0, -1, 'WITHSCORES')
local last, gone, rank = 0, nil, 0
for at = 1, #marks, 2 do
  local seq, bytes = string.match(marks[at], '^(%d+) (%d+)$')
  seq, bytes = tonumber(seq), tonumber(bytes)
  gone = gone or bytes
  if tonumber(marks[at + 1]) >= before and total - gone <= most then
    break
  end
  last, gone = seq, bytes
  if seq <= projected then
    rank = (at - 1) / 2
  end
end
-- How much of the journal the ledger has, as far as the marks tell: what is over waits for it.
local carried = 0
for at = 1, #marks, 2 do
  local seq, bytes = string.match(marks[at], '^(%d+) (%d+)$')
  if tonumber(seq) > projected then
    break
  end
  carried = bytes
end
if projected >= tonumber(meta[3] or 0) then
  carried = meta[2]
end
if carried ~= 0 and carried then
  call('HSET', KEYS[1], 'carried', carried)
end
last = min(last, projected)
if last == 0 then
  return 0
end
-- With `~` whole nodes go, and a bounded number of them; the rest goes the next time.
local dropped = call('XTRIM', KEY.JOURNAL, 'MINID', '~', epoch .. '-' .. format('%.0f', last + 1))
-- The newest mark that was reached stays, to count from.
if rank > 0 then
  call('ZREMRANGEBYRANK', KEY.TIMES, 0, rank - 1)
end
return dropped
