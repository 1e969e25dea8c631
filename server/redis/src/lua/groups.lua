-- The groups of a call: their guards against the jobs as they are becoming, then their
-- changes. Nothing is written to Redis here.
local KINDS_MAX = 256

-- By queue: kinds with waiting jobs.
local kinds_there = {}
local function kind_count(queue)
  local there = kinds_there[queue]
  if not there then
    there = call('HLEN', CLASSES_OF .. queue)
    kinds_there[queue] = there
  end
  return there + (more_kinds[queue] or 0)
end

-- 'j', the id, and the job with its spec where there is one.
local function job_conflict(id)
  local there = jobs[id]
  if not there then
    return 'j' .. id .. '\0'
  end
  return 'j' .. id .. '\1' .. sized(there) .. sized(spec_of(id))
end

local function maybe(value)
  return value and '\1' .. value or '\0'
end

-- The request was answered before: the verdict. Otherwise nothing.
local function recalled(id, hash)
  local known = row(requests, id)
  if not known or (parse('>i8', known)) <= now then
    return nil
  end
  return sub(known, 9, 16) == hash and 'r' .. sized(sub(known, 17)) or 'u'
end

-- The first guard that does not hold, and the place of the first change otherwise.
local function check(at, stop)
  local new_kinds, by_queue = {}, {}
  while at <= stop do
    local op = A[at]
    if op == 'V' then
      local id = A[at + 1]
      local there = jobs[id]
      if not there or sub(there, AT_VERSION, AT_VERSION + 7) ~= A[at + 2] then
        return job_conflict(id)
      end
      at = at + 3
    elseif op == 'A' then
      if jobs[A[at + 1]] then
        return job_conflict(A[at + 1])
      end
      at = at + 2
    elseif op == 'K' then
      local name = A[at + 1]
      local class = class_of(name)
      if class.waiting == 0 and not new_kinds[name] then
        new_kinds[name] = true
        local added = (by_queue[class.queue] or 0) + 1
        by_queue[class.queue] = added
        if kind_count(class.queue) + added > KINDS_MAX then
          return 't' .. sized(class.queue)
        end
      end
      at = at + 2
    elseif op == 'R' then
      local verdict = recalled(A[at + 1], A[at + 2])
      if verdict then
        return verdict
      end
      at = at + 3
    elseif op == 'F' then
      local there = holder(A[at + 1])
      if there then
        return 'k' .. sized(A[at + 1]) .. maybe(there)
      end
      at = at + 2
    elseif op == 'H' then
      local there = holder(A[at + 1])
      if there ~= A[at + 2] then
        return 'k' .. sized(A[at + 1]) .. maybe(there)
      end
      at = at + 3
    elseif op == 'O' then
      local there = row(sessions, A[at + 1])
      local owner = there and sub(there, 1, 8)
      if owner ~= A[at + 2] then
        return 's' .. A[at + 1] .. maybe(owner)
      end
      at = at + 3
    elseif op == 'Q' then
      local there = row(queues, A[at + 1])
      if there then
        return 'q' .. sized(sub(there, 10))
      end
      at = at + 2
    else
      return nil, at
    end
  end
  return nil, at
end

-- A u64 in eight bytes is compared in halves: a double holds 53 bits.
local function is_later(a, b, at)
  local a_high, a_low = parse('>I4I4', a)
  local b_high, b_low = parse('>I4I4', b, at)
  return a_high > b_high or (a_high == b_high and a_low > b_low)
end

-- Where the worker, the progress and the rest of a stored job begin.
local function places(stored)
  local queue, kind = byte(stored, AT_NAMES, AT_NAMES + 1)
  local key, waits, worker, progress = parse('>I2I2I2I4', stored, AT_KEY)
  local at_worker = AT_BODY + queue + 1 + kind + key + waits * 16
  return at_worker, at_worker + worker, at_worker + worker + progress
end

-- Keeps progress while its lease lives and it is newer than what is kept.
local function progress(id, epoch_of, kept)
  local stored = jobs[id]
  if not stored or byte(stored, AT_STATE) ~= RUNNING
    or sub(stored, AT_EPOCH, AT_EPOCH + 7) ~= epoch_of then
    return
  end
  local _, at_progress, at_rest = places(stored)
  if at_rest > at_progress and not is_later(kept, stored, at_progress) then
    return
  end
  put(id, seq8 .. sub(stored, 9, AT_PROGRESS - 1) .. pack('>I4', #kept)
    .. sub(stored, AT_REST, at_progress - 1) .. kept .. sub(stored, at_rest))
end

local function change(at)
  local op = A[at]
  if op == 'C' then
    put(A[at + 1], seq8 .. A[at + 2], A[at + 3])
    return at + 4
  elseif op == 'U' then
    put(A[at + 1], seq8 .. A[at + 2], nil, A[at + 3], A[at + 4])
    return at + 5
  elseif op == 'P' then
    progress(A[at + 1], A[at + 2], A[at + 3])
    return at + 4
  elseif op == 's' then
    set_row(sessions, A[at + 1], A[at + 2])
    return at + 3
  elseif op == 'd' then
    set_row(sessions, A[at + 1], false)
    return at + 2
  elseif op == 'm' then
    set_row(requests, A[at + 1], A[at + 2])
    events[event_count + 1] = 'M'
    events[event_count + 2] = sized(A[at + 1])
    events[event_count + 3] = sized(A[at + 2])
    event_count = event_count + 3
    return at + 3
  end
  -- 'q': a queue.
  set_row(queues, A[at + 1], A[at + 2])
  events[event_count + 1] = 'Q'
  events[event_count + 2] = sized(sub(A[at + 2], 10))
  event_count = event_count + 2
  return at + 3
end

-- A group: the number of its arguments, guards, changes.
local function group(at)
  local stop = at + tonumber(A[at])
  local verdict, from = check(at + 1, stop)
  if not verdict then
    verdict = 'c'
    while from <= stop do
      from = change(from)
    end
  end
  return verdict, stop + 1
end
