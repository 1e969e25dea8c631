//! Why the ledger could not answer. The type says what the caller may do about it. `path` is
//! the file, or the address of the database without its password.

use std::path::PathBuf;

use sentinel_domain::JobId;
use sentinel_store::Position;

/// Why the ledger could not answer. Nothing was changed, but for [`Self::Unavailable`] from a
/// database that servers share: there the answer to a commit may have been lost. A repeat is safe.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LedgerError {
    /// The same may work later.
    #[error("the ledger {} is not available: {message}", path.display())]
    Unavailable { path: PathBuf, message: String },
    /// No room: on the disk, or under [`crate::LedgerOptions::max_bytes`].
    #[error("the ledger {} is full: free disk space or raise its limit, then it goes on", path.display())]
    Full { path: PathBuf },
    /// A copy could not be written.
    #[error("the ledger {} can not be copied to {}: {message}", from.display(), to.display())]
    Copy { from: PathBuf, to: PathBuf, message: String },
    /// The file can not be read. Somebody must look.
    #[error("the ledger {} is damaged: {message}; restore it from a backup", path.display())]
    Damaged { path: PathBuf, message: String },
    /// The log lines are gone though the ledger is there.
    #[error("{} is missing beside its ledger: put it back, or restore a backup", path.display())]
    MissingLogs { path: PathBuf },
    /// A newer version of the program wrote the file.
    #[error(
        "the ledger {} has format {found}, this version knows up to {known}: \
         start the version that wrote it, or a newer one", path.display()
    )]
    NewerFormat { path: PathBuf, found: String, known: String },
    /// The tables are not there, or an older version made them.
    #[error(
        "the ledger {} has format {found}, this version needs {known}: run `sentinel migrate`",
        path.display()
    )]
    OlderFormat { path: PathBuf, found: String, known: String },
    /// The address can not be used, or the database server is not set up for a ledger. The
    /// message names the setting.
    #[error("the ledger {} can not be used: {message}", path.display())]
    Misconfigured { path: PathBuf, message: String },
    /// Something is there already, and rows were to be carried to an empty place.
    #[error(
        "the ledger {} is not empty: it holds {holds}. Name a database that nothing but \
         `sentinel migrate` has touched", path.display()
    )]
    NotEmpty { path: PathBuf, holds: String },
    /// A move into it began and has not ended: it has some of the rows.
    #[error(
        "the ledger {} is being filled by `sentinel move --from {directory}`, which has not ended: \
         wait for it, or run it again", path.display()
    )]
    ImportInProgress { path: PathBuf, directory: String },
    /// Another projector was here first: read the checkpoint and go on from there.
    #[error("the ledger was projected up to {found}, not {expected}: another projector is at work")]
    Superseded { expected: Position, found: Position },
    /// The entries do not follow one another: the projector left some out.
    #[error("journal entry {found} does not follow {after}")]
    Gap { after: Position, found: Position },
    /// The journal changes a job whose first entry was never projected.
    #[error("the journal changes job {id} at {position}, which the ledger {} never saw", path.display())]
    MissingJob { path: PathBuf, id: JobId, position: Position },
}
