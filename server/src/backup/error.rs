//! Why a backup was not taken or not restored. Each message says what to do.

use std::path::{Path, PathBuf};

use sentinel_ledger::LedgerError;
use sentinel_store::{Position, StoreError};
use sentinel_store_embedded::OpenError;

/// Why a backup was not taken or not restored.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BackupError {
    #[error("{}: {source}", path.display())]
    Io {
        path: PathBuf,
        #[source]
        source: std::io::Error,
    },
    #[error("{} holds no data of a server: name its data directory with --data-dir", dir.display())]
    NoData { dir: PathBuf },
    #[error("{} is not empty: name a directory that is empty or not there", dir.display())]
    NotEmpty { dir: PathBuf },
    #[error(
        "{} lies within the data directory {}: a backup belongs elsewhere, best on another disk",
        dest.display(), data.display()
    )]
    Within { dest: PathBuf, data: PathBuf },
    #[error(
        "{} holds no finished backup: there is no backup.json in it. Name a directory that \
         `sentinel backup` has finished", dir.display()
    )]
    NoManifest { dir: PathBuf },
    #[error("{} can not be read: {detail}", path.display())]
    Manifest { path: PathBuf, detail: String },
    #[error(
        "{} has format {found} and this version reads up to {known}: restore it with the version \
         {version} that took it, or a newer one", path.display()
    )]
    Newer { path: PathBuf, found: u32, known: u32, version: String },
    #[error(
        "{} is not what was backed up: {detail}. Restore another backup; this one is damaged",
        path.display()
    )]
    Altered { path: PathBuf, detail: String },
    #[error(
        "the ledger was copied up to {checkpoint} and the journal has the entries {first} to {last} \
         of epoch {epoch}: the journal was cut too soon. Take the backup again; if it happens again, \
         raise watch_window or journal_max_bytes"
    )]
    Apart { checkpoint: Position, epoch: u64, first: u64, last: u64 },
    #[error(
        "{} is a backup and not a data directory: put it to use with `sentinel restore {} --data-dir \
         DIR`, which takes back the leases that were given out since", dir.display(), dir.display()
    )]
    IsBackup { dir: PathBuf },
    #[error(
        "a restore into {} did not end: delete what is in it and restore again", dir.display()
    )]
    Unfinished { dir: PathBuf },
    #[error(transparent)]
    Journal(#[from] OpenError),
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    #[error("the restored data can not be used: {0}")]
    Store(#[from] StoreError),
}

impl BackupError {
    pub(super) fn io(path: &Path, source: std::io::Error) -> Self {
        Self::Io { path: path.to_owned(), source }
    }

    /// The caller named a wrong directory: nothing was tried.
    pub(crate) fn is_refusal(&self) -> bool {
        matches!(
            self,
            Self::NoData { .. }
                | Self::NotEmpty { .. }
                | Self::Within { .. }
                | Self::NoManifest { .. }
                | Self::Newer { .. }
                | Self::IsBackup { .. }
                | Self::Unfinished { .. }
                | Self::Journal(OpenError::Locked { .. })
        )
    }
}
