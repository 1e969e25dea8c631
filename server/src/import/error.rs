//! The errors of an import.

use std::path::PathBuf;

use sentinel_ledger::LedgerError;
use sentinel_store::{Position, StoreError};

use crate::backup::BackupError;
use crate::data_dir::OpenDirError;
use crate::rebuild::RebuildError;

/// Why a data directory was not imported. The import can be run again.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ImportError {
    #[error("{}: {source}", path.display())]
    Io {
        path: PathBuf,
        #[source]
        source: std::io::Error,
    },
    #[error("cannot read {}: {detail}", path.display())]
    InvalidMarker { path: PathBuf, detail: String },
    #[error("{} is not the data directory of a server: name one with --from", dir.display())]
    NoData { dir: PathBuf },
    #[error(
        "{} was imported into {store_url} and {ledger_url}: start servers with --store-url and \
         --ledger-url. To go back to the directory, stop those servers and delete {}/moved.json; \
         all changes since the import are lost then", dir.display(), dir.display()
    )]
    Imported { dir: PathBuf, store_url: String, ledger_url: String },
    #[error(
        "the import of {} into {store_url} and {ledger_url} is unfinished: run `sentinel import \
         --from {}` into the same stores again. To cancel the import, delete {}/moved.json, and \
         empty both stores before the next import", dir.display(), dir.display(), dir.display()
    )]
    Unfinished { dir: PathBuf, store_url: String, ledger_url: String },
    #[error(
        "{ledger_url} contains an import of {directory} at position {found}, but {} is at {at}: it \
         is another directory, or a server has run on it since. Empty the database and Redis, run \
         `sentinel migrate`, then import again", dir.display()
    )]
    OtherSource {
        ledger_url: String,
        directory: String,
        found: Position,
        dir: PathBuf,
        at: Position,
    },
    #[error(
        "the store in Redis is not empty: {store_url} has {jobs} jobs and is at position {at}. \
         Name a Redis that no server has used"
    )]
    StoreNotEmpty { store_url: String, at: Position, jobs: u64 },
    #[error(
        "Redis has too little memory: the live jobs need about {needed} bytes, but only {free} of \
         {max} bytes are free; raise maxmemory"
    )]
    StoreTooSmall { needed: u64, free: u64, max: u64 },
    #[error(
        "{} has {rows} rows, but {imported} were imported: the copy is not complete. Empty the \
         database and Redis, run `sentinel migrate`, then import again", dir.display()
    )]
    Incomplete { dir: PathBuf, rows: u64, imported: u64 },
    #[error(
        "the database already has API keys, and the number of keys exceeds the limit with those of \
         the directory: revoke some keys; revoked keys are deleted after 90 days"
    )]
    TooManyKeys,
    #[error(
        "the journal of {} ends at {head}, but it cannot be read beyond {at}: restore the \
         directory from a backup", dir.display()
    )]
    JournalGap { dir: PathBuf, head: Position, at: Position },
    #[error(transparent)]
    Source(#[from] BackupError),
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    #[error("cannot use the data: {0}")]
    Store(#[from] StoreError),
    #[error(transparent)]
    Redis(#[from] sentinel_store_redis::OpenError),
    #[error(transparent)]
    Fill(#[from] RebuildError),
}

impl From<OpenDirError> for ImportError {
    fn from(error: OpenDirError) -> Self {
        Self::Source(error.into())
    }
}

impl ImportError {
    /// Whether the named directory or stores do not allow the import, so that nothing was
    /// changed.
    pub(crate) fn is_refusal(&self) -> bool {
        match self {
            Self::Source(error) => error.is_refusal(),
            Self::Ledger(LedgerError::NotEmpty { .. } | LedgerError::OlderFormat { .. }) => true,
            Self::NoData { .. }
            | Self::Imported { .. }
            | Self::Unfinished { .. }
            | Self::OtherSource { .. }
            | Self::StoreNotEmpty { .. }
            | Self::StoreTooSmall { .. } => true,
            _ => false,
        }
    }
}
