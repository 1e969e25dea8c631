-- Returns the due work: jobs of lost sessions, expired sessions, unblocked jobs, and jobs past a
-- deadline. It does not write.
local now, limit = ARGV[3], tonumber(ARGV[4])
local remaining = limit
local lost, expired, unblocked, due = {}, {}, {}, {}

local function add_lost(session)
  local ids = call('SRANDMEMBER', KEY.RUNNING_OF .. session, remaining)
  remaining = remaining - #ids
  append_jobs(lost, ids)
  if #ids == 0 then
    local row = call('HGET', KEY.SESSIONS, session)
    if row then
      expired[#expired + 1] = session
      expired[#expired + 1] = row
    end
  end
end

-- Unknown sessions first: their jobs are lost at any time.
for _, session in ipairs(limit > 0 and call('SRANDMEMBER', KEY.UNKNOWN_SESSIONS, limit) or {}) do
  if remaining > 0 then
    add_lost(session)
  end
end
-- Each session yields a job or a row, so 2 * limit sessions are enough to reach both limits.
local expired_ids = call('ZRANGEBYSCORE', KEY.SESSION_EXPIRY, '-inf', now, 'LIMIT', 0, 2 * limit)
for at = 1, #expired_ids do
  if remaining > 0 and #expired < 2 * limit then
    add_lost(expired_ids[at])
  end
end

for _, parent in ipairs(remaining > 0 and call('SRANDMEMBER', KEY.RELEASED, remaining) or {}) do
  local stored = call('HGET', KEY.STATUS, parent)
  if stored and remaining > 0 then
    local children = call('SRANDMEMBER', KEY.CHILDREN_OF .. parent, remaining)
    remaining = remaining - #children
    local children_with_specs = {}
    append_jobs(children_with_specs, children)
    for at = 1, #children_with_specs, 3 do
      unblocked[#unblocked + 1] = parent
      unblocked[#unblocked + 1] = byte(stored, AT_STATE)
      unblocked[#unblocked + 1] = children_with_specs[at]
      unblocked[#unblocked + 1] = children_with_specs[at + 1]
      unblocked[#unblocked + 1] = children_with_specs[at + 2]
    end
  end
end

if remaining > 0 then
  append_jobs(due, call('ZRANGEBYSCORE', KEY.DEADLINES, '-inf', now, 'LIMIT', 0, remaining))
end
return {lost, expired, unblocked, due}
