//! The embedded store backend: all jobs in memory, and all changes in a journal on disk before they
//! are acknowledged.
//!
//! One thread owns the state and executes requests in order. A reader therefore sees only complete,
//! durable commits, and no lock is needed.

mod backup;
mod ballast;
mod claim;
mod commit;
mod core;
mod due_work;
mod epoch;
mod error;
mod idempotency;
mod journal;
mod last_results;
mod lock;
mod open;
mod ring;
mod sessions;
mod state;
mod store;
mod trim;

pub use backup::{JournalPin, JournalRange, begin_epoch, check_journal};
pub use error::OpenError;
pub use lock::DirLock;
pub use open::{LedgerState, OpenOptions};
pub use ring::RingLimits;
pub use store::EmbeddedStore;
