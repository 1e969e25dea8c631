//! Why a client verb did not do what was asked: what, why, what to do, and the exit code.
//! The one table from errors to exit codes.

use std::path::PathBuf;

use sentinel_client::Error;
use sentinel_ledger::LedgerError;
use serde_json::{Value, json};
use tonic::Code;

use crate::moving::MoveError;
use crate::ops::rpc::code_name;

/// A watched job ended other than SUCCEEDED.
pub(super) const JOB_FAILED: u8 = 1;
/// Lines of a file became no jobs.
pub(super) const LINES_REFUSED: u8 = 1;
/// A flag or a value is wrong.
pub(super) const USAGE: u8 = 2;
/// There is no such thing.
pub(super) const NOT_FOUND: u8 = 3;
/// No server, or one with too much to do.
pub(super) const UNAVAILABLE: u8 = 4;
/// The state does not allow it.
pub(super) const REFUSED: u8 = 5;
/// Anything else.
pub(super) const OTHER: u8 = 6;

/// Why a verb failed.
#[derive(Debug, thiserror::Error)]
pub(super) enum Failure {
    /// The server or the way to it.
    #[error(transparent)]
    Call(#[from] Error),
    /// Nobody answers.
    #[error("no server at {server}: {message}")]
    NoServer {
        /// Where.
        server: String,
        /// The cause.
        message: String,
    },
    /// A flag does not fit another, or its content.
    #[error("{flag}: {reason}")]
    Flag {
        /// Which one.
        flag: &'static str,
        /// What is wrong and what is allowed.
        reason: String,
    },
    /// A file can not be read.
    #[error("read {}: {source}", path.display())]
    File {
        /// Which one.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A backup or a restore did not end.
    #[error(transparent)]
    Backup(#[from] crate::backup::BackupError),
    /// The store in Redis was not rebuilt.
    #[error(transparent)]
    Rebuild(#[from] crate::rebuild::Failed),
    /// A key was not made beside the data.
    #[error(transparent)]
    Key(#[from] crate::identity::NotMade),
    /// An installation was not moved.
    #[error(transparent)]
    Move(#[from] crate::moving::MoveError),
    /// A database can not be migrated.
    #[error(transparent)]
    Ledger(LedgerError),
    /// Standard output is gone or full.
    #[error("write to standard output: {0}")]
    Output(#[from] std::io::Error),
}

impl Failure {
    /// What the process exits with.
    pub(super) fn exit_code(&self) -> u8 {
        match self {
            Failure::NoServer { .. } => UNAVAILABLE,
            Failure::Flag { .. } | Failure::File { .. } => USAGE,
            Failure::Backup(error) if error.is_refusal() => REFUSED,
            Failure::Move(error) if error.is_refusal() => REFUSED,
            Failure::Key(_) => REFUSED,
            Failure::Ledger(error) | Failure::Move(MoveError::Ledger(error)) => match error {
                LedgerError::Unfit { .. } => USAGE,
                LedgerError::Unavailable { .. } => UNAVAILABLE,
                LedgerError::NewerFormat { .. } => REFUSED,
                _ => OTHER,
            },
            Failure::Backup(_) | Failure::Output(_) => OTHER,
            Failure::Rebuild(_) | Failure::Move(_) => OTHER,
            Failure::Call(error) => exit_code_of(error),
        }
    }

    /// What to do about it.
    pub(super) fn hint(&self) -> Option<&'static str> {
        let Failure::Call(error) = self else {
            return match self {
                Failure::NoServer { .. } => {
                    Some("start one with `sentinel dev`, or name another with --server URL")
                }
                _ => None,
            };
        };
        match error.reason() {
            Some("QUEUE_NOT_FOUND") => Some(
                "list the queues with `sentinel queue list`, declare one with `sentinel queue create NAME`",
            ),
            Some("KIND_NOT_FOUND") => Some("list the kinds with `sentinel kind list`"),
            Some("WORKER_NOT_FOUND") => Some("list the workers with `sentinel worker list`"),
            Some("CREDENTIAL_MISSING") => Some(
                "give a key by --credential @FILE or SENTINEL_CREDENTIAL; the first one is made by `sentinel key create --role admin --data-dir DIR`",
            ),
            Some("KEY_NOT_FOUND") => Some("find its id with `sentinel key list`"),
            Some("JOB_NOT_FOUND") => Some("find its id with `sentinel job list`"),
            Some(_) => None,
            None => match error {
                Error::UnknownJob { .. } => Some("find its id with `sentinel job list`"),
                Error::Transport { .. } => Some("check that the server runs, then try again"),
                Error::Api { code: Code::Unimplemented, .. } => {
                    Some("check that --server names a Sentinel server of this version")
                }
                _ => None,
            },
        }
    }

    /// For `--json`.
    pub(super) fn to_json(&self) -> Value {
        let mut error = json!({ "message": self.to_string() });
        if let Failure::Call(Error::Api { code, reason, field_violations, retry_after, .. }) = self
        {
            error["code"] = code_name(*code).into();
            error["reason"] = reason.as_str().into();
            error["fieldViolations"] = field_violations
                .iter()
                .map(|one| json!({ "field": one.field, "description": one.description }))
                .collect();
            if let Some(after) = retry_after {
                error["retryAfterMs"] = u64::try_from(after.as_millis()).unwrap_or(u64::MAX).into();
            }
        }
        json!({ "error": error, "exitCode": self.exit_code() })
    }
}

fn exit_code_of(error: &Error) -> u8 {
    match error {
        Error::InvalidEndpoint { .. } | Error::InvalidArgument { .. } => USAGE,
        Error::UnknownJob { .. } => NOT_FOUND,
        Error::Transport { .. } => UNAVAILABLE,
        Error::Api { code, .. } => match code {
            Code::InvalidArgument | Code::OutOfRange => USAGE,
            Code::NotFound => NOT_FOUND,
            Code::Unavailable | Code::DeadlineExceeded | Code::ResourceExhausted => UNAVAILABLE,
            Code::AlreadyExists
            | Code::FailedPrecondition
            | Code::Aborted
            | Code::Unauthenticated
            | Code::PermissionDenied => REFUSED,
            _ => OTHER,
        },
        _ => OTHER,
    }
}

/// The exit code for one refused item of a batch, which carries a reason but no code.
pub(super) fn exit_code_of_item(reason: &str) -> u8 {
    match reason {
        "INVALID_FIELD" => USAGE,
        "OVERLOADED" | "STORE_UNAVAILABLE" | "STORE_FULL" | "SHUTTING_DOWN"
        | "STORE_ROLLED_BACK" | "NOT_YET_SAFE" => UNAVAILABLE,
        _ if reason.ends_with("_NOT_FOUND") => NOT_FOUND,
        _ => REFUSED,
    }
}
