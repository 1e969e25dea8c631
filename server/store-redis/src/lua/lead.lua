-- Takes, keeps or gives up the lead among servers.
local leader, lasts_ms = call('GET', KEY.LEADER), tonumber(ARGV[4])
if leader and leader ~= ARGV[3] then
  return 0
elseif lasts_ms > 0 then
  call('SET', KEY.LEADER, ARGV[3], 'PX', lasts_ms)
elseif leader then
  call('DEL', KEY.LEADER)
end
return 1
