-- The running jobs of a session, three values each: id, job, spec.
local ids = call('SMEMBERS', KEY.RUNNING_OF .. ARGV[1])
local jobs, specs = get_all(KEY.STATUS, ids), get_all(KEY.SPEC, ids)
local found = {}
for at = 1, #ids do
  if jobs[at] and specs[at] then
    found[#found + 1] = ids[at]
    found[#found + 1] = jobs[at]
    found[#found + 1] = specs[at]
  end
end
return found
