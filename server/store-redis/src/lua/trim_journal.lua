-- Trims journal entries that are projected, and that are old or exceed the size limit.
local epoch, projected = ARGV[1], tonumber(ARGV[2])
local before, bytes_max = tonumber(ARGV[3]), tonumber(ARGV[4])
local meta = call('HMGET', KEYS[1], 'epoch', 'bytes', 'seq')
if meta[1] ~= epoch then
  return 0
end
local total = tonumber(meta[2] or 0)

-- There is a mark per second: a sequence number, and the size of all entries up to it. The journal
-- is trimmed up to the last mark that is old, or as long as the rest exceeds the size limit.
local marks = call('ZRANGE', KEY.JOURNAL_MARKS, 0, -1, 'WITHSCORES')
local last, trimmed_bytes, rank = 0, nil, 0
for at = 1, #marks, 2 do
  local seq, bytes = string.match(marks[at], '^(%d+) (%d+)$')
  seq, bytes = tonumber(seq), tonumber(bytes)
  trimmed_bytes = trimmed_bytes or bytes
  if tonumber(marks[at + 1]) >= before and total - trimmed_bytes <= bytes_max then
    break
  end
  last, trimmed_bytes = seq, bytes
  if seq <= projected then
    rank = (at - 1) / 2
  end
end
-- The size of the projected entries, as far as the marks show. The rest waits for the projector.
local projected_bytes = 0
for at = 1, #marks, 2 do
  local seq, bytes = string.match(marks[at], '^(%d+) (%d+)$')
  if tonumber(seq) > projected then
    break
  end
  projected_bytes = bytes
end
if projected >= tonumber(meta[3] or 0) then
  projected_bytes = meta[2]
end
if projected_bytes ~= 0 and projected_bytes then
  call('HSET', KEYS[1], 'carried', projected_bytes)
end
last = min(last, projected)
if last == 0 then
  return 0
end
-- `~` trims whole nodes only, and a limited number of them. The next call trims the rest.
local dropped = call('XTRIM', KEY.JOURNAL, 'MINID', '~', epoch .. '-' .. format('%.0f', last + 1))
-- The newest mark that was reached is kept as the base of later sizes.
if rank > 0 then
  call('ZREMRANGEBYRANK', KEY.JOURNAL_MARKS, 0, rank - 1)
end
return dropped
