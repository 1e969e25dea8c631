//! The history of every job: projected from the broker's journal, asked by lists, counts
//! and look-ups, and read at start for the jobs that still live.
//!
//! What is here lags behind the hot truth by as much as [`Ledger::as_of`] says. Nothing
//! here decides anything. No type of the database is in the interface.

mod error;
mod ledger;
mod query;
mod sqlite;

pub use error::LedgerError;
pub use ledger::{Ledger, LedgerOptions};
pub use query::{LogCursor, LogQuery, LogRow, Page, PageRequest, QueueCount};
