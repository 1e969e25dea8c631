//! The errors of opening a data directory. Each message contains a remedy.

use std::io;
use std::path::{Path, PathBuf};

use sentinel_domain::JobId;
use sentinel_store::Position;

/// Why a store can not be opened. Nothing on disk has changed.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    #[error(
        "{dir:?} is in use by {}: stop it, or use another data directory",
        holder.map_or("another process".to_owned(), |pid| format!("process {pid}"))
    )]
    Locked { dir: PathBuf, holder: Option<u32> },
    #[error("failed to copy {from:?} to {to:?}: {detail}")]
    Copy { from: PathBuf, to: PathBuf, detail: String },
    #[error("{path:?}: {source}")]
    Io {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error(
        "{file:?} has format {format}, but this version supports formats up to {supported}: \
         start the version that wrote it, or a newer one"
    )]
    Newer { file: PathBuf, format: i32, supported: i32 },
    #[error(
        "{file:?} is damaged: {detail}. Restore the data directory from a backup; \
         without one, copy it before you try anything else"
    )]
    Damaged { file: PathBuf, detail: String },
    #[error(
        "the journal has no entries {from} to {to}, before {file:?}: restore the missing \
         journal files, or the whole data directory from one backup"
    )]
    Gap { file: PathBuf, from: u64, to: u64 },
    #[error(
        "the journal in {dir:?} has epoch {journal}, but the ledger has epoch {ledger}: restore \
         both from the same backup"
    )]
    OtherEpoch { dir: PathBuf, journal: u64, ledger: u64 },
    #[error(
        "the ledger is projected up to {checkpoint}, but {dir:?} has no journal: restore the \
         journal from the same backup as the ledger"
    )]
    NoJournal { dir: PathBuf, checkpoint: Position },
    #[error(
        "the ledger is projected up to {checkpoint}, but the journal in {dir:?} starts at {first}: \
         restore a newer ledger, or the older journal files"
    )]
    LedgerBehind { dir: PathBuf, checkpoint: Position, first: u64 },
    #[error(
        "the ledger is projected up to {checkpoint}, but the journal in {dir:?} ends at {last}: \
         restore the newer journal, or both from the same backup"
    )]
    LedgerAhead { dir: PathBuf, checkpoint: Position, last: u64 },
    #[error(
        "the journal entry {seq} changes job {job}, which the ledger does not contain: restore the \
         ledger and the journal from the same backup"
    )]
    UnknownJob { seq: u64, job: JobId },
}

impl OpenError {
    pub(crate) fn io(path: &Path, source: io::Error) -> Self {
        Self::Io { path: path.to_owned(), source }
    }

    pub(crate) fn copy(from: &Path, to: &Path, detail: impl ToString) -> Self {
        Self::Copy { from: from.to_owned(), to: to.to_owned(), detail: detail.to_string() }
    }

    pub(crate) fn damaged(file: &Path, detail: impl ToString) -> Self {
        Self::Damaged { file: file.to_owned(), detail: detail.to_string() }
    }
}
