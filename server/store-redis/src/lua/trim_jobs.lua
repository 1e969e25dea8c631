-- Evicts terminal jobs that are projected, old enough, and have no waiting dependents: at most
-- `limit`, in the order in which they finished.
local epoch, projected = ARGV[1], tonumber(ARGV[2])
local before, limit = ARGV[3], tonumber(ARGV[4])
-- The number of jobs that are scanned beyond the limit, because some cannot be evicted yet.
local SCAN_EXTRA = 1024

if call('HGET', KEYS[1], 'epoch') ~= epoch or limit == 0 then
  return 0
end
local found = call('ZRANGEBYSCORE', KEY.TERMINAL, '-inf', '(' .. before, 'LIMIT', 0,
  limit + SCAN_EXTRA)
local ids, members = {}, {}
for at = 1, #found do
  if (parse('>I8', found[at], 17)) <= projected then
    ids[#ids + 1] = sub(found[at], 1, 16)
    members[#members + 1] = found[at]
  end
end
if #ids == 0 then
  return 0
end

local evicted, evicted_members, awaited = {}, {}, {}
for from = 1, #ids, CHUNK do
  local some = call('SMISMEMBER', KEY.PARENTS, unpack(ids, from, min(from + CHUNK - 1, #ids)))
  for at = 1, #some do
    awaited[from + at - 1] = some[at] == 1
  end
end
for at = 1, #ids do
  if not awaited[at] and #evicted < limit then
    evicted[#evicted + 1] = ids[at]
    evicted_members[#evicted] = members[at]
  end
end

local depths = {}
local jobs = get_fields(KEY.STATUS, evicted)
for at = 1, #evicted do
  local stored = jobs[at]
  if stored then
    local queue = sub(stored, AT_BODY, AT_BODY + byte(stored, AT_NAMES) - 1)
    local field = queue .. '\0' .. byte(stored, AT_STATE)
    depths[field] = (depths[field] or 0) + 1
  end
end
for field, by in pairs(depths) do
  if call('HINCRBY', KEY.DEPTHS, field, -by) == 0 then
    call('HDEL', KEY.DEPTHS, field)
  end
end
call_in_chunks('HDEL', KEY.STATUS, evicted)
call_in_chunks('HDEL', KEY.SPEC, evicted)
call_in_chunks('ZREM', KEY.TERMINAL, evicted_members)
return #evicted
