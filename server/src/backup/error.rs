//! The errors of backups and restores.

use std::path::{Path, PathBuf};

use sentinel_ledger::LedgerError;
use sentinel_store::{Position, StoreError};
use sentinel_store_embedded::OpenError;

use crate::data_dir::OpenDirError;

/// Why a backup was not created or not restored.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BackupError {
    #[error("{}: {source}", path.display())]
    Io {
        path: PathBuf,
        #[source]
        source: std::io::Error,
    },
    #[error(
        "{} is not the data directory of a server: name the data directory with --data-dir",
        dir.display()
    )]
    NoData { dir: PathBuf },
    #[error("{} is not empty: name a directory that is empty or does not exist", dir.display())]
    NotEmpty { dir: PathBuf },
    #[error(
        "{} is inside of the data directory {}: name a directory outside of it, best on another \
         disk", dest.display(), data.display()
    )]
    InsideData { dest: PathBuf, data: PathBuf },
    #[error(
        "{} is not a complete backup: it has no backup.json. Name a directory that `sentinel \
         backup` has created", dir.display()
    )]
    NoManifest { dir: PathBuf },
    #[error("cannot read the manifest {}: {detail}; restore another backup", path.display())]
    InvalidManifest { path: PathBuf, detail: String },
    #[error(
        "{} has format {found}, and this version supports up to {known}: restore it with version \
         {version}, which created it, or a newer one", path.display()
    )]
    NewerFormat { path: PathBuf, found: u32, known: u32, version: String },
    #[error(
        "{} does not match the manifest: {detail}. The backup is damaged; restore another one",
        path.display()
    )]
    Damaged { path: PathBuf, detail: String },
    #[error(
        "the ledger was copied at position {checkpoint}, but the journal has only the entries \
         {first} to {last} of epoch {epoch}: the server trimmed the journal during the backup. Run \
         the backup again; if it fails again, raise watch_window or journal_max_bytes"
    )]
    JournalGap { checkpoint: Position, epoch: u64, first: u64, last: u64 },
    #[error(
        "{} is a backup, not a data directory: restore it with `sentinel restore {} --data-dir \
         DIR`, which revokes the leases that were granted since", dir.display(), dir.display()
    )]
    IsBackup { dir: PathBuf },
    #[error(
        "a restore into {} is unfinished: delete the contents of the directory and restore again",
        dir.display()
    )]
    UnfinishedRestore { dir: PathBuf },
    #[error(transparent)]
    Journal(#[from] OpenError),
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    #[error("cannot use the restored data: {0}")]
    Store(#[from] StoreError),
}

impl From<OpenDirError> for BackupError {
    fn from(error: OpenDirError) -> Self {
        match error {
            OpenDirError::Ledger(error) => error.into(),
            OpenDirError::Store(error) => error.into(),
        }
    }
}

impl BackupError {
    pub(super) fn io(path: &Path, source: std::io::Error) -> Self {
        Self::Io { path: path.to_owned(), source }
    }

    /// Whether the named directories do not allow the command, so that nothing was changed.
    pub(crate) fn is_refusal(&self) -> bool {
        matches!(
            self,
            Self::NoData { .. }
                | Self::NotEmpty { .. }
                | Self::InsideData { .. }
                | Self::NoManifest { .. }
                | Self::NewerFormat { .. }
                | Self::IsBackup { .. }
                | Self::UnfinishedRestore { .. }
                | Self::Journal(OpenError::Locked { .. })
        )
    }
}
