//! The ledger: the SQL history of every job.
//!
//! The projector writes the store's journal into it. Lists, counts and look-ups read from it,
//! and an embedded store loads the non-terminal jobs from it when it starts. The ledger lags
//! behind the store; [`Ledger::as_of`] returns how far. It makes no decisions about jobs, and
//! its interface exposes no database types.
//!
//! A ledger is either two SQLite files of one server or a MySQL database that several servers
//! share. Each method of [`Ledger`] is defined once, in `queries`, on top of the statements of
//! the `Connection` trait, which `sqlite` and `mysql` implement. The tests run on both backends.
//! The methods are async because of the network. On SQLite no statement ever waits, so each
//! transaction runs to completion in one blocking closure.

mod backup;
mod batch;
mod connection;
mod database_error;
mod error;
mod import;
mod ledger;
mod mysql;
mod options;
mod queries;
mod sql;
mod sqlite;
mod types;

pub use backup::{begin_ledger_epoch, check_ledger, copy_ledger, ledger_checkpoint};
pub use error::LedgerError;
pub use ledger::Ledger;
pub use mysql::migrate::{MigrationMode, MigrationReport};
pub use options::LedgerOptions;
pub use types::identity::{ApiKeySnapshot, PutKeyResult};
pub use types::import::{Import, ImportStep};
pub use types::jobs::{Page, PageRequest, QueueCount};
pub use types::kinds::KnownKind;
pub use types::logs::{LogCursor, LogQuery, LogRow};
pub use types::outputs::{OutputChunk, OutputPosition, OutputQuery};
pub use types::retention::{
    RemovableJob, RemovablePage, RemovalResult, RetentionCursor, RetentionCutoffs,
};
