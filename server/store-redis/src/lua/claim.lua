-- Claims: the selection of the ready jobs that a session gets. The order is that of `ready_score`,
-- and the new state that of `start`, both in the domain crate.

-- The maximum number of jobs past their start deadline that a claim skips. The sweeper expires
-- them.
local SKIPS_MAX = 256
-- Larger than the difference of any two times, so that strict priorities never mix.
local STRICT_STEP = 2 ^ 45
local PRIORITY_MAX = 9
local DEFAULT_BOOST_MS = 60000
local AGING = 1
-- Added to the order of a paused queue.
local PAUSED = 16

-- Makes due jobs READY, like `promote` in the domain crate.
local function promote(limit)
  local ids = call('ZRANGEBYSCORE', KEY.DUE, '-inf', decimal(now8), 'LIMIT', 0, limit)
  load(ids)
  for at = 1, #ids do
    local id = ids[at]
    local stored = jobs[id]
    if stored and byte(stored, AT_STATE) == SCHEDULED then
      local reason, priority = byte(stored, AT_REASON, AT_PRIORITY)
      local version = (parse('>I8', stored, AT_VERSION))
      put(id, pack('>BBBBI8', 1, READY, reason, priority, version + 1) .. now8
        .. sub(stored, AT_EPOCH))
    else
      drop(due, id)
    end
  end
end

-- Returns the job RUNNING under a new lease, like `start` in the domain crate.
local function start(stored, session, worker)
  local version = (parse('>I8', stored, AT_VERSION))
  local lease_epoch, attempt = parse('>I8I4', stored, AT_EPOCH)
  local deadline = sub(stored, AT_TIMEOUT, AT_TIMEOUT + 7)
  if deadline ~= NEVER then
    deadline = pack('>i8', now + (parse('>i8', deadline)))
  end
  local at_worker, _, at_rest = offsets_of(stored)
  return pack('>BBBBI8', 1, RUNNING, 0, byte(stored, AT_PRIORITY), version + 1)
    .. now8 .. pack('>I8I4', lease_epoch + 1, attempt + 1) .. now8 .. deadline .. now8 .. session
    .. sub(stored, AT_RUN, AT_WORKER - 1) .. pack('>I2I4', #worker, 0)
    .. sub(stored, AT_REST, at_worker - 1) .. worker .. sub(stored, at_rest)
end

-- Readers of the ready sets that claims of this call use, by key. A ready set contains the ready
-- jobs of one class and priority.
local readers = {}
-- Queues of which all classes are loaded.
local is_loaded = {}

local function classes_in(queue)
  if not is_loaded[queue] then
    is_loaded[queue] = true
    local found = call('HGETALL', KEY.CLASSES_OF .. queue)
    for at = 1, #found, 2 do
      local name = queue .. '\0' .. found[at]
      if not classes[name] then
        add_class(name, queue, found[at], found[at + 1])
      end
    end
  end
  return kinds_of[queue] or {}
end

-- Returns the offset that a ready set adds to the ready time of its jobs. The job with the lowest
-- sum starts first.
local function score_offset_of(queue, priority)
  local declared = row(queues, queue)
  if not declared then
    return -DEFAULT_BOOST_MS * priority
  end
  local order, boost_ms = parse('>BI8', declared)
  if order % PAUSED == AGING then
    return -boost_ms * priority
  end
  return (PRIORITY_MAX - priority) * STRICT_STEP
end

local function is_paused(queue)
  local declared = row(queues, queue)
  return declared and byte(declared, 1) >= PAUSED
end

local function reader_of(class, priority)
  local ready_set = ready_set_of(class, priority)
  local reader = readers[ready_set.key]
  if not reader then
    reader = { ready_set = ready_set, class = class, priority = priority,
      score_offset = score_offset_of(class.queue, priority), ids = {}, at = 1, fetched = 0,
      has_more = true, started = {}, has_gaps = false }
    readers[ready_set.key] = reader
  end
  return reader
end

-- Moves a reader to its next job: its id and its score. Returns false at the end.
local function peek(reader, batch)
  while true do
    if reader.at > #reader.ids then
      if not reader.has_more then
        return false
      end
      local from = reader.fetched
      reader.ids = call('ZRANGE', reader.ready_set.key, from, from + batch - 1)
      reader.at = 1
      reader.fetched = from + #reader.ids
      reader.has_more = #reader.ids == batch
      load(reader.ids)
    end
    local id = reader.ids[reader.at]
    local stored = id and jobs[id]
    if stored and byte(stored, AT_STATE) == READY then
      reader.id = id
      reader.score = (parse('>i8', stored, AT_READY)) + reader.score_offset
      return true
    elseif id then
      -- Not a ready job: it is removed when the ready set is written.
      reader.has_gaps = true
      drop(reader.ready_set, id)
      reader.at = reader.at + 1
    end
  end
end

local function is_before(a, b)
  if a.score ~= b.score then
    return a.score < b.score
  end
  -- Ids are compared as numbers: `<` on strings depends on the locale of the server.
  local a1, a2, a3 = parse('>I6I6I4', a.id)
  local b1, b2, b3 = parse('>I6I6I4', b.id)
  if a1 ~= b1 then
    return a1 < b1
  elseif a2 ~= b2 then
    return a2 < b2
  end
  return a3 < b3
end

local function sift_down(heap, at)
  local count = #heap
  while true do
    local least = at
    for child = 2 * at, min(2 * at + 1, count) do
      if is_before(heap[child], heap[least]) then
        least = child
      end
    end
    if least == at then
      return
    end
    heap[at], heap[least] = heap[least], heap[at]
    at = least
  end
end

-- Readers of the non-empty ready sets that match a claim, cached by its two lists of names.
local candidates = {}
local function candidates_of(lists, queue_list, kind_list)
  local cache_key = queue_list .. ' ' .. kind_list
  local found = candidates[cache_key]
  if found then
    return found
  end
  found = {}
  local wanted = {}
  for _, kind in ipairs(lists[kind_list]) do
    wanted[kind] = true
  end
  for _, queue in ipairs(lists[queue_list]) do
    for kind, class in pairs(is_paused(queue) and {} or classes_in(queue)) do
      if wanted[kind] and class.mask > 0 then
        for priority = 0, PRIORITY_MAX do
          if math.floor(class.mask / 2 ^ priority) % 2 == 1 then
            found[#found + 1] = reader_of(class, priority)
          end
        end
      end
    end
  end
  candidates[cache_key] = found
  return found
end

local function heap_of(ready_sets, batch)
  local heap = {}
  for _, reader in ipairs(ready_sets) do
    if peek(reader, batch) then
      heap[#heap + 1] = reader
    end
  end
  for at = math.floor(#heap / 2), 1, -1 do
    sift_down(heap, at)
  end
  return heap
end

-- Reads the drained sessions at most once per call, and only if there are any.
function session_extra.is_drained(session)
  local drained = session_extra.drained
  if session_extra.any_drained == nil then
    session_extra.any_drained = next(drained.dirty) ~= nil or call('EXISTS', KEY.DRAINED) == 1
  end
  return session_extra.any_drained and row(drained, session)
end

local function is_live(session)
  local found = row(sessions, session)
  return found and sub(found, 1, 8) == writer and (parse('>i8', found, 9)) > now
end

-- Records a started job. Does the work of `put` and `reindex`, except for what a start does not
-- change.
local function record_started(reader, id, old, stored, session)
  jobs[id] = stored
  written[id] = stored
  add_event(id, stored)
  local class = reader.class
  count_waiting(class, -1)
  count_depth(class.queue, READY, -1)
  count_depth(class.queue, RUNNING, 1)
  local adds = running_of(session).adds
  adds[#adds + 1] = id
  local before = sub(old, AT_DEADLINE, AT_DEADLINE + 7)
  local after = sub(stored, AT_DEADLINE, AT_DEADLINE + 7)
  if before ~= NEVER then
    drop(deadlines, id)
  end
  if after ~= NEVER then
    add(deadlines, decimal(after), id)
  end
  local started = reader.started
  started[#started + 1] = id
end

-- Removes started jobs from their ready sets. They are the first ones, unless a job was skipped.
local function write_started()
  for _, reader in pairs(readers) do
    if #reader.started > 0 or #reader.ready_set.drops > 0 then
      if reader.has_gaps then
        call_in_chunks('ZREM', reader.ready_set.key, reader.started)
      elseif #reader.started > 0 then
        call('ZREMRANGEBYRANK', reader.ready_set.key, 0, #reader.started - 1)
      end
      write_ready_set(reader.class, reader.priority, reader.ready_set, true)
    end
  end
end

-- Returns the ids of the claimed jobs, in starting order.
local function claim(request, lists)
  local taken = {}
  if request.max_jobs == 0 or request.max_bytes == 0 or not is_live(request.session)
    or session_extra.is_drained(request.session) then
    return taken
  end
  local ready_sets = candidates_of(lists, request.queues, request.kinds)
  local batch = math.max(8, min(math.ceil(2 * request.max_jobs / math.max(#ready_sets, 1)), 512))
  if #ready_sets == 1 then
    batch = math.max(1, min(request.max_jobs, 512))
  end
  local heap = heap_of(ready_sets, batch)
  local bytes, skips = 0, 0
  while #taken < request.max_jobs and bytes < request.max_bytes and skips < SKIPS_MAX
    and #heap > 0 do
    local reader = heap[1]
    local id = reader.id
    local stored = jobs[id]
    local deadline = sub(stored, AT_DEADLINE, AT_DEADLINE + 7)
    if deadline ~= NEVER and (parse('>i8', deadline)) <= now then
      skips = skips + 1
      reader.has_gaps = true
    else
      bytes = bytes + (parse('>I4', stored, AT_PAYLOAD))
      local started = start(stored, request.session, request.worker)
      record_started(reader, id, stored, started, request.session)
      taken[#taken + 1] = id
    end
    reader.at = reader.at + 1
    if not peek(reader, batch) then
      heap[1] = heap[#heap]
      heap[#heap] = nil
    end
    sift_down(heap, 1)
  end
  return taken
end
