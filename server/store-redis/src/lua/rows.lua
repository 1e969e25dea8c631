-- Sessions, queues, unique keys and requests of a call: read once, changed on copies.

-- A hash whose rows are read when they are asked for, and written at the end.
local function rows_of(key)
  return { key = key, there = {}, dirty = {} }
end

local function row(rows, field)
  local there = rows.there[field]
  if there == nil then
    there = call('HGET', rows.key, field)
    rows.there[field] = there
  end
  return there
end

local function set_row(rows, field, value)
  rows.there[field] = value
  rows.dirty[field] = true
end

local function write_rows(rows)
  local puts, drops = {}, {}
  for field in pairs(rows.dirty) do
    local value = rows.there[field]
    if value then
      puts[#puts + 1] = field
      puts[#puts + 1] = value
    else
      drops[#drops + 1] = field
    end
  end
  with_all('HSET', rows.key, puts)
  with_all('HDEL', rows.key, drops)
end

-- Owner and expiry, 8 bytes each.
local sessions = rows_of(KEY.SESSIONS)
-- Beside the rows of sessions: what workers say of themselves, opaque here, never read, only
-- written; and which sessions get no more jobs.
local beside = { cards = rows_of(KEY.CARDS), drained = rows_of(KEY.DRAINED) }
-- Order (1 byte), boost (8 bytes), then the encoded queue.
local queues = rows_of(KEY.QUEUES)
-- Holder (16 bytes) and until when (8 bytes).
local keys = rows_of(KEY.KEYS_HELD)
-- Until when, hash of the content (8 bytes each), then the answer.
local requests = rows_of(KEY.REQUESTS)

-- What servers must hear of this call of another one, by server: parts of a message.
local told = {}
local function tell_owner(session, part)
  local there = row(sessions, session)
  local owner = there and sub(there, 1, 8)
  if owner and owner ~= writer then
    local parts = told[owner] or {}
    told[owner] = parts
    parts[#parts + 1] = part
  end
end

local function holder(key)
  local held = row(keys, key)
  if held and (parse('>i8', held, 17)) > now then
    return sub(held, 1, 16)
  end
  return false
end

-- Of two jobs that claim a key, the one that holds it longer has it: the other one's time
-- ran out before this one came.
local function hold(key, id, ends)
  local held = row(keys, key)
  if held and sub(held, 1, 16) ~= id and (parse('>i8', held, 17)) >= (parse('>i8', ends)) then
    return
  end
  set_row(keys, key, id .. ends)
end

local function release(key, id)
  local held = row(keys, key)
  if held and sub(held, 1, 16) == id then
    set_row(keys, key, false)
  end
end

-- A key moves when a job begins or ceases to hold it. A hold that stays needs nothing.
local function rekey(id, old, new)
  local s = new or old
  local length = (parse('>I2', s, AT_KEY))
  if length == 0 then
    return
  end
  local was = old and sub(old, AT_HELD, AT_HELD + 7) or NOT_HELD
  local is = new and sub(new, AT_HELD, AT_HELD + 7) or NOT_HELD
  -- Where the job was evicted before, its key may not have been.
  local is_gone = new and is_deleted(new)
  if was == is and not is_gone then
    return
  end
  local queue, kind = byte(s, AT_NAMES, AT_NAMES + 1)
  local at = AT_BODY + queue + kind + 1
  local key = sub(s, at, at + length - 1)
  if was ~= NOT_HELD or is_gone then
    release(key, id)
  end
  if is ~= NOT_HELD then
    hold(key, id, is)
  end
end

-- Rows with an end by their own: the sorted set of ends follows the rows.
local function write_ends(rows, ends, at)
  local adds, drops = {}, {}
  for field in pairs(rows.dirty) do
    local value = rows.there[field]
    local when = value and sub(value, at, at + 7)
    if when and when ~= NEVER then
      adds[#adds + 1] = text(when)
      adds[#adds + 1] = field
    else
      drops[#drops + 1] = field
    end
  end
  with_all('ZADD', ends, adds)
  with_all('ZREM', ends, drops)
end

-- Forgets rows whose end has come, a bounded amount; where `is_too_much` says so the next to
-- end as well. `note` sees each row before it goes.
local function sweep_rows(key, ends, limit, is_too_much)
  local over = call('ZRANGEBYSCORE', ends, '-inf', text(now8), 'LIMIT', 0, limit)
  if #over < limit and is_too_much and is_too_much() then
    over = call('ZRANGE', ends, 0, limit - 1)
  end
  if #over == 0 then
    return
  end
  if is_too_much then
    for _, there in ipairs(get_all(key, over)) do
      answer_bytes = answer_bytes - (there and #there or 0)
    end
  end
  with_all('HDEL', key, over)
  with_all('ZREM', ends, over)
end

-- Requests are bounded by their number and by the bytes of their rows.
local REQUESTS_MAX, REQUESTS_BYTES = 1000000, 268435456
local function too_many_requests()
  return answer_bytes > REQUESTS_BYTES or call('ZCARD', KEY.REQUEST_ENDS) > REQUESTS_MAX
end
