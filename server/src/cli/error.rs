//! The error of a command: what failed, a hint what to do next, and the exit code. The only
//! mapping from errors to exit codes.

use std::path::PathBuf;

use sentinel_client::Error;
use sentinel_ledger::LedgerError;
use serde_json::{Value, json};
use tonic::Code;

use crate::backup::BackupError;
use crate::identity::CreateKeyError;
use crate::import::ImportError;
use crate::ops::rpc::code_name;
use crate::rebuild::RebuildError;

/// A watched job finished in another state than SUCCEEDED.
pub(super) const JOB_UNSUCCESSFUL: u8 = 1;
/// The server refused lines of an ingested file.
pub(super) const LINES_REFUSED: u8 = 1;
/// A flag, a setting or an input is invalid.
pub(super) const INVALID: u8 = 2;
/// The named object does not exist.
pub(super) const NOT_FOUND: u8 = 3;
/// The server or the database is unreachable or overloaded.
pub(super) const UNAVAILABLE: u8 = 4;
/// The current state, or the role of the API key, does not allow the command.
pub(super) const REFUSED: u8 = 5;
/// Any other failure.
pub(super) const OTHER: u8 = 6;

/// Why a command failed.
#[derive(Debug, thiserror::Error)]
pub(super) enum CliError {
    /// A call of the client failed.
    #[error(transparent)]
    Client(#[from] Error),
    /// The connection to the server failed.
    #[error("cannot connect to the server at {server}: {message}")]
    Unreachable { server: String, message: String },
    /// A flag is invalid by itself or together with others. `reason` is a predicate.
    #[error("{flag}: {reason}")]
    InvalidFlag { flag: &'static str, reason: String },
    /// A file cannot be read.
    #[error("read {}: {source}", path.display())]
    File { path: PathBuf, source: std::io::Error },
    /// A backup or a restore failed.
    #[error(transparent)]
    Backup(#[from] BackupError),
    /// A rebuild of the store failed.
    #[error(transparent)]
    Rebuild(#[from] RebuildError),
    /// An API key was not created in the ledger.
    #[error(transparent)]
    CreateKey(#[from] CreateKeyError),
    /// An import of a data directory failed.
    #[error(transparent)]
    Import(#[from] ImportError),
    /// The ledger cannot be opened or migrated.
    #[error(transparent)]
    Ledger(LedgerError),
    /// Standard output is closed or full.
    #[error("write to standard output: {0}")]
    Output(#[from] std::io::Error),
}

impl CliError {
    /// The exit code of the process.
    pub(super) fn exit_code(&self) -> u8 {
        match self {
            CliError::Unreachable { .. } => UNAVAILABLE,
            CliError::InvalidFlag { .. } | CliError::File { .. } => INVALID,
            CliError::Backup(error) if error.is_refusal() => REFUSED,
            CliError::Import(error) if error.is_refusal() => REFUSED,
            CliError::CreateKey(_) => REFUSED,
            CliError::Ledger(error) | CliError::Import(ImportError::Ledger(error)) => match error {
                LedgerError::Misconfigured { .. } => INVALID,
                LedgerError::Unavailable { .. } => UNAVAILABLE,
                LedgerError::NewerFormat { .. } => REFUSED,
                _ => OTHER,
            },
            CliError::Backup(_) | CliError::Output(_) => OTHER,
            CliError::Rebuild(_) | CliError::Import(_) => OTHER,
            CliError::Client(error) => exit_code_of(error),
        }
    }

    /// What to do next, when the message does not say it.
    pub(super) fn hint(&self) -> Option<&'static str> {
        let CliError::Client(error) = self else {
            return match self {
                CliError::Unreachable { .. } => Some(
                    "start a server with `sentinel dev`, or name a running one with --server URL",
                ),
                _ => None,
            };
        };
        match error.reason() {
            Some("QUEUE_NOT_FOUND") => Some(
                "list the queues with `sentinel queue list`, or create one with `sentinel queue \
                 create NAME`",
            ),
            Some("KIND_NOT_FOUND") => Some("list the kinds with `sentinel kind list`"),
            Some("WORKER_NOT_FOUND") => Some("list the workers with `sentinel worker list`"),
            Some("CREDENTIAL_MISSING") => Some(
                "pass an API key with --credential @FILE or SENTINEL_CREDENTIAL; create the first \
                 key with `sentinel key create --name root --role admin --data-dir DIR`",
            ),
            Some("KEY_NOT_FOUND") => Some("find the id of the key with `sentinel key list`"),
            Some("JOB_NOT_FOUND") => Some("find the id of the job with `sentinel job list`"),
            Some(_) => None,
            None => match error {
                Error::JobNotFound { .. } => {
                    Some("find the id of the job with `sentinel job list`")
                }
                Error::Transport { .. } => {
                    Some("check that the server runs and is reachable, then try again")
                }
                Error::Api { code: Code::Unimplemented, .. } => {
                    Some("check that --server names a Sentinel server of this version")
                }
                _ => None,
            },
        }
    }

    /// The error as `--json` prints it.
    pub(super) fn to_json(&self) -> Value {
        let mut error = json!({ "message": self.to_string() });
        if let CliError::Client(Error::Api {
            code, reason, field_violations, retry_after, ..
        }) = self
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
        Error::InvalidEndpoint { .. } | Error::InvalidArgument { .. } => INVALID,
        Error::JobNotFound { .. } => NOT_FOUND,
        Error::Transport { .. } => UNAVAILABLE,
        Error::Api { code, .. } => match code {
            Code::InvalidArgument | Code::OutOfRange => INVALID,
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

/// The exit code for a refused item of a batch, which has an error reason but no gRPC code.
pub(super) fn exit_code_of_item(reason: &str) -> u8 {
    match reason {
        "INVALID_FIELD" => INVALID,
        "OVERLOADED" | "STORE_UNAVAILABLE" | "STORE_FULL" | "SHUTTING_DOWN"
        | "STORE_ROLLED_BACK" | "NOT_YET_SAFE" => UNAVAILABLE,
        _ if reason.ends_with("_NOT_FOUND") => NOT_FOUND,
        _ => REFUSED,
    }
}
