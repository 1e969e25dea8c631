-- Creates the store if it does not exist, and returns its position and time.
if call('EXISTS', KEYS[1]) == 0 and ARGV[1] ~= '' then
  call('HSET', KEYS[1], 'epoch', ARGV[1], 'seq', '0', 'now', '0', 'format', '1')
end
local found = call('HMGET', KEYS[1], 'epoch', 'seq', 'format', 'rebuilding')
local newest = call('XREVRANGE', KEY.JOURNAL, '+', '-', 'COUNT', 1)[1]
local time = call('TIME')
return {found[1], found[2], found[3], newest and newest[1] or '', found[4] or '', time[1], time[2],
  call('HGET', KEYS[1], 'now') or '0'}
