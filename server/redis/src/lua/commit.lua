-- One group commit: the groups, promotion, the claims, the journal entry, the reply.
local at = 8
local known_ids = {}
for nth = 1, tonumber(A[7]) do
  known_ids[nth] = A[at]
  at = at + 1
end
load(known_ids)

local verdicts = {}
local group_count = tonumber(A[at])
at = at + 1
for nth = 1, group_count do
  verdicts[nth], at = group(at)
end

-- From here on Redis is written, and nothing is refused.
write_indexes()
local promote_limit = tonumber(A[6])
if promote_limit > 0 then
  promote(promote_limit)
  write_indexes()
end

local lists = {}
local list_count = tonumber(A[at])
at = at + 1
for nth = 1, list_count do
  local names = {}
  for name = 1, tonumber(A[at]) do
    names[name] = A[at + name]
  end
  at = at + 1 + #names
  lists[nth] = names
end
local claim_count = tonumber(A[at])
at = at + 1
local claimed, claim_sizes = {}, {}
for nth = 1, claim_count do
  local taken = claim({ session = A[at], worker = A[at + 1], max_jobs = tonumber(A[at + 2]),
    max_bytes = tonumber(A[at + 3]), queues = tonumber(A[at + 4]),
    kinds = tonumber(A[at + 5]) }, lists)
  at = at + 6
  claim_sizes[nth] = pack('>I4', #taken)
  for _, id in ipairs(taken) do
    claimed[#claimed + 1] = id
  end
end
write_all()

if event_count > 0 then
  call('XADD', JOURNAL, epoch .. '-' .. format('%.0f', seq), 't', text(now8), 'e',
    table.concat(events, '', 1, event_count))
  -- One mark a second says how far the journal was then, for its trimming by time.
  if not meta[4] or now - tonumber(meta[4]) >= 1000 then
    call('ZADD', TIMES, text(now8), format('%.0f', seq))
    call('HSET', KEYS[1], 'mark', text(now8))
  end
else
  seq = seq - 1
end
call('HSET', KEYS[1], 'seq', format('%.0f', seq), 'now', text(now8))

local SWEEP = 64 + 2 * #verdicts
sweep_rows(KEYS_HELD, KEY_ENDS, SWEEP)
sweep_rows(REQUESTS, REQUEST_ENDS, SWEEP, 1000000)

-- When promotion or a sweeper has something to do next.
local function first_score(key)
  local first = call('ZRANGE', key, 0, 0, 'WITHSCORES')
  return first[2] and tonumber(first[2]) or math.huge
end
local wake = min(first_score(DUE), first_score(ALARMS), first_score(EXPIRY))
if call('EXISTS', RELEASED) == 1 or call('EXISTS', UNKNOWN) == 1 then
  wake = now
end

local still_ready = {}
for name, class in pairs(became_ready) do
  if class.mask > 0 then
    still_ready[#still_ready + 1] = sized(name)
  end
end
local wake8 = wake < 9.2e18 and pack('>i8', math.max(wake, now)) or NEVER
local reply = epoch .. ' ' .. format('%.0f', seq) .. ' '
  .. pack('>I4', #verdicts) .. table.concat(verdicts)
  .. pack('>I4', claim_count) .. table.concat(claim_sizes) .. table.concat(claimed)
  .. pack('>I4', #still_ready) .. table.concat(still_ready) .. wake8

-- Kept so that a reply that was lost can be asked for again.
local SEEN = prefix .. 'writersseen'
if not last then
  -- A writer that was silent for an hour has no call in flight.
  local silent = call('ZRANGEBYSCORE', SEEN, '-inf', format('%.0f', now - 3600000), 'LIMIT', 0, 16)
  with_all('HDEL', WRITERS, silent)
  with_all('ZREM', SEEN, silent)
end
call('HSET', WRITERS, writer, pack('>I8', number) .. reply)
call('ZADD', SEEN, text(now8), writer)
if event_count > 0 then
  call('SPUBLISH', prefix .. 'head', epoch .. '-' .. format('%.0f', seq))
end

local answer = {0, reply}
local specs_there = get_all(SPEC, claimed)
for nth = 1, #claimed do
  answer[2 * nth + 1] = jobs[claimed[nth]]
  answer[2 * nth + 2] = specs_there[nth]
end
return answer
