-- The commit script: transactions, promotion, claims, the journal entry, and the reply.

local function run_transactions()
  for at = 1, #args[7], 16 do
    ids[#ids + 1] = sub(args[7], at, at + 15)
  end
  load(ids)
  local results = {}
  local count, at = parse('>I4', program)
  for nth = 1, count do
    results[nth], at = run_transaction(at)
  end
  return results
end

-- Runs the claims. Their arguments refer to lists of names by index. Returns the ids of all claimed
-- jobs, and the number of jobs per claim.
local function run_claims()
  local at = tonumber(args[9])
  local lists = {}
  local list_count = tonumber(args[at])
  at = at + 1
  for nth = 1, list_count do
    local names = {}
    for name = 1, tonumber(args[at]) do
      names[name] = args[at + name]
    end
    at = at + 1 + #names
    lists[nth] = names
  end
  local count = tonumber(args[at])
  at = at + 1
  local claimed, sizes = {}, {}
  for nth = 1, count do
    local taken = claim({ session = args[at], worker = args[at + 1],
      max_jobs = tonumber(args[at + 2]), max_bytes = tonumber(args[at + 3]),
      queues = tonumber(args[at + 4]), kinds = tonumber(args[at + 5]) }, lists)
    at = at + 6
    sizes[nth] = pack('>I4', #taken)
    for _, id in ipairs(taken) do
      claimed[#claimed + 1] = id
    end
  end
  return claimed, sizes
end

-- Publishes the newest position to all servers, with the classes that became ready, and whether
-- queues changed.
local function publish_to_all(at, ready)
  local message = epoch .. '-' .. at
  if #ready > 4 or next(queues.dirty) then
    message = message .. '\0' .. writer .. (next(queues.dirty) and 'q' or '-') .. ready
  end
  call('SPUBLISH', prefix .. 'head', message)
end

-- Publishes the messages for single servers. They are numbered, so that a server detects a lost
-- one. The counter expires after an hour without messages.
local function publish_to_owners()
  for owner, parts in pairs(messages) do
    local name = string.gsub(owner, '.', function(c)
      return format('%02x', byte(c))
    end)
    local to = prefix .. 'to:' .. name
    local nth = call('INCR', to)
    call('EXPIRE', to, 3600)
    call('SPUBLISH', to, pack('>I8', nth) .. table.concat(parts))
  end
end

-- Appends a journal entry with all events. Returns the sequence number of the newest entry.
local function append_entry(ready)
  local newest = event_count > 0 and seq or seq - 1
  local at = format('%.0f', newest)
  if event_count > 0 then
    -- `unpack` limits the number of fields. The remaining ones are packed into one.
    local fields_max = 3 * CHUNK
    if event_count > fields_max then
      local rest = {}
      for nth = fields_max + 1, event_count do
        rest[nth - fields_max] = with_length(events[nth])
      end
      events[fields_max + 1], events[fields_max + 2] = '+', table.concat(rest)
      event_count = fields_max + 2
    end
    call('XADD', KEY.JOURNAL, epoch .. '-' .. at, 't', decimal(now8),
      unpack(events, 1, event_count))
    local bytes = 0
    for nth = 2, event_count, 2 do
      bytes = bytes + #events[nth]
    end
    bytes = format('%.0f', bytes + tonumber(meta[5] or 0))
    -- Once per second a mark records the journal's position and size, for trimming.
    if not meta[4] or now - tonumber(meta[4]) >= 1000 then
      call('ZADD', KEY.JOURNAL_MARKS, decimal(now8), at .. ' ' .. bytes)
      call('HSET', KEYS[1], 'mark', decimal(now8))
    end
    call('HSET', KEYS[1], 'bytes', bytes)
    publish_to_all(at, ready)
  end
  call('HSET', KEYS[1], 'seq', at, 'now', decimal(now8))
  return at
end

local function first_score(key)
  local first = call('ZRANGE', key, 0, 0, 'WITHSCORES')
  return first[2] and tonumber(first[2]) or math.huge
end

-- Returns the time of the next due work.
local function wake_at()
  if call('EXISTS', KEY.RELEASED) == 1 or call('EXISTS', KEY.UNKNOWN_SESSIONS) == 1 then
    return now8
  end
  local wake =
    min(first_score(KEY.DUE), first_score(KEY.DEADLINES), first_score(KEY.SESSION_EXPIRY))
  return wake < 9.2e18 and pack('>i8', math.max(wake, now)) or NEVER
end

local function still_ready()
  local found = {}
  for name, class in pairs(became_ready) do
    if class.mask > 0 then
      found[#found + 1] = with_length(name)
    end
  end
  return pack('>I4', #found) .. table.concat(found)
end

-- Stores the reply, so that a repeated call returns it.
local function keep_reply(reply)
  local last_seen = prefix .. 'writersseen'
  if not last then
    -- A writer that was silent for an hour has no unanswered call.
    local silent =
      call('ZRANGEBYSCORE', last_seen, '-inf', format('%.0f', now - 3600000), 'LIMIT', 0, 16)
    call_in_chunks('HDEL', KEY.WRITERS, silent)
    call_in_chunks('ZREM', last_seen, silent)
  end
  call('HSET', KEY.WRITERS, writer, pack('>I8', number) .. reply)
  call('ZADD', last_seen, decimal(now8), writer)
end

local function commit()
  local results = run_transactions()
  -- From here on keys are written, and nothing is refused.
  write_indexes()
  local limit = tonumber(args[6])
  if limit > 0 then
    promote(limit)
    write_indexes()
  end
  local claimed, sizes = run_claims()
  write_started()
  write_all()
  local ready = still_ready()
  local newest = append_entry(ready)
  publish_to_owners()
  local row_limit = 64 + 2 * #results
  delete_expired_rows(KEY.UNIQUE_KEYS, KEY.UNIQUE_KEY_EXPIRY, row_limit)
  local record_bytes_before = tonumber(meta[6] or 0)
  delete_expired_rows(KEY.IDEMPOTENCY, KEY.IDEMPOTENCY_EXPIRY, row_limit, too_many_records)
  if record_bytes ~= record_bytes_before then
    call('HSET', KEYS[1], 'answers', format('%.0f', record_bytes))
  end
  local reply = epoch .. ' ' .. newest .. ' '
    .. pack('>I4', #results) .. table.concat(results)
    .. pack('>I4', #sizes) .. table.concat(sizes) .. table.concat(claimed)
    .. ready .. wake_at()
  keep_reply(reply)
  -- The reply contains no specs: they are long, and the caller has many of them in its cache.
  local answer = {0, reply}
  for nth = 1, #claimed do
    answer[nth + 2] = jobs[claimed[nth]]
  end
  return answer
end

return commit()
