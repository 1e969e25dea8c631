//! What an error of Redis means to a caller of the port.

use redis::{ErrorKind, RedisError, ServerErrorKind};
use sentinel_store::{Position, StoreError};

/// Why a store was not opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    #[error("{url:?} is no address of a Redis: {why}")]
    InvalidUrl { url: String, why: String },
    #[error("Redis is not reachable: {0}")]
    Unreachable(String),
    #[error("Redis {0} is too old: 7.0 or newer is needed, for sharded channels and script flags")]
    UnsupportedVersion(String),
    #[error(
        "maxmemory-policy is {0:?}: set it to noeviction, since any other one makes Redis forget \
         jobs when memory is short"
    )]
    EvictionEnabled(String),
    #[error("the store was written in format {0}, by a newer version; this one reads format 1")]
    NewerFormat(String),
    #[error(
        "STORE_ROLLED_BACK: Redis is at {at}, but the ledger has everything up to {seen}: Redis lost \
         what it acknowledged. Stop here and run `sentinel rebuild`, which makes the store in Redis \
         anew from the ledger"
    )]
    RolledBack { at: String, seen: Position },
    #[error(
        "a rebuild of the store in Redis began and has not ended: wait for it, or run `sentinel \
         rebuild` again"
    )]
    RebuildUnfinished,
    #[error("the store answered what nobody asked for: {0}")]
    UnexpectedReply(String),
}

/// Nothing of the kind was asked for.
pub(crate) fn damaged(what: impl std::fmt::Display) -> StoreError {
    StoreError::Damaged(what.to_string())
}

/// What an error says about a write that was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    /// Redis refused it before it ran.
    Refused,
    /// No room.
    Full,
    /// It may have run.
    Unknown,
    /// A script failed in the middle.
    Damaged,
    /// The store is not what this server has seen.
    RolledBack,
    /// The number is older than the last one of its writer.
    Old,
}

/// Codes of answers from before anything is done.
const REFUSALS: &[&str] = &[
    "READONLY",
    "LOADING",
    "MASTERDOWN",
    "CLUSTERDOWN",
    "MOVED",
    "ASK",
    "TRYAGAIN",
    "BUSY",
    "MISCONF",
    "NOREPLICAS",
    "NOAUTH",
    "NOPERM",
    "WRONGPASS",
    "NOSCRIPT",
    "CROSSSLOT",
    "EXECABORT",
    "AHEAD",
];

/// The fate of a write that was sent and answered so.
pub(crate) fn fate(error: &RedisError) -> Fate {
    match error.code() {
        Some("OLDCALL") => Fate::Old,
        Some("ROLLEDBACK") => Fate::RolledBack,
        Some("OOM") => Fate::Full,
        Some(code) if REFUSALS.contains(&code) => Fate::Refused,
        // Any other answer comes from within a script.
        Some(_) => Fate::Damaged,
        None if matches!(
            error.kind(),
            ErrorKind::InvalidClientConfig | ErrorKind::AuthenticationFailed
        ) =>
        {
            Fate::Refused
        }
        None => Fate::Unknown,
    }
}

/// The other end is not, or no longer, the one that takes writes: look for it anew.
pub(crate) fn is_misplaced(error: &RedisError) -> bool {
    error.code().is_none()
        || matches!(
            error.kind(),
            ErrorKind::Server(
                ServerErrorKind::ReadOnly
                    | ServerErrorKind::Moved
                    | ServerErrorKind::MasterDown
                    | ServerErrorKind::ClusterDown
                    | ServerErrorKind::BusyLoading
            )
        )
}

/// What a failed read is told as: reading again is always right.
pub(crate) fn unread(error: impl std::fmt::Display) -> StoreError {
    StoreError::Unavailable(error.to_string())
}
