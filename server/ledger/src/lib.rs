//! The history of every job: projected from the broker's journal, asked by lists, counts
//! and look-ups, and read at start for the jobs that still live.
//!
//! What is here lags behind the hot truth by as much as [`Ledger::as_of`] says. Nothing
//! here decides anything. No type of the database is in the interface.

mod backup;
mod error;
mod ledger;
mod mysql;
mod query;
mod retention;
mod rows;
mod sql;
mod sqlite;
mod work;

pub use backup::{begin_ledger_epoch, check_ledger, copy_ledger, ledger_checkpoint};
pub use error::LedgerError;
pub use ledger::{Ledger, LedgerOptions};
pub use mysql::{Migrated, MigrationState};
pub use query::{LogCursor, LogQuery, LogRow, Page, PageRequest, QueueCount};
pub use retention::{Expiry, Place, Removed, Stale, StalePage};
