-- Begins a store where there is none, and says where it stands.
if call('EXISTS', KEYS[1]) == 0 and ARGV[1] ~= '' then
  call('HSET', KEYS[1], 'epoch', ARGV[1], 'seq', '0', 'now', '0', 'format', '1')
end
local there = call('HMGET', KEYS[1], 'epoch', 'seq', 'format', 'rebuilding')
local newest = call('XREVRANGE', KEY.JOURNAL, '+', '-', 'COUNT', 1)[1]
local time = call('TIME')
return {there[1], there[2], there[3], newest and newest[1] or '', there[4] or '', time[1], time[2],
  call('HGET', KEYS[1], 'now') or '0'}
