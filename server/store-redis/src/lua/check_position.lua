-- Fails a read if the store is behind the position that the server has observed.
-- ARGV[1] and ARGV[2]: epoch and sequence number of that position.
local found = call('HMGET', KEYS[1], 'epoch', 'seq')
if found[1] ~= ARGV[1] or tonumber(found[2]) < tonumber(ARGV[2]) then
  return rolled_back(found, ARGV[1], ARGV[2])
end
