//! The history of every job: projected from the store's journal, asked by lists, counts
//! and look-ups, and read at start for the jobs that still live.
//!
//! What is here lags behind the hot truth by as much as [`Ledger::as_of`] says. Nothing
//! here decides anything. No type of the database is in the interface.
//!
//! It is in a file of one server or in a database that several share. What it does is written
//! once, in `work`, over the statements of `rows`, which `sqlite` and `mysql` each carry out.
//! There is no second copy of a rule to keep equal, and the tests run on both. The work is async
//! for the sake of the network; on a file none of it ever waits, so it runs to its end in one
//! blocking closure a transaction.

mod backup;
mod carry;
mod error;
mod identity;
mod kind;
mod ledger;
mod mysql;
mod query;
mod retention;
mod rows;
mod sql;
mod sqlite;
mod work;

pub use backup::{begin_ledger_epoch, check_ledger, copy_ledger, ledger_checkpoint};
pub use carry::{Import, ImportStep};
pub use error::LedgerError;
pub use identity::{PutKeyResult, ApiKeySnapshot};
pub use kind::KnownKind;
pub use ledger::{Ledger, LedgerOptions};
pub use mysql::{MigrationReport, MigrationMode};
pub use query::{
    LogCursor, LogQuery, LogRow, OutputPiece, OutputPosition, OutputQuery, Page, PageRequest,
    QueueCount,
};
pub use retention::{RetentionCutoffs, RetentionCursor, RemovalResult, RemovableJob, RemovablePage};
