-- The groups of a call: their guards against the jobs as they are becoming, then their
-- changes. Nothing is written to Redis here.
--
-- What to do is one string, the program: a letter for each guard and change, with the place
-- of its job among the ids of the call. Bytes to keep or compare are arguments of their own,
-- in the same order. An argument costs more than reading a few bytes of a string.
local KINDS_MAX = 256
local program = A[8]
-- The ids of the call, and the next argument.
local ids, data = {}, 10

-- Letters.
local VERSION, ABSENT, CLASS, RECALL, FREE, HELD = byte('VAKRFH', 1, 6)
local OWNER, QUEUE, REMEMBERED = byte('OQM', 1, 3)
local CREATE, UPDATE, ENDED, UNGUARDED, KEEP = byte('CUEWP', 1, 5)
local ROW = {
  SESSION = byte('s'), GONE = byte('d'), REMEMBER = byte('m'), CARD = byte('c'), DRAIN = byte('x'),
}

-- By queue: kinds with waiting jobs.
local kinds_there = {}
local function kind_count(queue)
  local there = kinds_there[queue]
  if not there then
    there = call('HLEN', KEY.CLASSES_OF .. queue)
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
  return 'j' .. id .. '\1' .. sized(there) .. sized(spec_of(id) or '')
end

local function maybe(value)
  return value and '\1' .. value or '\0'
end

-- What was answered under the id, while its time is not over.
local function memory_of(id)
  local known = row(requests, id)
  return known and (parse('>i8', known)) > now and known
end

-- The request was answered before: the verdict. Otherwise nothing.
local function recalled(id, hash)
  local known = memory_of(id)
  if not known then
    return nil
  end
  return sub(known, 9, 16) == hash and 'r' .. sized(sub(known, 17)) or 'u'
end

-- A kind that is new to its queue may be one too many. Notes those that are, of the first
-- queue that has no place.
local function crowd(record, crowded)
  local name = class_name(record)
  local class = class_of(name)
  if class.waiting > 0 or crowded.added[name] then
    return
  end
  crowded.added[name] = true
  local queue = class.queue
  local count = (crowded.by_queue[queue] or 0) + 1
  crowded.by_queue[queue] = count
  if kind_count(queue) + count > KINDS_MAX then
    crowded.queue = crowded.queue or queue
    if crowded.queue == queue then
      crowded[#crowded + 1] = sized(class.kind)
    end
  end
end

-- Guards of things that are not jobs: how many arguments they have, and the conflict.
local function broken_row(op, at)
  if op == OWNER then
    local there = row(sessions, A[data])
    -- The owner, or all of the row.
    local known = there and sub(there, 1, #A[data + 1])
    return 2, known ~= A[data + 1] and 's' .. A[data] .. maybe(there and sub(there, 1, 8))
  elseif op == QUEUE then
    local there = row(queues, A[data])
    -- Nothing, or all of the row.
    return 2, (there or '') ~= A[data + 1] and 'q' .. maybe(there and sized(sub(there, 10)))
  elseif op == REMEMBERED then
    local known = memory_of(A[data])
    -- Nothing, or what was answered.
    local is_so = (known and '\1' .. sub(known, 17) or '') == A[data + 1]
    return 2, not is_so and 'm' .. sized(A[data]) .. maybe(known and sized(sub(known, 17)))
  elseif op == RECALL then
    return 2, recalled(A[data], A[data + 1])
  end
  local there = holder(A[data])
  local wanted = op == HELD and ids[(parse('>I3', program, at))]
  return 1, there ~= wanted and 'k' .. sized(A[data]) .. maybe(there)
end

-- The first guard that does not hold, or the place of the first change.
local function check(at, stop)
  local crowded = { added = {}, by_queue = {} }
  while at < stop do
    local op = byte(program, at)
    if op == VERSION then
      local id, version = parse('>I3I8', program, at + 1)
      local there = jobs[ids[id]]
      if not there or (parse('>I8', there, AT_VERSION)) ~= version then
        return job_conflict(ids[id])
      end
      at = at + 12
    elseif op == ABSENT then
      local id = ids[(parse('>I3', program, at + 1))]
      if jobs[id] then
        return job_conflict(id)
      end
      at = at + 4
    elseif op == CLASS then
      crowd(A[data + (parse('>I3', program, at + 1))], crowded)
      at = at + 4
    elseif op == OWNER or op == QUEUE or op == REMEMBERED or op == RECALL
      or op == FREE or op == HELD then
      local count, conflict = broken_row(op, at + 1)
      if conflict then
        return conflict
      end
      data = data + count
      at = at + (op == HELD and 4 or 1)
    else
      break
    end
  end
  if crowded.queue then
    return 't' .. sized(crowded.queue) .. pack('>I4', #crowded) .. table.concat(crowded)
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
local function keep_progress(id, lease_epoch, kept)
  local stored = jobs[id]
  if not stored or byte(stored, AT_STATE) ~= RUNNING
    or sub(stored, AT_EPOCH, AT_EPOCH + 7) ~= lease_epoch then
    return
  end
  local _, at_progress, at_rest = places(stored)
  if at_rest > at_progress and not is_later(kept, stored, at_progress) then
    return
  end
  put(id, sub(stored, 1, AT_PROGRESS - 1) .. pack('>I4', #kept)
    .. sub(stored, AT_REST, at_progress - 1) .. kept .. sub(stored, at_rest))
end

-- Changes of things that are not jobs: how many arguments they have.
local function change_row(op)
  if op == ROW.SESSION or op == ROW.GONE or op == ROW.DRAIN then
    tell_owner(A[data], 's' .. A[data])
  end
  if op == ROW.SESSION then
    set_row(sessions, A[data], A[data + 1])
    return 2
  elseif op == ROW.GONE then
    set_row(sessions, A[data], false)
    set_row(beside.cards, A[data], false)
    set_row(beside.drained, A[data], false)
    return 1
  elseif op == ROW.CARD then
    -- Nothing is noted of a session that is not there.
    if row(sessions, A[data]) then
      set_row(beside.cards, A[data], A[data + 1])
    end
    return 2
  elseif op == ROW.DRAIN then
    if row(sessions, A[data]) then
      set_row(beside.drained, A[data], '1')
    end
    return 1
  elseif op == ROW.REMEMBER then
    local old = row(requests, A[data])
    answer_bytes = answer_bytes + #A[data + 1] - (old and #old or 0)
    set_row(requests, A[data], A[data + 1])
    note_event('M', sized(A[data]) .. A[data + 1])
    return 2
  end
  -- 'q': a queue.
  set_row(queues, A[data], A[data + 1])
  note_event('Q', sub(A[data + 1], 10))
  return 2
end

local function change(at)
  local op = byte(program, at)
  if op == UPDATE then
    put(ids[(parse('>I3', program, at + 1))], A[data])
    data = data + 1
  elseif op == CREATE then
    put(ids[(parse('>I3', program, at + 1))], A[data], A[data + 1])
    data = data + 2
  elseif op == ENDED then
    put(ids[(parse('>I3', program, at + 1))], A[data], nil, A[data + 1])
    data = data + 2
  elseif op == UNGUARDED then
    local ending = A[data + 1] ~= '' and A[data + 1] or nil
    put(ids[(parse('>I3', program, at + 1))], A[data], nil, ending, A[data + 2])
    data = data + 3
  elseif op == KEEP then
    keep_progress(ids[(parse('>I3', program, at + 1))], A[data], A[data + 1])
    data = data + 2
  else
    data = data + change_row(op)
    return at + 1
  end
  return at + 4
end

-- A group: the sizes of its part of the program and of the arguments, guards, changes.
local function group(at)
  local length, count, from = parse('>I4I4', program, at)
  local stop, after = from + length, data + count
  local verdict, next_at = check(from, stop)
  if not verdict then
    verdict = 'c'
    while next_at < stop do
      next_at = change(next_at)
    end
  end
  data = after
  return verdict, stop
end
