-- The indexes. All index entries of a job are derived from the job: those of the old state are
-- removed, those of the new state are added.

-- Pending changes of a set or a sorted set.
local function delta(key)
  return { key = key, adds = {}, drops = {} }
end

local due, deadlines, terminal_jobs = delta(KEY.DUE), delta(KEY.DEADLINES), delta(KEY.TERMINAL)
-- By session: the delta of its running jobs.
local running = {}
-- By state and queue: the change of the count.
local depths = {}
-- By parent: its children, true for one that starts waiting and false for one that stops.
local edges = {}
-- Jobs that became terminal, or that a retry made live.
local terminality_changed = {}

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

local function ready_set_of(class, priority)
  local ready_set = class.ready_sets[priority]
  if not ready_set then
    ready_set = delta(KEY.READY_SETS .. priority .. ':' .. class.name)
    class.ready_sets[priority] = ready_set
  end
  return ready_set
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

local function set_edges(id, stored, is_waiting)
  local queue, kind = byte(stored, AT_NAMES, AT_NAMES + 1)
  local key, count = parse('>I2I2', stored, AT_KEY)
  local at = AT_BODY + queue + 1 + kind + key
  for nth = 0, count - 1 do
    local parent = sub(stored, at + nth * 16, at + nth * 16 + 15)
    edges[parent] = edges[parent] or {}
    edges[parent][id] = is_waiting
  end
end

-- The index of terminal jobs contains the sequence number of the job's last journal entry, which
-- decides when the job may be evicted. The entry is found by its time, so the jobs of one time are
-- read once. Only a retry removes one here.
local terminal_at = {}
local function drop_terminal(id, at)
  local found = terminal_at[at]
  if not found then
    found = {}
    for _, member in ipairs(call('ZRANGEBYSCORE', KEY.TERMINAL, at, at)) do
      found[sub(member, 1, 16)] = member
    end
    terminal_at[at] = found
  end
  if found[id] then
    drop(terminal_jobs, found[id])
  end
end

local function reindex(id, old, new)
  local old_state, new_state = old and byte(old, AT_STATE) or 0, new and byte(new, AT_STATE) or 0
  local job = new or old
  local queue = sub(job, AT_BODY, AT_BODY + byte(job, AT_NAMES) - 1)
  if old_state ~= new_state then
    if old_state > 0 then
      count_depth(queue, old_state, -1)
    end
    if new_state > 0 then
      count_depth(queue, new_state, 1)
    end
  end
  if old_state == READY then
    drop(ready_set_of(class_of(class_name(job)), byte(old, AT_PRIORITY)), id)
  end
  if new_state == READY then
    local ready_set = ready_set_of(class_of(class_name(job)), byte(new, AT_PRIORITY))
    add(ready_set, decimal(sub(new, AT_READY, AT_READY + 7)), id)
  end
  if old_state == SCHEDULED then
    drop(due, id)
  end
  if new_state == SCHEDULED then
    add(due, decimal(sub(new, AT_READY, AT_READY + 7)), id)
  end
  if old_state == BLOCKED then
    set_edges(id, old, false)
  end
  if new_state == BLOCKED then
    set_edges(id, new, true)
  end
  local before = old_state == RUNNING and sub(old, AT_SESSION, AT_SESSION + 15)
  local after = new_state == RUNNING and sub(new, AT_SESSION, AT_SESSION + 15)
  if before then
    notify_owner(before, 'j' .. before .. id)
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
  if old_state >= SUCCEEDED then
    drop_terminal(id, decimal(sub(old, AT_FINISHED, AT_FINISHED + 7)))
  end
  if new_state >= SUCCEEDED then
    add(terminal_jobs, decimal(sub(new, AT_FINISHED, AT_FINISHED + 7)), id .. seq8)
  end
  if (old_state >= SUCCEEDED) ~= (new_state >= SUCCEEDED) then
    terminality_changed[#terminality_changed + 1] = id
  end
  before = old_state > 0 and sub(old, AT_DEADLINE, AT_DEADLINE + 7) or NEVER
  after = new_state > 0 and sub(new, AT_DEADLINE, AT_DEADLINE + 7) or NEVER
  if before ~= after then
    if before ~= NEVER then
      drop(deadlines, id)
    end
    if after ~= NEVER then
      add(deadlines, decimal(after), id)
    end
  end
end

local function write_zset(changes)
  call_in_chunks('ZREM', changes.key, changes.drops)
  call_in_chunks('ZADD', changes.key, changes.adds)
  changes.drops, changes.adds = {}, {}
end

local function write_ready_set(class, priority, ready_set, was_drained)
  local is_filled, is_drained = #ready_set.adds > 0, #ready_set.drops > 0 or was_drained
  write_zset(ready_set)
  local bit_of = 2 ^ priority
  local has_bit = math.floor(class.mask / bit_of) % 2 == 1
  local has_jobs = is_filled or has_bit
  if is_drained and not is_filled then
    has_jobs = call('EXISTS', ready_set.key) == 1
  end
  if has_jobs ~= has_bit then
    class.mask = class.mask + (has_jobs and bit_of or -bit_of)
  end
end

local function write_ready_sets()
  for _, class in pairs(classes) do
    for priority, ready_set in pairs(class.ready_sets) do
      if #ready_set.adds > 0 or #ready_set.drops > 0 then
        write_ready_set(class, priority, ready_set)
      end
    end
  end
end

-- Updates the indexes that the following steps read.
local function write_indexes()
  local ids = changed
  changed = {}
  for at = 1, #ids do
    local id = ids[at]
    reindex(id, indexed[id], jobs[id])
    indexed[id] = nil
  end
  write_ready_sets()
  write_zset(due)
  write_zset(deadlines)
end

local function write_released()
  local awaited = call('EXISTS', KEY.PARENTS) == 1 and #terminality_changed > 0
  if awaited then
    for from = 1, #terminality_changed, CHUNK do
      local to = min(from + CHUNK - 1, #terminality_changed)
      local some = call('SMISMEMBER', KEY.PARENTS, unpack(terminality_changed, from, to))
      for at = from, to do
        if some[at - from + 1] == 1 then
          local id = terminality_changed[at]
          call(is_terminal(jobs[id]) and 'SADD' or 'SREM', KEY.RELEASED, id)
        end
      end
    end
  end
end

local function write_edges()
  for parent, children in pairs(edges) do
    local key = KEY.CHILDREN_OF .. parent
    for child, is_waiting in pairs(children) do
      call(is_waiting and 'SADD' or 'SREM', key, child)
    end
    if call('EXISTS', key) == 1 then
      load({parent})
      call('SADD', KEY.PARENTS, parent)
      local is_released = jobs[parent] and is_terminal(jobs[parent])
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
    call_in_chunks('SREM', changes.key, changes.drops)
    call_in_chunks('SADD', changes.key, changes.adds)
    -- Jobs of a session without a row are lost: the sweeper must find them.
    if not row(sessions, session) then
      sessions.dirty[session] = true
    end
  end
end

local function write_sessions()
  write_rows(sessions)
  write_rows(session_extra.worker_infos)
  write_rows(session_extra.drained)
  write_expiry(sessions, KEY.SESSION_EXPIRY, 9)
  for session in pairs(sessions.dirty) do
    local is_orphaned = not row(sessions, session)
      and call('EXISTS', KEY.RUNNING_OF .. session) == 1
    call(is_orphaned and 'SADD' or 'SREM', KEY.UNKNOWN_SESSIONS, session)
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

-- Writes the jobs and the remaining indexes.
local function write_all()
  write_indexes()
  write_zset(terminal_jobs)
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
  call_in_chunks('HSET', KEY.STATUS, rows)
  rows, count = {}, 0
  for id, spec in pairs(specs) do
    rows[count + 1] = id
    rows[count + 2] = spec
    count = count + 2
  end
  call_in_chunks('HSET', KEY.SPEC, rows)
  write_rows(queues)
  write_rows(keys)
  write_expiry(keys, KEY.UNIQUE_KEY_EXPIRY, 17)
  write_rows(records)
  write_expiry(records, KEY.IDEMPOTENCY_EXPIRY, 1)
end
