-- One group commit: the groups, promotion, the claims, the journal entry, the reply.

local function run_groups()
  for at = 1, #A[7], 16 do
    ids[#ids + 1] = sub(A[7], at, at + 15)
  end
  load(ids)
  local verdicts = {}
  local count, at = parse('>I4', program)
  for nth = 1, count do
    verdicts[nth], at = group(at)
  end
  return verdicts
end

-- Lists of names, then the claims that name them by their places. Gives the ids of all
-- claimed jobs, and how many each claim got.
local function run_claims()
  local at = tonumber(A[9])
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
  local count = tonumber(A[at])
  at = at + 1
  local claimed, sizes = {}, {}
  for nth = 1, count do
    local taken = claim({ session = A[at], worker = A[at + 1], max_jobs = tonumber(A[at + 2]),
      max_bytes = tonumber(A[at + 3]), queues = tonumber(A[at + 4]),
      kinds = tonumber(A[at + 5]) }, lists)
    at = at + 6
    sizes[nth] = pack('>I4', #taken)
    for _, id in ipairs(taken) do
      claimed[#claimed + 1] = id
    end
  end
  return claimed, sizes
end

-- The newest entry, and what became ready or was declared with it, for all servers.
local function tell_all(at, ready)
  local told_all = epoch .. '-' .. at
  if #ready > 4 or next(queues.dirty) then
    told_all = told_all .. '\0' .. writer .. (next(queues.dirty) and 'q' or '-') .. ready
  end
  call('SPUBLISH', prefix .. 'head', told_all)
end

-- What concerns one server each. Numbered, so that it knows of a message that it missed; one
-- that hears nothing for an hour has nothing to miss.
local function tell_owners()
  for owner, parts in pairs(told) do
    local name = string.gsub(owner, '.', function(c)
      return format('%02x', byte(c))
    end)
    local to = prefix .. 'to:' .. name
    local nth = call('INCR', to)
    call('EXPIRE', to, 3600)
    call('SPUBLISH', to, pack('>I8', nth) .. table.concat(parts))
  end
end

-- One entry for all that is to be told. Gives the number of the newest entry.
local function append_entry(ready)
  local newest = event_count > 0 and seq or seq - 1
  local at = format('%.0f', newest)
  if event_count > 0 then
    -- `unpack` bounds the fields of an entry; what is over is packed into one.
    local most = 3 * CHUNK
    if event_count > most then
      local rest = {}
      for nth = most + 1, event_count do
        rest[nth - most] = sized(events[nth])
      end
      events[most + 1], events[most + 2] = '+', table.concat(rest)
      event_count = most + 2
    end
    call('XADD', KEY.JOURNAL, epoch .. '-' .. at, 't', text(now8), unpack(events, 1, event_count))
    local bytes = 0
    for nth = 2, event_count, 2 do
      bytes = bytes + #events[nth]
    end
    bytes = format('%.0f', bytes + tonumber(meta[5] or 0))
    -- One mark a second says how far the journal was then, for its trimming.
    if not meta[4] or now - tonumber(meta[4]) >= 1000 then
      call('ZADD', KEY.TIMES, text(now8), at .. ' ' .. bytes)
      call('HSET', KEYS[1], 'mark', text(now8))
    end
    call('HSET', KEYS[1], 'bytes', bytes)
    tell_all(at, ready)
  end
  call('HSET', KEYS[1], 'seq', at, 'now', text(now8))
  return at
end

local function first_score(key)
  local first = call('ZRANGE', key, 0, 0, 'WITHSCORES')
  return first[2] and tonumber(first[2]) or math.huge
end

-- When promotion or a sweeper has something to do next.
local function wake_at()
  if call('EXISTS', KEY.RELEASED) == 1 or call('EXISTS', KEY.UNKNOWN) == 1 then
    return now8
  end
  local wake = min(first_score(KEY.DUE), first_score(KEY.ALARMS), first_score(KEY.EXPIRY))
  return wake < 9.2e18 and pack('>i8', math.max(wake, now)) or NEVER
end

local function still_ready()
  local found = {}
  for name, class in pairs(became_ready) do
    if class.mask > 0 then
      found[#found + 1] = sized(name)
    end
  end
  return pack('>I4', #found) .. table.concat(found)
end

-- Kept so that a reply that was lost can be asked for again.
local function keep_reply(reply)
  local seen = prefix .. 'writersseen'
  if not last then
    -- A writer that was silent for an hour has no call in flight.
    local silent =
      call('ZRANGEBYSCORE', seen, '-inf', format('%.0f', now - 3600000), 'LIMIT', 0, 16)
    with_all('HDEL', KEY.WRITERS, silent)
    with_all('ZREM', seen, silent)
  end
  call('HSET', KEY.WRITERS, writer, pack('>I8', number) .. reply)
  call('ZADD', seen, text(now8), writer)
end

local function commit()
  local verdicts = run_groups()
  -- From here on Redis is written, and nothing is refused.
  write_indexes()
  local limit = tonumber(A[6])
  if limit > 0 then
    promote(limit)
    write_indexes()
  end
  local claimed, sizes = run_claims()
  write_started()
  write_all()
  local ready = still_ready()
  local newest = append_entry(ready)
  tell_owners()
  local sweep = 64 + 2 * #verdicts
  sweep_rows(KEY.KEYS_HELD, KEY.KEY_ENDS, sweep)
  local answers_before = tonumber(meta[6] or 0)
  sweep_rows(KEY.REQUESTS, KEY.REQUEST_ENDS, sweep, too_many_requests)
  if answer_bytes ~= answers_before then
    call('HSET', KEYS[1], 'answers', format('%.0f', answer_bytes))
  end
  local reply = epoch .. ' ' .. newest .. ' '
    .. pack('>I4', #verdicts) .. table.concat(verdicts)
    .. pack('>I4', #sizes) .. table.concat(sizes) .. table.concat(claimed)
    .. ready .. wake_at()
  keep_reply(reply)
  -- The specs are asked for apart: they are long, and many are known to who asks.
  local answer = {0, reply}
  for nth = 1, #claimed do
    answer[nth + 2] = jobs[claimed[nth]]
  end
  return answer
end

return commit()
