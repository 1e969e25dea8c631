//! Opening a store: what must be true of the Redis, and where the journal stands.

use std::time::Instant;

use sentinel_store::Position;

use redis::Value;

use crate::clock::Reading;
use crate::error::OpenError;
use crate::keys::Keys;
use crate::link::Link;
use crate::options::OpenOptions;
use crate::reply;
use crate::script::Scripts;

/// The oldest version with sharded channels, script flags and effects of scripts replicated.
const OLDEST: (u32, u32) = (7, 0);
const FORMAT: &str = "1";

fn unreachable(error: redis::RedisError) -> OpenError {
    OpenError::Unreachable(error.to_string())
}

/// One line of INFO.
pub(crate) fn info<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))
}

/// The texts of INFO: one, or on a Cluster one of each node.
pub(crate) async fn ask_info(link: &mut Link, section: &str) -> redis::RedisResult<Vec<String>> {
    let mut command = redis::cmd("INFO");
    command.arg(section);
    let texts = match link.query(&command).await? {
        Value::Map(nodes) => nodes.into_iter().map(|(_, text)| text).collect(),
        one => vec![one],
    };
    texts.into_iter().map(|text| redis::from_redis_value(text).map_err(Into::into)).collect()
}

fn check_version(text: &str) -> Result<(), OpenError> {
    // Valkey says the version of Redis that it is like, too.
    let version = info(text, "redis_version").unwrap_or_default();
    let mut parts = version.split('.').map(|part| part.parse::<u32>().unwrap_or(0));
    let found = (parts.next().unwrap_or(0), parts.next().unwrap_or(0));
    if found < OLDEST { Err(OpenError::UnsupportedVersion(version.to_owned())) } else { Ok(()) }
}

fn check_policy(text: &str) -> Result<(), OpenError> {
    match info(text, "maxmemory_policy") {
        None | Some("noeviction") => Ok(()),
        Some(policy) => Err(OpenError::EvictionEnabled(policy.to_owned())),
    }
}

/// Checks that the server can hold a store.
pub(crate) async fn check_server(link: &mut Link) -> Result<(), OpenError> {
    for text in ask_info(link, "server").await.map_err(unreachable)? {
        check_version(&text)?;
    }
    for text in ask_info(link, "memory").await.map_err(unreachable)? {
        check_policy(&text)?;
    }
    Ok(())
}

/// Checks the server, begins the store where there is none, and says where it stands and what
/// time it is there.
pub(crate) async fn prepare(
    link: &mut Link,
    keys: &Keys,
    scripts: &Scripts,
    options: &OpenOptions,
) -> Result<(Position, Reading), OpenError> {
    check_server(link).await?;
    // Who has seen the store before does not begin another one in its place.
    let epoch = if options.min_position.is_some() { String::new() } else { options.now.to_string() };
    let begin = |command: &mut redis::Cmd| {
        command.arg(&epoch);
    };
    let asked = Instant::now();
    let answer = scripts.open.call(link, &keys.meta(), begin).await.map_err(unreachable)?;
    let strange = |error: sentinel_store::StoreError| OpenError::UnexpectedReply(error.to_string());
    let answered = Instant::now();
    let mut words = Vec::with_capacity(8);
    for value in reply::array(answer).map_err(strange)? {
        words.push(reply::maybe_bytes(value).map_err(strange)?);
    }
    let word = |at: usize| {
        let bytes = words.get(at).cloned().flatten();
        bytes.and_then(|bytes| String::from_utf8(bytes.into()).ok()).unwrap_or_default()
    };
    if !word(4).is_empty() {
        return Err(OpenError::RebuildUnfinished);
    }
    if !word(2).is_empty() && word(2) != FORMAT {
        return Err(OpenError::NewerFormat(word(2)));
    }
    let there = format!("{}-{}", word(0), word(1)).parse::<Position>().ok();
    // The journal and the position are written together: one that is further is newer.
    let newest = word(3).parse::<Position>().ok().filter(|newest| Some(*newest) > there);
    let number = |at: usize| word(at).parse::<i64>().unwrap_or(0);
    let time_us = number(5) * 1_000_000 + number(6);
    let reading = Reading { time_us, told: number(7), asked, answered };
    match (there, newest.or(options.min_position)) {
        (Some(at), None) => Ok((at, reading)),
        (Some(at), Some(seen)) if at.epoch == seen.epoch && at.seq >= seen.seq => Ok((at, reading)),
        (at, Some(seen)) => {
            let at = at.map_or_else(|| "its beginning".to_owned(), |at| at.to_string());
            Err(OpenError::RolledBack { at, seen })
        }
        (None, None) => Err(OpenError::UnexpectedReply("it has no position".into())),
    }
}

#[cfg(test)]
mod tests;
