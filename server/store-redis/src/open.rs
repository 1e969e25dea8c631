//! Opening a store: checks of the Redis server, creation of the store, and its position.

use std::time::Instant;

use sentinel_store::Position;

use redis::Value;

use crate::clock::ClockReading;
use crate::connection::Connection;
use crate::error::OpenError;
use crate::keys::Keys;
use crate::options::OpenOptions;
use crate::reply;
use crate::script::Scripts;

/// The oldest supported version: the first one with sharded channels and script flags.
const MIN_VERSION: (u32, u32) = (7, 0);
const FORMAT: &str = "1";

fn unreachable(error: redis::RedisError) -> OpenError {
    OpenError::Unreachable(error.to_string())
}

/// Returns a field of an INFO reply.
pub(crate) fn info_field<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))
}

/// Returns a section of INFO: one text, or on a Cluster one of each node.
pub(crate) async fn query_info(
    connection: &mut Connection,
    section: &str,
) -> redis::RedisResult<Vec<String>> {
    let mut command = redis::cmd("INFO");
    command.arg(section);
    let texts = match connection.query(&command).await? {
        Value::Map(nodes) => nodes.into_iter().map(|(_, text)| text).collect(),
        text => vec![text],
    };
    texts.into_iter().map(|text| redis::from_redis_value(text).map_err(Into::into)).collect()
}

fn check_version(text: &str) -> Result<(), OpenError> {
    // Valkey also reports the version of Redis that it is compatible with.
    let version = info_field(text, "redis_version").unwrap_or_default();
    let mut parts = version.split('.').map(|part| part.parse::<u32>().unwrap_or(0));
    let found = (parts.next().unwrap_or(0), parts.next().unwrap_or(0));
    if found < MIN_VERSION {
        Err(OpenError::UnsupportedVersion(version.to_owned()))
    } else {
        Ok(())
    }
}

fn check_policy(text: &str) -> Result<(), OpenError> {
    match info_field(text, "maxmemory_policy") {
        None | Some("noeviction") => Ok(()),
        Some(policy) => Err(OpenError::EvictionEnabled(policy.to_owned())),
    }
}

/// Checks version and settings of the server.
pub(crate) async fn check_server(connection: &mut Connection) -> Result<(), OpenError> {
    for text in query_info(connection, "server").await.map_err(unreachable)? {
        check_version(&text)?;
    }
    for text in query_info(connection, "memory").await.map_err(unreachable)? {
        check_policy(&text)?;
    }
    Ok(())
}

/// Checks the server, creates the store if it does not exist, and returns its position and time.
pub(crate) async fn prepare(
    connection: &mut Connection,
    keys: &Keys,
    scripts: &Scripts,
    options: &OpenOptions,
) -> Result<(Position, ClockReading), OpenError> {
    check_server(connection).await?;
    // If the ledger has a checkpoint, a missing store was lost and must not be replaced by a new
    // one.
    let epoch =
        if options.min_position.is_some() { String::new() } else { options.now.to_string() };
    let args = |command: &mut redis::Cmd| {
        command.arg(&epoch);
    };
    let sent_at = Instant::now();
    let reply = scripts.open.call(connection, &keys.meta(), args).await.map_err(unreachable)?;
    let unexpected =
        |error: sentinel_store::StoreError| OpenError::UnexpectedReply(error.to_string());
    let received_at = Instant::now();
    let mut fields = Vec::with_capacity(8);
    for value in reply::array(reply).map_err(unexpected)? {
        fields.push(reply::maybe_bytes(value).map_err(unexpected)?);
    }
    let field = |at: usize| {
        let bytes = fields.get(at).cloned().flatten();
        bytes.and_then(|bytes| String::from_utf8(bytes.into()).ok()).unwrap_or_default()
    };
    if !field(4).is_empty() {
        return Err(OpenError::RebuildUnfinished);
    }
    if !field(2).is_empty() && field(2) != FORMAT {
        return Err(OpenError::NewerFormat(field(2)));
    }
    let current = format!("{}-{}", field(0), field(1)).parse::<Position>().ok();
    // The journal and the position are written together. A journal beyond the position shows that
    // the position was rolled back.
    let newest = field(3).parse::<Position>().ok().filter(|newest| Some(*newest) > current);
    let number = |at: usize| field(at).parse::<i64>().unwrap_or(0);
    let time_us = number(5) * 1_000_000 + number(6);
    let reading = ClockReading { time_us, store_now: number(7), sent_at, received_at };
    match (current, newest.or(options.min_position)) {
        (Some(at), None) => Ok((at, reading)),
        (Some(at), Some(expected)) if at.epoch == expected.epoch && at.seq >= expected.seq => {
            Ok((at, reading))
        }
        (at, Some(expected)) => {
            let at = at.map_or_else(|| "no position".to_owned(), |at| at.to_string());
            Err(OpenError::RolledBack { at, expected })
        }
        (None, None) => Err(OpenError::UnexpectedReply("the store has no position".into())),
    }
}

#[cfg(test)]
mod tests;
