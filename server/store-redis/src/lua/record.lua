-- What every script needs: names of keys, the layout of a stored job, and commands with
-- more arguments than `unpack` takes.
--
-- A stored job begins with a header of fixed places, big-endian; what follows is opaque
-- here. `record.rs` writes and reads the same layout. Bytes are compared and moved, never
-- encoded again: only starting, promotion and progress write parts of a header, each after
-- one function of the domain.
--
-- Redis hashes every byte of every string that a script holds, so long ones are made as
-- seldom as can be: specs pass through once, when their job is new.
local call = redis.call
local byte, sub, find, format = string.byte, string.sub, string.find, string.format
local pack, parse = struct.pack, struct.unpack
local min = math.min

-- KEYS[1] is the key `meta`; every other key has the same prefix and hash tag. In tables,
-- since a script has room for 200 locals.
local prefix = sub(KEYS[1], 1, -5)
local KEY = {
  STATUS = prefix .. 'status',
  SPEC = prefix .. 'spec',
  JOURNAL = prefix .. 'journal',
  SESSIONS = prefix .. 'sessions',
  EXPIRY = prefix .. 'expiry',
  CARDS = prefix .. 'cards',
  DRAINED = prefix .. 'drained',
  UNKNOWN = prefix .. 'unknown',
  RUNNING_OF = prefix .. 'running:',
  CHILDREN_OF = prefix .. 'children:',
  PARENTS = prefix .. 'parents',
  RELEASED = prefix .. 'released',
  DUE = prefix .. 'due',
  ALARMS = prefix .. 'alarms',
  FINALS = prefix .. 'finals',
  DEPTHS = prefix .. 'depths',
  TIMES = prefix .. 'times',
  WRITERS = prefix .. 'writers',
  CLASSES_OF = prefix .. 'classes:',
  QUEUES = prefix .. 'queues',
  KEYS_HELD = prefix .. 'keys',
  KEY_ENDS = prefix .. 'keyends',
  REQUESTS = prefix .. 'requests',
  REQUEST_ENDS = prefix .. 'requestends',
  LANES = prefix .. 'ready:',
  LEADER = prefix .. 'leader',
}

local SCHEDULED, BLOCKED, READY, RUNNING = 1, 2, 3, 4
-- Everything from here on is final.
local SUCCEEDED = 5
-- The reason of what is left of a job that was deleted.
local DELETED = 12

-- Places in a stored job, counted from 1.
local AT_STATE, AT_REASON, AT_PRIORITY, AT_VERSION, AT_UPDATED = 2, 3, 4, 5, 13
local AT_EPOCH, AT_ATTEMPT, AT_ALARM, AT_SESSION, AT_RUN = 21, 29, 41, 57, 73
local AT_READY, AT_FINISHED, AT_TIMEOUT, AT_HELD = 81, 89, 97, 105
local AT_PAYLOAD, AT_NAMES, AT_KEY, AT_WAITS, AT_WORKER = 113, 117, 119, 121, 123
local AT_PROGRESS, AT_REST, AT_BODY = 125, 129, 133

-- A time that never comes, where one is optional.
local NEVER = '\127\255\255\255\255\255\255\255'
local NOT_HELD = '\128\0\0\0\0\0\0\0'

-- `unpack` fails near 8,000. Even, so that pairs stay together.
local CHUNK = 2000

local function is_deleted(stored)
  return byte(stored, AT_REASON) == DELETED
end

local function is_final(stored)
  return byte(stored, AT_STATE) >= SUCCEEDED
end

-- Decimal text of eight bytes, kept, since many jobs of a call have the same times. Redis
-- would print a number with 17 digits, each time anew.
local texts = {}
local function text(bytes)
  local known = texts[bytes]
  if not known then
    known = format('%.0f', (parse('>i8', bytes)))
    texts[bytes] = known
  end
  return known
end

-- One command for a whole list, in pieces.
local function with_all(command, key, list)
  local count = #list
  for from = 1, count, CHUNK do
    call(command, key, unpack(list, from, min(from + CHUNK - 1, count)))
  end
end

-- The fields of a hash, false where there is none.
local function get_all(key, fields)
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

-- A store that is not where it was seen, or is not there.
local function rolled_back(there, epoch, seq)
  local at = (there[1] and there[2]) and 'at ' .. there[1] .. '-' .. there[2] or 'empty'
  return redis.error_reply('ROLLEDBACK the store is ' .. at .. ', it was seen at '
    .. epoch .. '-' .. seq)
end
