-- Steps of a rebuild. Each does something only while its owner has the lock.
-- ARGV: what to do, the owner, then what the step needs.
local step, owner = ARGV[1], ARGV[2]
local lock = prefix .. 'rebuild'

if step == 'lock' then
  -- ARGV[3]: for how long, in milliseconds.
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
  -- ARGV[3]: the new epoch. From here on no server of another epoch reads or writes. What the
  -- store was is kept until its journal is in the ledger, for a rebuild that begins again.
  local was = call('HGET', KEYS[1], 'rebuilding')
  if not was then
    local there = call('HMGET', KEYS[1], 'epoch', 'seq')
    was = (there[1] and there[2]) and there[1] .. '-' .. there[2] or 'empty'
  end
  if call('HGET', KEYS[1], 'epoch') == ARGV[3] then
    return redis.error_reply('ERR the epoch is not new')
  end
  call('HSET', KEYS[1], 'epoch', ARGV[3], 'seq', '0', 'format', '1', 'rebuilding', was)
  call('HSETNX', KEYS[1], 'now', '0')
  return was
elseif step == 'carried' then
  -- The old store is worth nothing any more.
  call('HSET', KEYS[1], 'rebuilding', 'empty')
  return 1
elseif step == 'drop' then
  -- ARGV[3..]: keys that were found. The lock and the place of the rebuild stay.
  local gone = 0
  for at = 3, #ARGV do
    local key = ARGV[at]
    -- Requests that were answered are answered so again: their jobs are in the ledger.
    local stays = key == lock or key == KEYS[1] or key == KEY.REQUESTS or key == KEY.REQUEST_ENDS
    if not stays and sub(key, 1, #prefix) == prefix then
      gone = gone + call('UNLINK', key)
    end
  end
  call('HDEL', KEYS[1], 'mark', 'bytes', 'carried')
  return gone
elseif step == 'hold' then
  -- ARGV[3..]: a unique key, its row and when it ends, of a job that is not here.
  for at = 3, #ARGV, 3 do
    if call('HSETNX', KEY.KEYS_HELD, ARGV[at], ARGV[at + 1]) == 1 then
      call('ZADD', KEY.KEY_ENDS, ARGV[at + 2], ARGV[at])
    end
  end
  return 1
elseif step == 'finish' then
  -- ARGV[3]: the last entry that the ledger has of the new epoch.
  call('HSET', KEYS[1], 'seq', ARGV[3])
  call('HDEL', KEYS[1], 'rebuilding')
  call('DEL', lock, KEY.WRITERS, prefix .. 'writersseen')
  return 1
elseif step == 'release' then
  return call('DEL', lock)
end
return redis.error_reply('ERR no such step')
