-- Returns the running jobs of a session.
local found = {}
append_jobs(found, call('SMEMBERS', KEY.RUNNING_OF .. ARGV[3]))
return found
