-- Shared by all scripts: key names, the layout of a stored job, and commands with more arguments
-- than `unpack` supports.
--
-- A stored job starts with a big-endian header of fixed size. The rest is opaque to scripts.
-- `job_record.rs` reads and writes the same layout. Scripts compare and copy bytes without decoding
-- them. Only start, promotion and progress write parts of a header, each like one function of the
-- domain crate.
--
-- Redis hashes every string that a script creates, so scripts avoid creating long ones: a spec
-- passes through once, when its job is new.
local call = redis.call
local byte, sub, find, format = string.byte, string.sub, string.find, string.format
local pack, parse = struct.pack, struct.unpack
local min = math.min

-- KEYS[1] is the key `meta`. All other keys have the same prefix and hash tag. They are in a table
-- because Lua permits at most 200 local variables.
local prefix = sub(KEYS[1], 1, -5)
local KEY = {
  STATUS = prefix .. 'status',
  SPEC = prefix .. 'spec',
  JOURNAL = prefix .. 'journal',
  SESSIONS = prefix .. 'sessions',
  SESSION_EXPIRY = prefix .. 'expiry',
  WORKER_INFOS = prefix .. 'cards',
  DRAINED = prefix .. 'drained',
  UNKNOWN_SESSIONS = prefix .. 'unknown',
  RUNNING_OF = prefix .. 'running:',
  CHILDREN_OF = prefix .. 'children:',
  PARENTS = prefix .. 'parents',
  RELEASED = prefix .. 'released',
  DUE = prefix .. 'due',
  DEADLINES = prefix .. 'alarms',
  TERMINAL = prefix .. 'finals',
  DEPTHS = prefix .. 'depths',
  JOURNAL_MARKS = prefix .. 'times',
  WRITERS = prefix .. 'writers',
  CLASSES_OF = prefix .. 'classes:',
  QUEUES = prefix .. 'queues',
  UNIQUE_KEYS = prefix .. 'keys',
  UNIQUE_KEY_EXPIRY = prefix .. 'keyends',
  IDEMPOTENCY = prefix .. 'requests',
  IDEMPOTENCY_EXPIRY = prefix .. 'requestends',
  READY_SETS = prefix .. 'ready:',
  LEADER = prefix .. 'leader',
}

local SCHEDULED, BLOCKED, READY, RUNNING = 1, 2, 3, 4
-- This and all higher states are terminal.
local SUCCEEDED = 5
-- The reason of a deleted job.
local DELETED = 12

-- Offsets in a stored job, counted from 1.
local AT_STATE, AT_REASON, AT_PRIORITY, AT_VERSION, AT_UPDATED = 2, 3, 4, 5, 13
local AT_EPOCH, AT_ATTEMPT, AT_DEADLINE, AT_SESSION, AT_RUN = 21, 29, 41, 57, 73
local AT_READY, AT_FINISHED, AT_TIMEOUT, AT_HELD_UNTIL = 81, 89, 97, 105
local AT_PAYLOAD, AT_NAMES, AT_KEY, AT_PARENT_COUNT, AT_WORKER = 113, 117, 119, 121, 123
local AT_PROGRESS, AT_REST, AT_BODY = 125, 129, 133

-- An optional time that is not set.
local NEVER = '\127\255\255\255\255\255\255\255'
local NOT_HELD = '\128\0\0\0\0\0\0\0'

-- `unpack` fails with about 8,000 values. An even number keeps pairs together.
local CHUNK = 2000

local function is_deleted(stored)
  return byte(stored, AT_REASON) == DELETED
end

local function is_terminal(stored)
  return byte(stored, AT_STATE) >= SUCCEEDED
end

-- Converts eight bytes to decimal text. The result is cached, because many jobs of a call have the
-- same times. Redis itself would print a number with 17 digits.
local decimals = {}
local function decimal(bytes)
  local known = decimals[bytes]
  if not known then
    known = format('%.0f', (parse('>i8', bytes)))
    decimals[bytes] = known
  end
  return known
end

-- Calls a command with a long list of arguments, in chunks.
local function call_in_chunks(command, key, list)
  local count = #list
  for from = 1, count, CHUNK do
    call(command, key, unpack(list, from, min(from + CHUNK - 1, count)))
  end
end

-- Returns the values of hash fields, false for a missing one.
local function get_fields(key, fields)
  local count = #fields
  if count <= CHUNK then
    return count == 0 and {} or call('HMGET', key, unpack(fields))
  end
  local found = {}
  for from = 1, count, CHUNK do
    local to = min(from + CHUNK - 1, count)
    local some = call('HMGET', key, unpack(fields, from, to))
    for at = 1, to - from + 1 do
      found[from + at - 1] = some[at]
    end
  end
  return found
end

-- Returns the error for a store that is behind the observed position, or empty.
local function rolled_back(found, epoch, seq)
  local at = (found[1] and found[2]) and 'at ' .. found[1] .. '-' .. found[2] or 'empty'
  return redis.error_reply('ROLLEDBACK the store is ' .. at .. ', but this server has observed '
    .. epoch .. '-' .. seq)
end
