//! What a look at a Redis finds, for those who run it. Changes nothing.

use std::time::{Duration, Instant};

use redis::Value;
use sentinel_domain::Millis;
use sentinel_store::Position;

use crate::address::Address;
use crate::error::OpenError;
use crate::keys::Keys;
use crate::link::{Connector, Link, Patience};
use crate::open::info;
use crate::options::OpenOptions;

/// Commands of which the round trip is the median.
const PINGS: usize = 15;

/// What was found.
#[derive(Clone, Debug)]
pub struct Inspection {
    /// One, or every node of a Cluster.
    pub nodes: Vec<RedisNode>,
    /// Of a single command, the median of 15.
    pub round_trip: Duration,
    /// Its clock minus the one that was given.
    pub clock_ahead_ms: Millis,
    /// How far the journal is; none where no server has begun the store.
    pub position: Option<Position>,
}

/// One Redis process.
#[derive(Clone, Debug, Default)]
pub struct RedisNode {
    /// As it calls itself; empty where there is only one.
    pub name: String,
    /// Of Redis, or of the Redis that Valkey is like.
    pub version: String,
    /// Whether it takes writes.
    pub is_primary: bool,
    /// Replicas that are connected to it.
    pub replicas: u64,
    /// What it forgets when memory is short; `noeviction` is nothing.
    pub eviction_policy: String,
    /// Bytes in use.
    pub used_bytes: u64,
    /// Bytes that it may use; 0 is without a limit.
    pub max_bytes: u64,
    /// When it syncs its append-only file: `always`, `everysec`, `no`; none where it keeps
    /// no such file, or does not tell.
    pub appendfsync: Option<String>,
    /// Whether it keeps an append-only file.
    pub aof_enabled: bool,
}

/// Looks at the Redis of a URL; `now` is the clock to compare with.
///
/// # Errors
/// [`OpenError::InvalidUrl`] and [`OpenError::Unreachable`].
pub async fn inspect(url: &str, now: impl Fn() -> Millis) -> Result<Inspection, OpenError> {
    let defaults = OpenOptions::new(url, now());
    let patience = Patience { connect: defaults.connect_timeout, answer: defaults.answer_timeout };
    let connector = Connector { address: Address::parse(url)?, patience };
    let keys = Keys::new(&defaults.key_prefix, 0);
    look(&connector, &keys, now).await.map_err(|error| OpenError::Unreachable(error.to_string()))
}

async fn look(
    connector: &Connector,
    keys: &Keys,
    now: impl Fn() -> Millis,
) -> redis::RedisResult<Inspection> {
    let mut link = connector.link().await?;
    let mut info = redis::cmd("INFO");
    info.arg("everything");
    let appends = config(&mut link, "appendfsync").await;
    let nodes = match link.query(&info).await? {
        Value::Map(nodes) => {
            let node = |(name, text)| node(&shown(&name), text, &appends);
            nodes.into_iter().map(node).collect::<Result<_, _>>()?
        }
        one => vec![node("", one, &appends)?],
    };
    let mut read = redis::cmd("HMGET");
    read.arg(keys.meta()).arg("epoch").arg("seq");
    let mut trips = Vec::with_capacity(PINGS);
    let mut found = Value::Nil;
    for _ in 0..PINGS {
        let began = Instant::now();
        found = link.query(&read).await?;
        trips.push(began.elapsed());
    }
    trips.sort();
    let at: Vec<Option<u64>> = redis::from_redis_value(found)?;
    let before = now();
    let (seconds, micros): (i64, i64) = time(&mut link).await?;
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

/// Of any node: those of a Cluster answer each for itself.
async fn time(link: &mut Link) -> redis::RedisResult<(i64, i64)> {
    let answer = match link.query(&redis::cmd("TIME")).await? {
        Value::Map(nodes) => nodes.into_iter().next().map_or(Value::Nil, |(_, time)| time),
        one => one,
    };
    Ok(redis::from_redis_value(answer)?)
}

/// A setting, where the server tells it; managed ones often do not.
async fn config(link: &mut Link, name: &str) -> Option<String> {
    let mut command = redis::cmd("CONFIG");
    command.arg("GET").arg(name);
    let answer = match link.query(&command).await.ok()? {
        Value::Map(mut nodes) if nodes.iter().all(|(_, one)| is_list(one)) => nodes.pop()?.1,
        one => one,
    };
    let pair: std::collections::HashMap<String, String> = redis::from_redis_value(answer).ok()?;
    pair.get(name).cloned()
}

const fn is_list(value: &Value) -> bool {
    matches!(value, Value::Map(_) | Value::Array(_))
}

fn shown(name: &Value) -> String {
    match name {
        Value::BulkString(bytes) => String::from_utf8_lossy(bytes).into_owned(),
        Value::SimpleString(text) => text.clone(),
        _ => String::new(),
    }
}

fn node(name: &str, text: Value, appends: &Option<String>) -> redis::RedisResult<RedisNode> {
    let text: String = redis::from_redis_value(text)?;
    let word = |name| info(&text, name).unwrap_or_default().trim().to_owned();
    let number = |name| word(name).parse().unwrap_or(0);
    let is_kept = word("aof_enabled") == "1";
    Ok(RedisNode {
        name: name.to_owned(),
        version: word("redis_version"),
        is_primary: word("role") == "master",
        replicas: number("connected_slaves"),
        eviction_policy: word("maxmemory_policy"),
        used_bytes: number("used_memory"),
        max_bytes: number("maxmemory"),
        appendfsync: appends.clone().filter(|_| is_kept),
        aof_enabled: is_kept,
    })
}
