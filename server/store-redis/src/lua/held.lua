-- The running jobs of a session.
local found = {}
tell(found, call('SMEMBERS', KEY.RUNNING_OF .. ARGV[3]))
return found
