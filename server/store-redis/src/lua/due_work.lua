-- What needs a decision though nobody asked. Reading changes nothing.
local now, limit = ARGV[3], tonumber(ARGV[4])
local left = limit
local lost, expired, unblocked, due = {}, {}, {}, {}

local function lose(session)
  local ids = call('SRANDMEMBER', KEY.RUNNING_OF .. session, left)
  left = left - #ids
  tell(lost, ids)
  if #ids == 0 then
    local row = call('HGET', KEY.SESSIONS, session)
    if row then
      expired[#expired + 1] = session
      expired[#expired + 1] = row
    end
  end
end

-- Unknown ones first: their jobs are lost whatever the time.
for _, session in ipairs(limit > 0 and call('SRANDMEMBER', KEY.UNKNOWN, limit) or {}) do
  if left > 0 then
    lose(session)
  end
end
-- Each gives a job or a row, so twice the limit is enough to reach either bound.
local over = call('ZRANGEBYSCORE', KEY.EXPIRY, '-inf', now, 'LIMIT', 0, 2 * limit)
for at = 1, #over do
  if left > 0 and #expired < 2 * limit then
    lose(over[at])
  end
end

for _, parent in ipairs(left > 0 and call('SRANDMEMBER', KEY.RELEASED, left) or {}) do
  local stored = call('HGET', KEY.STATUS, parent)
  if stored and left > 0 then
    local children = call('SRANDMEMBER', KEY.CHILDREN_OF .. parent, left)
    left = left - #children
    local told = {}
    tell(told, children)
    for at = 1, #told, 3 do
      unblocked[#unblocked + 1] = parent
      unblocked[#unblocked + 1] = byte(stored, AT_STATE)
      unblocked[#unblocked + 1] = told[at]
      unblocked[#unblocked + 1] = told[at + 1]
      unblocked[#unblocked + 1] = told[at + 2]
    end
  end
end

if left > 0 then
  tell(due, call('ZRANGEBYSCORE', KEY.ALARMS, '-inf', now, 'LIMIT', 0, left))
end
return {lost, expired, unblocked, due}
