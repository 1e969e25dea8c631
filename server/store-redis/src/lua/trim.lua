-- Evicts finals that are projected, old enough and awaited by nobody, a bounded number at
-- a time, the first to end first.
local epoch, projected = ARGV[1], tonumber(ARGV[2])
local before, limit = ARGV[3], tonumber(ARGV[4])
-- Finals that are looked at beyond the limit: some must stay for now.
local LOOK_PAST = 1024

if call('HGET', KEYS[1], 'epoch') ~= epoch or limit == 0 then
  return 0
end
local found = call('ZRANGEBYSCORE', KEY.FINALS, '-inf', '(' .. before, 'LIMIT', 0, limit + LOOK_PAST)
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

local gone, gone_members, awaited = {}, {}, {}
for from = 1, #ids, CHUNK do
  local some = call('SMISMEMBER', KEY.PARENTS, unpack(ids, from, min(from + CHUNK - 1, #ids)))
  for at = 1, #some do
    awaited[from + at - 1] = some[at] == 1
  end
end
for at = 1, #ids do
  if not awaited[at] and #gone < limit then
    gone[#gone + 1] = ids[at]
    gone_members[#gone] = members[at]
  end
end

local depths = {}
local jobs = get_all(KEY.STATUS, gone)
for at = 1, #gone do
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
with_all('HDEL', KEY.STATUS, gone)
with_all('HDEL', KEY.SPEC, gone)
with_all('ZREM', KEY.FINALS, gone_members)
return #gone
