-- Acquires, renews or releases the leader lease.
local leader, duration_ms = call('GET', KEY.LEADER), tonumber(ARGV[4])
if leader and leader ~= ARGV[3] then
  return 0
elseif duration_ms > 0 then
  call('SET', KEY.LEADER, ARGV[3], 'PX', duration_ms)
elseif leader then
  call('DEL', KEY.LEADER)
end
return 1
