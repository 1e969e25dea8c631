-- The jobs of a call as they are becoming. Everything is decided here, on copies; Redis is
-- written when nothing can be refused any more, because a script that fails keeps what it
-- wrote.

-- By id: the stored job as it is in this call, false where there is none.
local jobs = {}
-- By id: the stored job that the indexes know, for the jobs that changed since.
local indexed, changed = {}, {}
-- By id: specs of new jobs, and new ones of others.
local specs = {}
-- Every job that changed in this call, for the write at the end.
local written = {}
-- The journal entry as fields and values, in order: the id and the job after each change,
-- then 'N' with the spec of a new job, 'E' with how an attempt ended.
local events, event_count = {}, 0
-- By class: got a ready job.
local became_ready = {}

local function load(ids)
  local missing, count = {}, 0
  for at = 1, #ids do
    if jobs[ids[at]] == nil then
      count = count + 1
      missing[count] = ids[at]
    end
  end
  local found = get_all(KEY.STATUS, missing)
  for at = 1, count do
    jobs[missing[at]] = found[at]
  end
end

local function spec_of(id)
  return specs[id] or call('HGET', KEY.SPEC, id)
end

local function sized(bytes)
  return pack('>I4', #bytes) .. bytes
end

-- Kinds with waiting jobs, by 'queue\0kind'. The row in Redis holds how many wait and which
-- priorities have ready jobs, one bit each.
local classes = {}
-- The same ones by queue and kind.
local kinds_of = {}
-- By queue: how many kinds this call adds to those in Redis.
local more_kinds = {}

local function note_class(name, queue, kind, row)
  local class = { name = name, queue = queue, kind = kind, waiting = 0, mask = 0, lanes = {} }
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
  return note_class(name, queue, kind, call('HGET', KEY.CLASSES_OF .. queue, kind))
end

local function class_name(stored)
  local queue, kind = byte(stored, AT_NAMES, AT_NAMES + 1)
  return sub(stored, AT_BODY, AT_BODY + queue + kind)
end

local function count_waiting(class, by)
  local before = class.waiting
  class.waiting = before + by
  if before == 0 then
    more_kinds[class.queue] = (more_kinds[class.queue] or 0) + 1
  elseif class.waiting == 0 then
    more_kinds[class.queue] = (more_kinds[class.queue] or 0) - 1
  end
end

local function note_event(field, value)
  if IS_QUIET then
    return
  end
  events[event_count + 1] = field
  events[event_count + 2] = value
  event_count = event_count + 2
end

-- A job after a change: `spec` if that is new, `unguarded` its spec in case it is not there.
local function put(id, stored, spec, ending, unguarded)
  local old = jobs[id]
  if indexed[id] == nil then
    indexed[id] = old
    changed[#changed + 1] = id
  end
  jobs[id] = stored
  written[id] = stored
  local was, is = old and byte(old, AT_STATE) or 0, byte(stored, AT_STATE)
  local waited, waits = was > 0 and was <= READY, is <= READY
  if waited ~= waits or (is == READY and was ~= READY) then
    local class = class_of(class_name(stored))
    if waited ~= waits then
      count_waiting(class, waits and 1 or -1)
    end
    if is == READY and was ~= READY then
      became_ready[class.name] = class
    end
  end
  rekey(id, old, stored)
  note_event(id, stored)
  -- The ledger hands only live jobs to a restart, so one that comes back from its end
  -- brings its spec along again. Of one that is deleted nobody else may know it any more.
  local new = spec
  if was == 0 and not new then
    new = unguarded
  elseif not new and (was >= SUCCEEDED and is < SUCCEEDED or is_deleted(stored)) then
    new = spec_of(id)
  end
  if new then
    note_event('N', new)
    if spec or was == 0 then
      specs[id] = new
    end
  end
  if ending then
    note_event('E', ending)
  end
end
