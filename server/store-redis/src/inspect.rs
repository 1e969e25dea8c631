//! Inspection of a Redis server for diagnostics. It changes nothing.

use std::time::{Duration, Instant};

use redis::Value;
use sentinel_domain::Millis;
use sentinel_store::Position;

use crate::address::Address;
use crate::connection::{Connection, Connector, Timeouts};
use crate::error::OpenError;
use crate::keys::Keys;
use crate::open::info_field;
use crate::options::OpenOptions;

/// The number of commands for the median round trip.
const PINGS: usize = 15;

/// The state of a Redis server or Cluster.
#[derive(Clone, Debug)]
pub struct Inspection {
    /// The server, or every node of a Cluster.
    pub nodes: Vec<RedisNode>,
    /// The median round trip of a command.
    pub round_trip: Duration,
    /// The difference between its clock and the local one.
    pub clock_ahead_ms: Millis,
    /// The position of the journal; `None` if there is no store.
    pub position: Option<Position>,
}

/// One Redis process.
#[derive(Clone, Debug, Default)]
pub struct RedisNode {
    /// The address of a Cluster node; empty for a single server.
    pub name: String,
    /// The version of Redis, or the one that Valkey is compatible with.
    pub version: String,
    /// Whether it accepts writes.
    pub is_primary: bool,
    /// The number of connected replicas.
    pub replicas: u64,
    /// The eviction policy. `noeviction` never deletes keys.
    pub eviction_policy: String,
    /// The memory in use.
    pub used_bytes: u64,
    /// The memory limit; 0 for none.
    pub max_bytes: u64,
    /// When it syncs its append-only file: `always`, `everysec`, `no`. `None` if it has no such
    /// file, or does not permit CONFIG GET.
    pub appendfsync: Option<String>,
    /// Whether it has an append-only file.
    pub aof_enabled: bool,
}

/// Inspects the Redis server of a URL. `now` is the local clock.
///
/// # Errors
/// [`OpenError::InvalidUrl`] and [`OpenError::Unreachable`].
pub async fn inspect(url: &str, now: impl Fn() -> Millis) -> Result<Inspection, OpenError> {
    let defaults = OpenOptions::new(url, now());
    let timeouts =
        Timeouts { connect: defaults.connect_timeout, response: defaults.response_timeout };
    let connector = Connector { address: Address::parse(url)?, timeouts };
    let keys = Keys::new(&defaults.key_prefix, 0);
    inspect_server(&connector, &keys, now)
        .await
        .map_err(|error| OpenError::Unreachable(error.to_string()))
}

async fn inspect_server(
    connector: &Connector,
    keys: &Keys,
    now: impl Fn() -> Millis,
) -> redis::RedisResult<Inspection> {
    let mut connection = connector.connection().await?;
    let mut info = redis::cmd("INFO");
    info.arg("everything");
    let appendfsync = read_setting(&mut connection, "appendfsync").await;
    let nodes = match connection.query(&info).await? {
        Value::Map(nodes) => {
            let node = |(name, text)| parse_node(&display(&name), text, &appendfsync);
            nodes.into_iter().map(node).collect::<Result<_, _>>()?
        }
        one => vec![parse_node("", one, &appendfsync)?],
    };
    let mut read = redis::cmd("HMGET");
    read.arg(keys.meta()).arg("epoch").arg("seq");
    let mut trips = Vec::with_capacity(PINGS);
    let mut found = Value::Nil;
    for _ in 0..PINGS {
        let started = Instant::now();
        found = connection.query(&read).await?;
        trips.push(started.elapsed());
    }
    trips.sort();
    let at: Vec<Option<u64>> = redis::from_redis_value(found)?;
    let before = now();
    let (seconds, micros): (i64, i64) = time(&mut connection).await?;
    let middle = i64::midpoint(before, now());
    Ok(Inspection {
        nodes,
        round_trip: trips[PINGS / 2],
        clock_ahead_ms: seconds * 1_000 + micros / 1_000 - middle,
        position: match at[..] {
            [Some(epoch), Some(seq)] => Some(Position { epoch, seq }),
            _ => None,
        },
    })
}

/// Returns the time of a node. On a Cluster all nodes reply; the first one is used.
async fn time(connection: &mut Connection) -> redis::RedisResult<(i64, i64)> {
    let reply = match connection.query(&redis::cmd("TIME")).await? {
        Value::Map(nodes) => nodes.into_iter().next().map_or(Value::Nil, |(_, time)| time),
        one => one,
    };
    Ok(redis::from_redis_value(reply)?)
}

/// Returns a setting. Managed servers often do not permit CONFIG GET.
async fn read_setting(connection: &mut Connection, name: &str) -> Option<String> {
    let mut command = redis::cmd("CONFIG");
    command.arg("GET").arg(name);
    let reply = match connection.query(&command).await.ok()? {
        Value::Map(mut nodes) if nodes.iter().all(|(_, one)| is_list(one)) => nodes.pop()?.1,
        one => one,
    };
    let pair: std::collections::HashMap<String, String> = redis::from_redis_value(reply).ok()?;
    pair.get(name).cloned()
}

const fn is_list(value: &Value) -> bool {
    matches!(value, Value::Map(_) | Value::Array(_))
}

fn display(name: &Value) -> String {
    match name {
        Value::BulkString(bytes) => String::from_utf8_lossy(bytes).into_owned(),
        Value::SimpleString(text) => text.clone(),
        _ => String::new(),
    }
}

fn parse_node(
    name: &str,
    text: Value,
    appendfsync: &Option<String>,
) -> redis::RedisResult<RedisNode> {
    let text: String = redis::from_redis_value(text)?;
    let field = |name| info_field(&text, name).unwrap_or_default().trim().to_owned();
    let number = |name| field(name).parse().unwrap_or(0);
    let aof_enabled = field("aof_enabled") == "1";
    Ok(RedisNode {
        name: name.to_owned(),
        version: field("redis_version"),
        is_primary: field("role") == "master",
        replicas: number("connected_slaves"),
        eviction_policy: field("maxmemory_policy"),
        used_bytes: number("used_memory"),
        max_bytes: number("maxmemory"),
        appendfsync: appendfsync.clone().filter(|_| aof_enabled),
        aof_enabled,
    })
}
