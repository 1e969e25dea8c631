//! Why an installation was not moved. Each message says what to do.

use std::path::PathBuf;

use sentinel_ledger::LedgerError;
use sentinel_store::{Position, StoreError};

use crate::backup::BackupError;
use crate::rebuild::Failed;

/// Why an installation was not moved. It may be tried again.
#[derive(Debug, thiserror::Error)]
pub(crate) enum MoveError {
    #[error("{}: {source}", path.display())]
    Io {
        path: PathBuf,
        #[source]
        source: std::io::Error,
    },
    #[error("{} can not be read: {detail}", path.display())]
    Mark { path: PathBuf, detail: String },
    #[error("{} holds no data of a server: name its data directory with --from", dir.display())]
    NoData { dir: PathBuf },
    #[error(
        "{} was moved to {store_url} and {ledger_url}: serve from there, with --store-url and \
         --ledger-url. To go back, stop the servers there and delete {}/moved.json: what happened \
         since the move is lost then", dir.display(), dir.display()
    )]
    Moved { dir: PathBuf, store_url: String, ledger_url: String },
    #[error(
        "a move of {} to {store_url} and {ledger_url} has not ended: run `sentinel move --from \
         {}` to them again. To give it up, delete {}/moved.json, and empty both before another one",
        dir.display(), dir.display(), dir.display()
    )]
    Unfinished { dir: PathBuf, store_url: String, ledger_url: String },
    #[error(
        "{ledger_url} has what {directory} was at {found}, and {} is at {at}: it is another \
         directory, or a server ran on it since. Empty the database and Redis, run `sentinel \
         migrate`, and move again", dir.display()
    )]
    OtherSource {
        ledger_url: String,
        directory: String,
        found: Position,
        dir: PathBuf,
        at: Position,
    },
    #[error(
        "the store in Redis is not empty: {store_url} has {jobs} jobs and stands at {at}. Name a \
         Redis that no server has worked on"
    )]
    Taken { store_url: String, at: Position, jobs: u64 },
    #[error(
        "Redis has too little room: the jobs that have not ended need about {needed} bytes, and \
         {free} of {most} are free; raise maxmemory"
    )]
    Room { needed: u64, free: u64, most: u64 },
    #[error(
        "{} has {rows} rows and {moved} arrived: the move can not be trusted. Empty the database \
         and Redis, run `sentinel migrate`, and move again", dir.display()
    )]
    Incomplete { dir: PathBuf, rows: u64, moved: u64 },
    #[error(
        "the database has keys of its own, and not room for all of the directory's: revoke some; \
         they are forgotten after 90 days"
    )]
    TooManyKeys,
    #[error("the journal of {} ends at {head}, and only {at} can be reached", dir.display())]
    Apart { dir: PathBuf, head: Position, at: Position },
    #[error(transparent)]
    Source(#[from] BackupError),
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    #[error("the data can not be used: {0}")]
    Store(#[from] StoreError),
    #[error(transparent)]
    Redis(#[from] sentinel_store_redis::OpenError),
    #[error(transparent)]
    Fill(#[from] Failed),
}

impl MoveError {
    /// What was named does not allow it: nothing was changed there.
    pub(crate) fn is_refusal(&self) -> bool {
        match self {
            Self::Source(error) => error.is_refusal(),
            Self::Ledger(LedgerError::NotEmpty { .. } | LedgerError::OlderFormat { .. }) => true,
            Self::NoData { .. }
            | Self::Moved { .. }
            | Self::Unfinished { .. }
            | Self::OtherSource { .. }
            | Self::Taken { .. }
            | Self::Room { .. } => true,
            _ => false,
        }
    }
}
