-- Sessions, queues, unique keys and idempotency records of a call: read once, changed on copies.

-- A hash whose rows are read on demand and written at the end.
local function rows_of(key)
  return { key = key, found = {}, dirty = {} }
end

local function row(rows, field)
  local found = rows.found[field]
  if found == nil then
    found = call('HGET', rows.key, field)
    rows.found[field] = found
  end
  return found
end

local function set_row(rows, field, value)
  rows.found[field] = value
  rows.dirty[field] = true
end

local function write_rows(rows)
  local puts, drops = {}, {}
  for field in pairs(rows.dirty) do
    local value = rows.found[field]
    if value then
      puts[#puts + 1] = field
      puts[#puts + 1] = value
    else
      drops[#drops + 1] = field
    end
  end
  call_in_chunks('HSET', rows.key, puts)
  call_in_chunks('HDEL', rows.key, drops)
end

-- Owner and expiry, 8 bytes each.
local sessions = rows_of(KEY.SESSIONS)
-- Additional data of sessions: opaque worker infos, which are never read here, and the drained
-- sessions, which get no jobs.
local session_extra = { worker_infos = rows_of(KEY.WORKER_INFOS), drained = rows_of(KEY.DRAINED) }
-- Order (1 byte), priority boost (8 bytes), then the encoded queue.
local queues = rows_of(KEY.QUEUES)
-- Holder (16 bytes) and expiry (8 bytes).
local keys = rows_of(KEY.UNIQUE_KEYS)
-- Expiry and content hash (8 bytes each), then the response.
local records = rows_of(KEY.IDEMPOTENCY)

-- By server: the parts of its message about this call of another server.
local messages = {}
local function notify_owner(session, part)
  local found = row(sessions, session)
  local owner = found and sub(found, 1, 8)
  if owner and owner ~= writer then
    local parts = messages[owner] or {}
    messages[owner] = parts
    parts[#parts + 1] = part
  end
end

local function holder_of(key)
  local held = row(keys, key)
  if held and (parse('>i8', held, 17)) > now then
    return sub(held, 1, 16)
  end
  return false
end

-- If another job holds the key, the job with the later expiry keeps it: the hold of the other one
-- expired before this one started.
local function hold_key(key, id, until_bytes)
  local held = row(keys, key)
  if held and sub(held, 1, 16) ~= id
    and (parse('>i8', held, 17)) >= (parse('>i8', until_bytes)) then
    return
  end
  set_row(keys, key, id .. until_bytes)
end

local function release_key(key, id)
  local held = row(keys, key)
  if held and sub(held, 1, 16) == id then
    set_row(keys, key, false)
  end
end

-- Updates a unique key when a job starts or stops holding it.
local function update_unique_key(id, old, new)
  local job = new or old
  local length = (parse('>I2', job, AT_KEY))
  if length == 0 then
    return
  end
  local old_hold = old and sub(old, AT_HELD_UNTIL, AT_HELD_UNTIL + 7) or NOT_HELD
  local new_hold = new and sub(new, AT_HELD_UNTIL, AT_HELD_UNTIL + 7) or NOT_HELD
  -- If the job was evicted before, its key may still be held.
  local was_deleted = new and is_deleted(new)
  if old_hold == new_hold and not was_deleted then
    return
  end
  local queue, kind = byte(job, AT_NAMES, AT_NAMES + 1)
  local at = AT_BODY + queue + kind + 1
  local key = sub(job, at, at + length - 1)
  if old_hold ~= NOT_HELD or was_deleted then
    release_key(key, id)
  end
  if new_hold ~= NOT_HELD then
    hold_key(key, id, new_hold)
  end
end

-- Updates the sorted set of expiry times of changed rows.
local function write_expiry(rows, expiry_key, at)
  local adds, drops = {}, {}
  for field in pairs(rows.dirty) do
    local value = rows.found[field]
    local when = value and sub(value, at, at + 7)
    if when and when ~= NEVER then
      adds[#adds + 1] = decimal(when)
      adds[#adds + 1] = field
    else
      drops[#drops + 1] = field
    end
  end
  call_in_chunks('ZADD', expiry_key, adds)
  call_in_chunks('ZREM', expiry_key, drops)
end

-- Deletes expired rows, at most `limit`. If `is_too_much` returns true, also deletes the rows that
-- expire next.
local function delete_expired_rows(key, expiry_key, limit, is_too_much)
  local expired = call('ZRANGEBYSCORE', expiry_key, '-inf', decimal(now8), 'LIMIT', 0, limit)
  if #expired < limit and is_too_much and is_too_much() then
    expired = call('ZRANGE', expiry_key, 0, limit - 1)
  end
  if #expired == 0 then
    return
  end
  if is_too_much then
    for _, found in ipairs(get_fields(key, expired)) do
      record_bytes = record_bytes - (found and #found or 0)
    end
  end
  call_in_chunks('HDEL', key, expired)
  call_in_chunks('ZREM', expiry_key, expired)
end

-- Idempotency records are limited by number and by size.
local RECORDS_MAX, RECORDS_BYTES_MAX = 1000000, 268435456
local function too_many_records()
  return record_bytes > RECORDS_BYTES_MAX or call('ZCARD', KEY.IDEMPOTENCY_EXPIRY) > RECORDS_MAX
end
