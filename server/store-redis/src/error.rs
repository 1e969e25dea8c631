//! Errors of opening a store, and classification of Redis errors.

use redis::{ErrorKind, RedisError, ServerErrorKind};
use sentinel_store::{Position, StoreError};

/// The error of [`crate::RedisStore::open`].
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    #[error("{url:?} is not a valid Redis URL: {reason}")]
    InvalidUrl { url: String, reason: String },
    #[error("Redis is not reachable: {0}")]
    Unreachable(String),
    #[error("Redis {0} is too old: 7.0 or newer is needed, for sharded channels and script flags")]
    UnsupportedVersion(String),
    #[error(
        "maxmemory-policy is {0:?}: set it to noeviction, because any other policy makes Redis \
         delete jobs when memory is short"
    )]
    EvictionEnabled(String),
    #[error(
        "the store has format {0}, which a newer version wrote; this version supports format 1"
    )]
    NewerFormat(String),
    #[error(
        "STORE_ROLLED_BACK: Redis is at {at}, but the ledger is at {expected}: Redis lost \
         acknowledged changes. Run `sentinel rebuild`, which recreates the store from the ledger"
    )]
    RolledBack { at: String, expected: Position },
    #[error(
        "a rebuild of the store in Redis has not finished: wait for it, or run `sentinel rebuild` \
         again"
    )]
    RebuildUnfinished,
    #[error("unexpected reply of the store: {0}")]
    UnexpectedReply(String),
}

/// Returns the error for data that cannot be decoded.
pub(crate) fn damaged(message: impl std::fmt::Display) -> StoreError {
    StoreError::Damaged(message.to_string())
}

/// The failure of a write that was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum WriteFailure {
    /// Redis rejected it before running it.
    Rejected,
    /// Memory is short.
    Full,
    /// It may have run.
    Unknown,
    /// The script failed while running.
    ScriptFailed,
    /// The store is behind the position that this server has observed.
    RolledBack,
    /// The call number is older than the last one of its writer.
    StaleNumber,
}

/// Error codes of writes that were rejected before they ran.
const REJECTION_CODES: &[&str] = &[
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

/// Classifies the error reply to a write.
pub(crate) fn write_failure(error: &RedisError) -> WriteFailure {
    match error.code() {
        Some("OLDCALL") => WriteFailure::StaleNumber,
        Some("ROLLEDBACK") => WriteFailure::RolledBack,
        Some("OOM") => WriteFailure::Full,
        Some(code) if REJECTION_CODES.contains(&code) => WriteFailure::Rejected,
        // Any other code comes from within a script.
        Some(_) => WriteFailure::ScriptFailed,
        None if matches!(
            error.kind(),
            ErrorKind::InvalidClientConfig | ErrorKind::AuthenticationFailed
        ) =>
        {
            WriteFailure::Rejected
        }
        None => WriteFailure::Unknown,
    }
}

/// Returns whether the connection does not lead to the primary any more.
pub(crate) fn should_reconnect(error: &RedisError) -> bool {
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

/// Converts the error of a read. A read can always be retried.
pub(crate) fn read_error(error: impl std::fmt::Display) -> StoreError {
    StoreError::Unavailable(error.to_string())
}
