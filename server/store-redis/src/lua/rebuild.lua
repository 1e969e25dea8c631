-- Steps of a rebuild. Each step fails unless its owner holds the lock.
-- ARGV: the step, the owner, then the arguments of the step.
local step, owner = ARGV[1], ARGV[2]
local lock = prefix .. 'rebuild'

if step == 'lock' then
  -- ARGV[3]: the duration of the lock in milliseconds.
  local holder = call('GET', lock)
  if holder and holder ~= owner then
    return {0, holder, call('PTTL', lock)}
  end
  call('SET', lock, owner, 'PX', ARGV[3])
  return {1, owner, ARGV[3]}
end

if call('GET', lock) ~= owner then
  return redis.error_reply('LOSTLOCK the lock of the rebuild was lost')
end

if step == 'fence' then
  -- ARGV[3]: the new epoch. From here on no server of another epoch can read or write. The
  -- position of the previous store is kept until its journal is in the ledger, for a rebuild that
  -- starts over.
  local previous = call('HGET', KEYS[1], 'rebuilding')
  if not previous then
    local found = call('HMGET', KEYS[1], 'epoch', 'seq')
    previous = (found[1] and found[2]) and found[1] .. '-' .. found[2] or 'empty'
  end
  if call('HGET', KEYS[1], 'epoch') == ARGV[3] then
    return redis.error_reply('ERR the epoch is already in use')
  end
  call('HSET', KEYS[1], 'epoch', ARGV[3], 'seq', '0', 'format', '1', 'rebuilding', previous)
  call('HSETNX', KEYS[1], 'now', '0')
  return previous
elseif step == 'forget_previous' then
  -- The journal of the previous store is in the ledger.
  call('HSET', KEYS[1], 'rebuilding', 'empty')
  return 1
elseif step == 'delete_keys' then
  -- ARGV[3..]: keys. The lock and the state of the rebuild are kept.
  local deleted = 0
  for at = 3, #ARGV do
    local key = ARGV[at]
    -- Idempotency records are kept: the jobs that they refer to are in the ledger.
    local is_kept = key == lock or key == KEYS[1] or key == KEY.IDEMPOTENCY
      or key == KEY.IDEMPOTENCY_EXPIRY
    if not is_kept and sub(key, 1, #prefix) == prefix then
      deleted = deleted + call('UNLINK', key)
    end
  end
  call('HDEL', KEYS[1], 'mark', 'bytes', 'carried')
  return deleted
elseif step == 'hold_unique_keys' then
  -- ARGV[3..]: unique keys of jobs that are not in the store, each with its row and its expiry.
  for at = 3, #ARGV, 3 do
    if call('HSETNX', KEY.UNIQUE_KEYS, ARGV[at], ARGV[at + 1]) == 1 then
      call('ZADD', KEY.UNIQUE_KEY_EXPIRY, ARGV[at + 2], ARGV[at])
    end
  end
  return 1
elseif step == 'finish' then
  -- ARGV[3]: the last entry of the new epoch that the ledger contains.
  call('HSET', KEYS[1], 'seq', ARGV[3])
  call('HDEL', KEYS[1], 'rebuilding')
  call('DEL', lock, KEY.WRITERS, prefix .. 'writersseen')
  return 1
elseif step == 'release' then
  return call('DEL', lock)
end
return redis.error_reply('ERR unknown step')
