//! The error type of the ledger.

use std::path::PathBuf;

use sentinel_domain::JobId;
use sentinel_store::Position;

/// The error of a ledger operation. `path` is the file, or the URL of the database without its
/// password.
///
/// Nothing was changed, except after [`Self::Unavailable`] from a MySQL database: the response
/// to a commit may have been lost there. Every operation can be repeated safely.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LedgerError {
    /// A temporary failure: the same operation may succeed later.
    #[error("the ledger {} is not available: {message}", path.display())]
    Unavailable { path: PathBuf, message: String },
    /// The disk is full, or the file reached [`crate::LedgerOptions::max_bytes`].
    #[error(
        "the ledger {} is full: free disk space or raise its size limit; writes then resume",
        path.display()
    )]
    Full { path: PathBuf },
    /// A copy could not be written.
    #[error("cannot copy the ledger {} to {}: {message}", from.display(), to.display())]
    Copy { from: PathBuf, to: PathBuf, message: String },
    /// The file is corrupt. It needs manual repair.
    #[error("the ledger {} is damaged: {message}; restore it from a backup", path.display())]
    Damaged { path: PathBuf, message: String },
    /// The file of log lines is missing, and the ledger file exists.
    #[error(
        "the log file {} of the ledger is missing: put it back, or restore a backup",
        path.display()
    )]
    MissingLogs { path: PathBuf },
    /// A newer version of the program wrote the ledger.
    #[error(
        "the ledger {} has format {found}, this version supports up to {known}: \
         start the version that wrote it, or a newer one", path.display()
    )]
    NewerFormat { path: PathBuf, found: String, known: String },
    /// The tables do not exist, or an older version of the program created them.
    #[error(
        "the ledger {} has format {found}, this version needs {known}: run `sentinel migrate`",
        path.display()
    )]
    OlderFormat { path: PathBuf, found: String, known: String },
    /// The URL is not valid, or a setting of the database server does not fit. The message names
    /// the setting.
    #[error("the ledger {} cannot be used: {message}", path.display())]
    Misconfigured { path: PathBuf, message: String },
    /// The target of an import already contains rows.
    #[error(
        "the ledger {} is not empty: it contains {holds}. Name a database that only \
         `sentinel migrate` has written to", path.display()
    )]
    NotEmpty { path: PathBuf, holds: String },
    /// An import into the ledger is unfinished, so some of its rows are missing.
    #[error(
        "the import of {directory} into the ledger {} by `sentinel import` has not finished: \
         wait for it, or run it again", path.display()
    )]
    ImportInProgress { path: PathBuf, directory: String },
    /// Another projector moved the checkpoint. Read the checkpoint and continue from there.
    #[error(
        "the checkpoint of the ledger is {found}, not {expected}: another projector is running"
    )]
    Superseded { expected: Position, found: Position },
    /// The entries of a batch are not consecutive.
    #[error("journal entry {found} does not follow {after}: entries between them are missing")]
    Gap { after: Position, found: Position },
    /// The journal changes a job that the ledger does not contain.
    #[error(
        "journal entry {position} changes job {id}, which the ledger {} does not contain",
        path.display()
    )]
    MissingJob { path: PathBuf, id: JobId, position: Position },
}
