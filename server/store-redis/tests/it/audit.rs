//! Checks of the indexes in Redis for entries that no method of the store would show.

use redis::{Cmd, Value};

/// Counts the entries of each index, and the number that the depths imply.
const COUNT: &str = r"
local prefix = string.sub(KEYS[1], 1, -5)
local actual, expected = {0, 0, 0, 0, 0, 0}, {0, 0, 0, 0, 0, 0}
for _, key in ipairs(redis.call('KEYS', prefix .. '*')) do
  local name = string.sub(key, #prefix + 1)
  if name == 'due' then
    actual[1] = redis.call('ZCARD', key)
  elseif string.sub(name, 1, 6) == 'ready:' then
    actual[2] = actual[2] + redis.call('ZCARD', key)
  elseif string.sub(name, 1, 8) == 'running:' then
    actual[3] = actual[3] + redis.call('SCARD', key)
  elseif name == 'requests' then
    for _, row in ipairs(redis.call('HVALS', key)) do
      actual[6] = actual[6] + #row
    end
  elseif name == 'finals' then
    actual[4] = redis.call('ZCARD', key)
  elseif string.sub(name, 1, 8) == 'classes:' then
    for _, row in ipairs(redis.call('HVALS', key)) do
      actual[5] = actual[5] + struct.unpack('>I8', row)
    end
  end
end
local depths = redis.call('HGETALL', prefix .. 'depths')
for at = 1, #depths, 2 do
  local state, count = tonumber(string.sub(depths[at], -1)), tonumber(depths[at + 1])
  local index = state == 1 and 1 or state == 3 and 2 or state == 4 and 3 or state > 4 and 4
  if index then expected[index] = expected[index] + count end
  if state < 4 then expected[5] = expected[5] + count end
end
expected[6] = tonumber(redis.call('HGET', prefix .. 'meta', 'answers') or 0)
return {actual, expected}
";

/// Returns the command for the store with a key prefix.
pub(crate) fn count(key_prefix: &str) -> Cmd {
    let mut command = redis::cmd("EVAL");
    command.arg(COUNT).arg(1).arg(format!("{key_prefix}:{{s0}}:meta"));
    command
}

/// Checks that each index contains exactly its jobs.
pub(crate) fn check(counted: Value) {
    let Value::Array(counts) = counted else { panic!("{counted:?}") };
    assert_eq!(
        counts[0], counts[1],
        "due, ready, running, terminal, waiting, bytes of idempotency records"
    );
}
