-- The jobs of a call. All decisions are made on copies. Keys are written only when nothing can be
-- refused any more, because Redis does not roll back a failed script.

-- By id: the current state of the job within the call, false if there is none.
local jobs = {}
-- By id: the state that the indexes reflect, for jobs that changed since.
local indexed, changed = {}, {}
-- By id: new specs.
local specs = {}
-- By id: jobs that changed in this call, written at the end.
local written = {}
-- The journal entry as fields and values, in order: id and state of the job after each change, then
-- 'N' with the spec of a new job, and 'E' with the end of an attempt.
local events, event_count = {}, 0
-- By name: classes that got a ready job.
local became_ready = {}

local function load(ids)
  local missing, count = {}, 0
  for at = 1, #ids do
    if jobs[ids[at]] == nil then
      count = count + 1
      missing[count] = ids[at]
    end
  end
  local found = get_fields(KEY.STATUS, missing)
  for at = 1, count do
    jobs[missing[at]] = found[at]
  end
end

local function spec_of(id)
  return specs[id] or call('HGET', KEY.SPEC, id)
end

local function with_length(bytes)
  return pack('>I4', #bytes) .. bytes
end

-- Classes by name 'queue\0kind'. A class is the jobs of one queue and kind. Its row contains the
-- number of waiting jobs, and a bit mask of the priorities that have ready jobs.
local classes = {}
-- The same classes by queue and kind.
local kinds_of = {}
-- By queue: the number of kinds that this call adds.
local added_kinds = {}

local function add_class(name, queue, kind, row)
  local class = { name = name, queue = queue, kind = kind, waiting = 0, mask = 0, ready_sets = {} }
  if row then
    class.waiting, class.mask = parse('>I8I2', row)
  end
  class.row = row
  classes[name] = class
  kinds_of[queue] = kinds_of[queue] or {}
  kinds_of[queue][kind] = class
  return class
end

local function class_of(name)
  local class = classes[name]
  if class then
    return class
  end
  local cut = find(name, '\0', 1, true)
  local queue, kind = sub(name, 1, cut - 1), sub(name, cut + 1)
  return add_class(name, queue, kind, call('HGET', KEY.CLASSES_OF .. queue, kind))
end

local function class_name(stored)
  local queue, kind = byte(stored, AT_NAMES, AT_NAMES + 1)
  return sub(stored, AT_BODY, AT_BODY + queue + kind)
end

local function count_waiting(class, by)
  local before = class.waiting
  class.waiting = before + by
  if before == 0 then
    added_kinds[class.queue] = (added_kinds[class.queue] or 0) + 1
  elseif class.waiting == 0 then
    added_kinds[class.queue] = (added_kinds[class.queue] or 0) - 1
  end
end

local function add_event(field, value)
  if SKIP_JOURNAL then
    return
  end
  events[event_count + 1] = field
  events[event_count + 2] = value
  event_count = event_count + 2
end

-- Puts a job after a change. `spec`: its new spec, if any. `spec_if_new`: its spec, used if the job
-- does not exist.
local function put(id, stored, spec, attempt_end, spec_if_new)
  local old = jobs[id]
  if indexed[id] == nil then
    indexed[id] = old
    changed[#changed + 1] = id
  end
  jobs[id] = stored
  written[id] = stored
  local old_state, new_state = old and byte(old, AT_STATE) or 0, byte(stored, AT_STATE)
  local was_waiting, is_waiting = old_state > 0 and old_state <= READY, new_state <= READY
  if was_waiting ~= is_waiting or (new_state == READY and old_state ~= READY) then
    local class = class_of(class_name(stored))
    if was_waiting ~= is_waiting then
      count_waiting(class, is_waiting and 1 or -1)
    end
    if new_state == READY and old_state ~= READY then
      became_ready[class.name] = class
    end
  end
  update_unique_key(id, old, stored)
  add_event(id, stored)
  -- A restarting store loads only live jobs from the ledger, so a retried job needs its spec in the
  -- journal again. The spec of a deleted job may exist nowhere else.
  local new = spec
  if old_state == 0 and not new then
    new = spec_if_new
  elseif not new and (old_state >= SUCCEEDED and new_state < SUCCEEDED or is_deleted(stored)) then
    new = spec_of(id)
  end
  if new then
    add_event('N', new)
    if spec or old_state == 0 then
      specs[id] = new
    end
  end
  if attempt_end then
    add_event('E', attempt_end)
  end
end
