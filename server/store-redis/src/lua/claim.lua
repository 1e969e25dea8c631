-- The one choice of a store: which ready jobs a claim gets. Admission arithmetic only; the
-- order is `ready_score`, the job after it is `start`, both of the domain.

-- Jobs past their start deadline that a claim steps over; the sweeper ends them.
local SKIPS_MAX = 256
-- Further apart than any two times, so that strict levels never mix.
local STRICT_STEP = 2 ^ 45
local PRIORITY_MAX = 9
local DEFAULT_BOOST_MS = 60000
local AGING = 1
-- Added to the order of a queue whose jobs may not start.
local PAUSED = 16

-- SCHEDULED to READY, as `promote` does it.
local function promote(limit)
  local ids = call('ZRANGEBYSCORE', KEY.DUE, '-inf', text(now8), 'LIMIT', 0, limit)
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

-- READY to RUNNING under a new lease, as `start` does it.
local function start(stored, session, worker)
  local version = (parse('>I8', stored, AT_VERSION))
  local lease_epoch, attempt = parse('>I8I4', stored, AT_EPOCH)
  local alarm = sub(stored, AT_TIMEOUT, AT_TIMEOUT + 7)
  if alarm ~= NEVER then
    alarm = pack('>i8', now + (parse('>i8', alarm)))
  end
  local at_worker, _, at_rest = places(stored)
  return pack('>BBBBI8', 1, RUNNING, 0, byte(stored, AT_PRIORITY), version + 1)
    .. now8 .. pack('>I8I4', lease_epoch + 1, attempt + 1) .. now8 .. alarm .. now8 .. session
    .. sub(stored, AT_RUN, AT_WORKER - 1) .. pack('>I2I4', #worker, 0)
    .. sub(stored, AT_REST, at_worker - 1) .. worker .. sub(stored, at_rest)
end

-- Lanes that claims of this call read, by key: the ready jobs of one class and priority.
local readers = {}
-- Queues whose kinds are all known.
local is_known = {}

local function classes_in(queue)
  if not is_known[queue] then
    is_known[queue] = true
    local there = call('HGETALL', KEY.CLASSES_OF .. queue)
    for at = 1, #there, 2 do
      local name = queue .. '\0' .. there[at]
      if not classes[name] then
        note_class(name, queue, there[at], there[at + 1])
      end
    end
  end
  return kinds_of[queue] or {}
end

-- What a lane adds to the ready time of its jobs, so that the lowest sum starts first.
local function shift_of(queue, priority)
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
  local lane = lane_of(class, priority)
  local reader = readers[lane.key]
  if not reader then
    reader = { lane = lane, class = class, priority = priority,
      shift = shift_of(class.queue, priority), ids = {}, at = 1, fetched = 0, has_more = true,
      started = {}, is_torn = false }
    readers[lane.key] = reader
  end
  return reader
end

-- The next job of a lane: its id and where it stands in the order of all lanes.
local function peek(reader, batch)
  while true do
    if reader.at > #reader.ids then
      if not reader.has_more then
        return false
      end
      local from = reader.fetched
      reader.ids = call('ZRANGE', reader.lane.key, from, from + batch - 1)
      reader.at = 1
      reader.fetched = from + #reader.ids
      reader.has_more = #reader.ids == batch
      load(reader.ids)
    end
    local id = reader.ids[reader.at]
    local stored = id and jobs[id]
    if stored and byte(stored, AT_STATE) == READY then
      reader.id = id
      reader.score = (parse('>i8', stored, AT_READY)) + reader.shift
      return true
    elseif id then
      -- Not a ready job: the lane is mended when it is written.
      reader.is_torn = true
      drop(reader.lane, id)
      reader.at = reader.at + 1
    end
  end
end

local function is_before(a, b)
  if a.score ~= b.score then
    return a.score < b.score
  end
  -- Strings are compared by bytes and not by `<`, which follows the locale of the server.
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

-- Lanes with ready jobs that a claim may take from, once per two lists of names.
local candidates = {}
local function candidates_of(lists, queue_list, kind_list)
  local known_as = queue_list .. ' ' .. kind_list
  local found = candidates[known_as]
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
  candidates[known_as] = found
  return found
end

local function heap_of(lanes, batch)
  local heap = {}
  for _, reader in ipairs(lanes) do
    if peek(reader, batch) then
      heap[#heap + 1] = reader
    end
  end
  for at = math.floor(#heap / 2), 1, -1 do
    sift_down(heap, at)
  end
  return heap
end

-- Asked of the store once a call at most, and by session only where any is drained.
function beside.is_drained(session)
  local drained = beside.drained
  if beside.any_drained == nil then
    beside.any_drained = next(drained.dirty) ~= nil or call('EXISTS', KEY.DRAINED) == 1
  end
  return beside.any_drained and row(drained, session)
end

local function is_live(session)
  local there = row(sessions, session)
  return there and sub(there, 1, 8) == writer and (parse('>i8', there, 9)) > now
end

-- A job that was started: what `put` and `reindex` would do, without looking for what a
-- start does not change.
local function note_started(reader, id, old, stored, session)
  jobs[id] = stored
  written[id] = stored
  note_event(id, stored)
  local class = reader.class
  count_waiting(class, -1)
  count_depth(class.queue, READY, -1)
  count_depth(class.queue, RUNNING, 1)
  local adds = running_of(session).adds
  adds[#adds + 1] = id
  local before, after = sub(old, AT_ALARM, AT_ALARM + 7), sub(stored, AT_ALARM, AT_ALARM + 7)
  if before ~= NEVER then
    drop(alarms, id)
  end
  if after ~= NEVER then
    add(alarms, text(after), id)
  end
  local started = reader.started
  started[#started + 1] = id
end

-- Takes started jobs out of their lanes: the first ones, as long as none was stepped over.
local function write_started()
  for _, reader in pairs(readers) do
    if #reader.started > 0 or #reader.lane.drops > 0 then
      if reader.is_torn then
        with_all('ZREM', reader.lane.key, reader.started)
      elseif #reader.started > 0 then
        call('ZREMRANGEBYRANK', reader.lane.key, 0, #reader.started - 1)
      end
      write_lane(reader.class, reader.priority, reader.lane, true)
    end
  end
end

-- Fills `taken` with ids, the first to start first.
local function claim(wish, lists)
  local taken = {}
  if wish.max_jobs == 0 or wish.max_bytes == 0 or not is_live(wish.session)
    or beside.is_drained(wish.session) then
    return taken
  end
  local lanes = candidates_of(lists, wish.queues, wish.kinds)
  local batch = math.max(8, min(math.ceil(2 * wish.max_jobs / math.max(#lanes, 1)), 512))
  if #lanes == 1 then
    batch = math.max(1, min(wish.max_jobs, 512))
  end
  local heap = heap_of(lanes, batch)
  local bytes, skips = 0, 0
  while #taken < wish.max_jobs and bytes < wish.max_bytes and skips < SKIPS_MAX and #heap > 0 do
    local reader = heap[1]
    local id = reader.id
    local stored = jobs[id]
    local deadline = sub(stored, AT_ALARM, AT_ALARM + 7)
    if deadline ~= NEVER and (parse('>i8', deadline)) <= now then
      skips = skips + 1
      reader.is_torn = true
    else
      bytes = bytes + (parse('>I4', stored, AT_PAYLOAD))
      note_started(reader, id, stored, start(stored, wish.session, wish.worker), wish.session)
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
