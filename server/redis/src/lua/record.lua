-- What every script needs: names of keys, the layout of a stored job, and commands with
-- more arguments than `unpack` takes.
--
-- A stored job is the number of the journal entry that changed it last (8 bytes) and then a
-- record. The record begins with a header of fixed places, big-endian; what follows is
-- opaque here. `record.rs` writes and reads the same layout. Bytes are compared and moved,
-- never encoded again: only starting, promotion and progress write parts of a header, each
-- after one function of the domain.
local call = redis.call
local byte, sub, find, format = string.byte, string.sub, string.find, string.format
local pack, parse = struct.pack, struct.unpack
local min = math.min

-- KEYS[1] is the key `meta`; every other key has the same prefix and hash tag.
local prefix = sub(KEYS[1], 1, -5)
local STATUS, SPEC, JOURNAL = prefix .. 'status', prefix .. 'spec', prefix .. 'journal'
local SESSIONS, EXPIRY, UNKNOWN = prefix .. 'sessions', prefix .. 'expiry', prefix .. 'unknown'
local RUNNING_OF, CHILDREN_OF = prefix .. 'running:', prefix .. 'children:'
local PARENTS, RELEASED = prefix .. 'parents', prefix .. 'released'
local DUE, ALARMS, FINALS = prefix .. 'due', prefix .. 'alarms', prefix .. 'finals'
local DEPTHS, TIMES = prefix .. 'depths', prefix .. 'times'

local SCHEDULED, BLOCKED, READY, RUNNING = 1, 2, 3, 4
-- Everything from here on is final.
local SUCCEEDED = 5

-- Places in a stored job, counted from 1.
local AT_STATE, AT_REASON, AT_PRIORITY, AT_VERSION, AT_UPDATED = 10, 11, 12, 13, 21
local AT_EPOCH, AT_ATTEMPT, AT_ALARM, AT_SESSION, AT_RUN = 29, 37, 49, 65, 81
local AT_READY, AT_FINISHED, AT_TIMEOUT, AT_HELD = 89, 97, 105, 113
local AT_PAYLOAD, AT_NAMES, AT_KEY, AT_WAITS, AT_WORKER = 121, 125, 127, 129, 131
local AT_PROGRESS, AT_REST, AT_BODY = 133, 137, 141

-- A time that never comes, where one is optional.
local NEVER = '\127\255\255\255\255\255\255\255'
local NOT_HELD = '\128\0\0\0\0\0\0\0'

-- `unpack` fails near 8,000. Even, so that pairs stay together.
local CHUNK = 2000

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
