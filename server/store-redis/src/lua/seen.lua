-- A read of a store that is not the one that its reader saw says so. ARGV[1] and ARGV[2]: where
-- it was seen.
local there = call('HMGET', KEYS[1], 'epoch', 'seq')
if there[1] ~= ARGV[1] or tonumber(there[2]) < tonumber(ARGV[2]) then
  return rolled_back(there, ARGV[1], ARGV[2])
end
