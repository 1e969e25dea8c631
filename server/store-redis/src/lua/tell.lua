-- Jobs with their specs, three values each.
local function tell(found, ids)
  local jobs, specs = get_all(KEY.STATUS, ids), get_all(KEY.SPEC, ids)
  for at = 1, #ids do
    if jobs[at] and specs[at] then
      found[#found + 1] = ids[at]
      found[#found + 1] = jobs[at]
      found[#found + 1] = specs[at]
    end
  end
end
