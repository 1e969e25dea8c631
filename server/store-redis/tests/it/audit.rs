//! What no question of the port shows: indexes that hold more than they should.

use redis::{Cmd, Value};

/// Counts the members of every index, and what the depths say that they must be.
const COUNT: &str = r"
local prefix = string.sub(KEYS[1], 1, -5)
local is, must = {0, 0, 0, 0, 0, 0}, {0, 0, 0, 0, 0, 0}
for _, key in ipairs(redis.call('KEYS', prefix .. '*')) do
  local name = string.sub(key, #prefix + 1)
  if name == 'due' then
    is[1] = redis.call('ZCARD', key)
  elseif string.sub(name, 1, 6) == 'ready:' then
    is[2] = is[2] + redis.call('ZCARD', key)
  elseif string.sub(name, 1, 8) == 'running:' then
    is[3] = is[3] + redis.call('SCARD', key)
  elseif name == 'requests' then
    for _, row in ipairs(redis.call('HVALS', key)) do
      is[6] = is[6] + #row
    end
  elseif name == 'finals' then
    is[4] = redis.call('ZCARD', key)
  elseif string.sub(name, 1, 8) == 'classes:' then
    for _, row in ipairs(redis.call('HVALS', key)) do
      is[5] = is[5] + struct.unpack('>I8', row)
    end
  end
end
local depths = redis.call('HGETALL', prefix .. 'depths')
for at = 1, #depths, 2 do
  local state, count = tonumber(string.sub(depths[at], -1)), tonumber(depths[at + 1])
  local index = state == 1 and 1 or state == 3 and 2 or state == 4 and 3 or state > 4 and 4
  if index then must[index] = must[index] + count end
  if state < 4 then must[5] = must[5] + count end
end
must[6] = tonumber(redis.call('HGET', prefix .. 'meta', 'answers') or 0)
return {is, must}
";

/// The script for the store of an key_prefix.
pub(crate) fn count(key_prefix: &str) -> Cmd {
    let mut command = redis::cmd("EVAL");
    command.arg(COUNT).arg(1).arg(format!("{key_prefix}:{{s0}}:meta"));
    command
}

/// Due, ready, running, final, waiting by class, remembered answers: each index has its jobs and no other.
pub(crate) fn check(counted: Value) {
    let Value::Array(counts) = counted else { panic!("{counted:?}") };
    assert_eq!(counts[0], counts[1], "due, ready, running, final, waiting, bytes of answers");
}
