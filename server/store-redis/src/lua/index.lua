-- Every index of a job follows from the job itself: the stored one says what to take out,
-- the new one what to put in.

-- Sorted sets and sets by key: what to take out and put in.
local function delta(key)
  return { key = key, adds = {}, drops = {} }
end

local due, alarms, finals = delta(KEY.DUE), delta(KEY.ALARMS), delta(KEY.FINALS)
-- By session: delta of its running jobs.
local running = {}
-- By queue and state: by how much the count changes.
local depths = {}
-- By parent: children with true where one begins to wait and false where it ceases.
local edges = {}
-- Jobs that became final or ceased to be.
local turned = {}

local function drop(from, member)
  local drops = from.drops
  drops[#drops + 1] = member
end

local function add(to, score, member)
  local adds = to.adds
  local count = #adds
  adds[count + 1] = score
  adds[count + 2] = member
end

local function lane_of(class, priority)
  local lane = class.lanes[priority]
  if not lane then
    lane = delta(KEY.LANES .. priority .. ':' .. class.name)
    class.lanes[priority] = lane
  end
  return lane
end

local function running_of(session)
  local jobs_of = running[session]
  if not jobs_of then
    jobs_of = delta(KEY.RUNNING_OF .. session)
    running[session] = jobs_of
  end
  return jobs_of
end

local function count_depth(queue, state, by)
  local of_state = depths[state]
  if not of_state then
    of_state = {}
    depths[state] = of_state
  end
  of_state[queue] = (of_state[queue] or 0) + by
end

local function note_edges(id, stored, waits)
  local queue, kind = byte(stored, AT_NAMES, AT_NAMES + 1)
  local key, count = parse('>I2I2', stored, AT_KEY)
  local at = AT_BODY + queue + 1 + kind + key
  for nth = 0, count - 1 do
    local parent = sub(stored, at + nth * 16, at + nth * 16 + 15)
    edges[parent] = edges[parent] or {}
    edges[parent][id] = waits
  end
end

-- A final is kept with the number of its last entry, which says when it may be evicted. It
-- is found by its time, where all finals of one call lie: they are read once. Only a retry
-- takes one out here.
local finals_at = {}
local function drop_final(id, at)
  local found = finals_at[at]
  if not found then
    found = {}
    for _, member in ipairs(call('ZRANGEBYSCORE', KEY.FINALS, at, at)) do
      found[sub(member, 1, 16)] = member
    end
    finals_at[at] = found
  end
  if found[id] then
    drop(finals, found[id])
  end
end

local function reindex(id, old, new)
  local was, is = old and byte(old, AT_STATE) or 0, new and byte(new, AT_STATE) or 0
  local s = new or old
  local queue = sub(s, AT_BODY, AT_BODY + byte(s, AT_NAMES) - 1)
  if was ~= is then
    if was > 0 then
      count_depth(queue, was, -1)
    end
    if is > 0 then
      count_depth(queue, is, 1)
    end
  end
  if was == READY then
    drop(lane_of(class_of(class_name(s)), byte(old, AT_PRIORITY)), id)
  end
  if is == READY then
    local lane = lane_of(class_of(class_name(s)), byte(new, AT_PRIORITY))
    add(lane, text(sub(new, AT_READY, AT_READY + 7)), id)
  end
  if was == SCHEDULED then
    drop(due, id)
  end
  if is == SCHEDULED then
    add(due, text(sub(new, AT_READY, AT_READY + 7)), id)
  end
  if was == BLOCKED then
    note_edges(id, old, false)
  end
  if is == BLOCKED then
    note_edges(id, new, true)
  end
  local before = was == RUNNING and sub(old, AT_SESSION, AT_SESSION + 15)
  local after = is == RUNNING and sub(new, AT_SESSION, AT_SESSION + 15)
  if before then
    tell_owner(before, 'j' .. before .. id)
  end
  if before ~= after then
    if before then
      drop(running_of(before), id)
    end
    if after then
      local adds = running_of(after).adds
      adds[#adds + 1] = id
    end
  end
  if was >= SUCCEEDED then
    drop_final(id, text(sub(old, AT_FINISHED, AT_FINISHED + 7)))
  end
  if is >= SUCCEEDED then
    add(finals, text(sub(new, AT_FINISHED, AT_FINISHED + 7)), id .. seq8)
  end
  if (was >= SUCCEEDED) ~= (is >= SUCCEEDED) then
    turned[#turned + 1] = id
  end
  before = was > 0 and sub(old, AT_ALARM, AT_ALARM + 7) or NEVER
  after = is > 0 and sub(new, AT_ALARM, AT_ALARM + 7) or NEVER
  if before ~= after then
    if before ~= NEVER then
      drop(alarms, id)
    end
    if after ~= NEVER then
      add(alarms, text(after), id)
    end
  end
end

local function write_zset(changes)
  with_all('ZREM', changes.key, changes.drops)
  with_all('ZADD', changes.key, changes.adds)
  changes.drops, changes.adds = {}, {}
end

local function write_lane(class, priority, lane, was_drained)
  local is_filled, is_drained = #lane.adds > 0, #lane.drops > 0 or was_drained
  write_zset(lane)
  local bit_of = 2 ^ priority
  local has_bit = math.floor(class.mask / bit_of) % 2 == 1
  local has_jobs = is_filled or has_bit
  if is_drained and not is_filled then
    has_jobs = call('EXISTS', lane.key) == 1
  end
  if has_jobs ~= has_bit then
    class.mask = class.mask + (has_jobs and bit_of or -bit_of)
  end
end

local function write_lanes()
  for _, class in pairs(classes) do
    for priority, lane in pairs(class.lanes) do
      if #lane.adds > 0 or #lane.drops > 0 then
        write_lane(class, priority, lane)
      end
    end
  end
end

-- Brings the indexes up to the jobs, so that what follows can read them.
local function write_indexes()
  local ids = changed
  changed = {}
  for at = 1, #ids do
    local id = ids[at]
    reindex(id, indexed[id], jobs[id])
    indexed[id] = nil
  end
  write_lanes()
  write_zset(due)
  write_zset(alarms)
end

local function write_released()
  local awaited = call('EXISTS', KEY.PARENTS) == 1 and #turned > 0
  if awaited then
    for from = 1, #turned, CHUNK do
      local to = min(from + CHUNK - 1, #turned)
      local some = call('SMISMEMBER', KEY.PARENTS, unpack(turned, from, to))
      for at = from, to do
        if some[at - from + 1] == 1 then
          local id = turned[at]
          call(is_final(jobs[id]) and 'SADD' or 'SREM', KEY.RELEASED, id)
        end
      end
    end
  end
end

local function write_edges()
  for parent, children in pairs(edges) do
    local key = KEY.CHILDREN_OF .. parent
    for child, waits in pairs(children) do
      call(waits and 'SADD' or 'SREM', key, child)
    end
    if call('EXISTS', key) == 1 then
      load({parent})
      call('SADD', KEY.PARENTS, parent)
      local is_released = jobs[parent] and is_final(jobs[parent])
      call(is_released and 'SADD' or 'SREM', KEY.RELEASED, parent)
    else
      call('SREM', KEY.PARENTS, parent)
      call('SREM', KEY.RELEASED, parent)
    end
  end
  write_released()
end

local function write_running()
  for session, changes in pairs(running) do
    with_all('SREM', changes.key, changes.drops)
    with_all('SADD', changes.key, changes.adds)
    -- Jobs under a session that nobody knows are lost: a sweeper must see them.
    if not row(sessions, session) then
      sessions.dirty[session] = true
    end
  end
end

local function write_sessions()
  write_rows(sessions)
  write_rows(beside.cards)
  write_rows(beside.drained)
  write_ends(sessions, KEY.EXPIRY, 9)
  for session in pairs(sessions.dirty) do
    local is_orphaned = not row(sessions, session)
      and call('EXISTS', KEY.RUNNING_OF .. session) == 1
    call(is_orphaned and 'SADD' or 'SREM', KEY.UNKNOWN, session)
  end
end

local function write_depths()
  for state, of_state in pairs(depths) do
    for queue, by in pairs(of_state) do
      local field = queue .. '\0' .. state
      if by ~= 0 and call('HINCRBY', KEY.DEPTHS, field, by) == 0 then
        call('HDEL', KEY.DEPTHS, field)
      end
    end
  end
end

local function write_classes()
  for _, class in pairs(classes) do
    local key = KEY.CLASSES_OF .. class.queue
    if class.waiting == 0 then
      if class.row then
        call('HDEL', key, class.kind)
      end
    else
      local value = pack('>I8I2', class.waiting, class.mask)
      if value ~= class.row then
        call('HSET', key, class.kind, value)
      end
    end
  end
end

-- The jobs themselves and the rest of the indexes.
local function write_all()
  write_indexes()
  write_zset(finals)
  write_edges()
  write_running()
  write_sessions()
  write_depths()
  write_classes()
  local rows, count = {}, 0
  for id, stored in pairs(written) do
    rows[count + 1] = id
    rows[count + 2] = stored
    count = count + 2
  end
  with_all('HSET', KEY.STATUS, rows)
  rows, count = {}, 0
  for id, spec in pairs(specs) do
    rows[count + 1] = id
    rows[count + 2] = spec
    count = count + 2
  end
  with_all('HSET', KEY.SPEC, rows)
  write_rows(queues)
  write_rows(keys)
  write_ends(keys, KEY.KEY_ENDS, 17)
  write_rows(requests)
  write_ends(requests, KEY.REQUEST_ENDS, 1)
end
