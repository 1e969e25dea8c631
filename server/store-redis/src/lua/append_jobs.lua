-- Appends id, stored job and spec of each existing job to a list.
local function append_jobs(found, ids)
  local jobs, specs = get_fields(KEY.STATUS, ids), get_fields(KEY.SPEC, ids)
  for at = 1, #ids do
    if jobs[at] and specs[at] then
      found[#found + 1] = ids[at]
      found[#found + 1] = jobs[at]
      found[#found + 1] = specs[at]
    end
  end
end
