-- The transactions of a call: their preconditions, checked against the current state within the
-- call, then their mutations. Nothing is written to Redis here.
--
-- The program is one string: a letter for each precondition and mutation, followed by the index of
-- its job among the ids of the call. Bytes to store or compare are separate arguments, in the same
-- order. A separate argument costs more than a few bytes of the program.
local KINDS_MAX = 256
local program = args[8]
-- The job ids of the call, and the index of the next argument.
local ids, next_arg = {}, 10

-- Letters of the program.
local VERSION, ABSENT, CLASS, IDEMPOTENT, FREE, HELD = byte('VAKRFH', 1, 6)
local OWNER, QUEUE, RECORD_IS = byte('OQM', 1, 3)
local CREATE, UPDATE, UPDATE_WITH_END, UPDATE_OR_CREATE, PROGRESS = byte('CUEWP', 1, 5)
local ROW = {
  PUT_SESSION = byte('s'), DROP_SESSION = byte('d'), PUT_RECORD = byte('m'),
  PUT_WORKER_INFO = byte('c'), DRAIN_SESSION = byte('x'),
}

-- By queue: the number of kinds with waiting jobs.
local kind_counts = {}
local function kind_count(queue)
  local found = kind_counts[queue]
  if not found then
    found = call('HLEN', KEY.CLASSES_OF .. queue)
    kind_counts[queue] = found
  end
  return found + (added_kinds[queue] or 0)
end

-- Returns 'j', the id, and the job with its spec if it exists.
local function job_conflict(id)
  local found = jobs[id]
  if not found then
    return 'j' .. id .. '\0'
  end
  return 'j' .. id .. '\1' .. with_length(found) .. with_length(spec_of(id) or '')
end

local function optional(value)
  return value and '\1' .. value or '\0'
end

-- Returns the unexpired idempotency record of an id.
local function record_of(id)
  local known = row(records, id)
  return known and (parse('>i8', known)) > now and known
end

-- Returns the result of a request that was processed before, nil for a new one.
local function idempotent_result(id, hash)
  local known = record_of(id)
  if not known then
    return nil
  end
  return sub(known, 9, 16) == hash and 'r' .. with_length(sub(known, 17)) or 'u'
end

-- Checks the limit of kinds per queue. Collects the kinds beyond it, of the first queue that
-- exceeds it.
local function check_kind_limit(record, over_limit)
  local name = class_name(record)
  local class = class_of(name)
  if class.waiting > 0 or over_limit.added[name] then
    return
  end
  over_limit.added[name] = true
  local queue = class.queue
  local count = (over_limit.by_queue[queue] or 0) + 1
  over_limit.by_queue[queue] = count
  if kind_count(queue) + count > KINDS_MAX then
    over_limit.queue = over_limit.queue or queue
    if over_limit.queue == queue then
      over_limit[#over_limit + 1] = with_length(class.kind)
    end
  end
end

-- Checks a precondition that is not about a job. Returns its number of arguments and the conflict.
local function check_row(op, at)
  if op == OWNER then
    local found = row(sessions, args[next_arg])
    -- The argument is the owner, or the whole row.
    local known = found and sub(found, 1, #args[next_arg + 1])
    return 2, known ~= args[next_arg + 1]
      and 's' .. args[next_arg] .. optional(found and sub(found, 1, 8))
  elseif op == QUEUE then
    local found = row(queues, args[next_arg])
    -- The argument is empty, or the whole row.
    return 2, (found or '') ~= args[next_arg + 1]
      and 'q' .. optional(found and with_length(sub(found, 10)))
  elseif op == RECORD_IS then
    local known = record_of(args[next_arg])
    -- The argument is empty, or '\1' and the response.
    local is_so = (known and '\1' .. sub(known, 17) or '') == args[next_arg + 1]
    return 2, not is_so
      and 'm' .. with_length(args[next_arg]) .. optional(known and with_length(sub(known, 17)))
  elseif op == IDEMPOTENT then
    return 2, idempotent_result(args[next_arg], args[next_arg + 1])
  end
  local found = holder_of(args[next_arg])
  local wanted = op == HELD and ids[(parse('>I3', program, at))]
  return 1, found ~= wanted and 'k' .. with_length(args[next_arg]) .. optional(found)
end

-- Returns the first conflict, or nil and the offset of the first mutation.
local function check(at, stop)
  local over_limit = { added = {}, by_queue = {} }
  while at < stop do
    local op = byte(program, at)
    if op == VERSION then
      local id, version = parse('>I3I8', program, at + 1)
      local found = jobs[ids[id]]
      if not found or (parse('>I8', found, AT_VERSION)) ~= version then
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
      check_kind_limit(args[next_arg + (parse('>I3', program, at + 1))], over_limit)
      at = at + 4
    elseif op == OWNER or op == QUEUE or op == RECORD_IS or op == IDEMPOTENT
      or op == FREE or op == HELD then
      local count, conflict = check_row(op, at + 1)
      if conflict then
        return conflict
      end
      next_arg = next_arg + count
      at = at + (op == HELD and 4 or 1)
    else
      break
    end
  end
  if over_limit.queue then
    return 't' .. with_length(over_limit.queue) .. pack('>I4', #over_limit)
      .. table.concat(over_limit)
  end
  return nil, at
end

-- Compares two u64 values in halves, because a double has only 53 bits.
local function is_later(a, b, at)
  local a_high, a_low = parse('>I4I4', a)
  local b_high, b_low = parse('>I4I4', b, at)
  return a_high > b_high or (a_high == b_high and a_low > b_low)
end

-- Returns the offsets of the worker, the progress and the rest of a stored job.
local function offsets_of(stored)
  local queue, kind = byte(stored, AT_NAMES, AT_NAMES + 1)
  local key, parents, worker, progress = parse('>I2I2I2I4', stored, AT_KEY)
  local at_worker = AT_BODY + queue + 1 + kind + key + parents * 16
  return at_worker, at_worker + worker, at_worker + worker + progress
end

-- Stores progress if its lease is current and it is newer than the stored progress.
local function put_progress(id, lease_epoch, kept)
  local stored = jobs[id]
  if not stored or byte(stored, AT_STATE) ~= RUNNING
    or sub(stored, AT_EPOCH, AT_EPOCH + 7) ~= lease_epoch then
    return
  end
  local _, at_progress, at_rest = offsets_of(stored)
  if at_rest > at_progress and not is_later(kept, stored, at_progress) then
    return
  end
  put(id, sub(stored, 1, AT_PROGRESS - 1) .. pack('>I4', #kept)
    .. sub(stored, AT_REST, at_progress - 1) .. kept .. sub(stored, at_rest))
end

-- Applies a mutation that is not about a job. Returns its number of arguments.
local function mutate_row(op)
  if op == ROW.PUT_SESSION or op == ROW.DROP_SESSION or op == ROW.DRAIN_SESSION then
    notify_owner(args[next_arg], 's' .. args[next_arg])
  end
  if op == ROW.PUT_SESSION then
    set_row(sessions, args[next_arg], args[next_arg + 1])
    return 2
  elseif op == ROW.DROP_SESSION then
    set_row(sessions, args[next_arg], false)
    set_row(session_extra.worker_infos, args[next_arg], false)
    set_row(session_extra.drained, args[next_arg], false)
    return 1
  elseif op == ROW.PUT_WORKER_INFO then
    -- Ignored if the session has no row.
    if row(sessions, args[next_arg]) then
      set_row(session_extra.worker_infos, args[next_arg], args[next_arg + 1])
    end
    return 2
  elseif op == ROW.DRAIN_SESSION then
    if row(sessions, args[next_arg]) then
      set_row(session_extra.drained, args[next_arg], '1')
    end
    return 1
  elseif op == ROW.PUT_RECORD then
    local old = row(records, args[next_arg])
    record_bytes = record_bytes + #args[next_arg + 1] - (old and #old or 0)
    set_row(records, args[next_arg], args[next_arg + 1])
    add_event('M', with_length(args[next_arg]) .. args[next_arg + 1])
    return 2
  end
  -- 'q': put a queue.
  set_row(queues, args[next_arg], args[next_arg + 1])
  add_event('Q', sub(args[next_arg + 1], 10))
  return 2
end

local function mutate(at)
  local op = byte(program, at)
  if op == UPDATE then
    put(ids[(parse('>I3', program, at + 1))], args[next_arg])
    next_arg = next_arg + 1
  elseif op == CREATE then
    put(ids[(parse('>I3', program, at + 1))], args[next_arg], args[next_arg + 1])
    next_arg = next_arg + 2
  elseif op == UPDATE_WITH_END then
    put(ids[(parse('>I3', program, at + 1))], args[next_arg], nil, args[next_arg + 1])
    next_arg = next_arg + 2
  elseif op == UPDATE_OR_CREATE then
    local attempt_end = args[next_arg + 1] ~= '' and args[next_arg + 1] or nil
    put(ids[(parse('>I3', program, at + 1))], args[next_arg], nil, attempt_end, args[next_arg + 2])
    next_arg = next_arg + 3
  elseif op == PROGRESS then
    put_progress(ids[(parse('>I3', program, at + 1))], args[next_arg], args[next_arg + 1])
    next_arg = next_arg + 2
  else
    next_arg = next_arg + mutate_row(op)
    return at + 1
  end
  return at + 4
end

-- Runs a transaction: the length of its program, the number of its arguments, its preconditions,
-- its mutations. Returns its result and the offset of the next one.
local function run_transaction(at)
  local length, count, from = parse('>I4I4', program, at)
  local stop, after = from + length, next_arg + count
  local result, next_at = check(from, stop)
  if not result then
    result = 'c'
    while next_at < stop do
      next_at = mutate(next_at)
    end
  end
  next_arg = after
  return result, stop
end
