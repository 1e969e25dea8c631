//! The port to the hot truth on one machine: everything in memory, every change in a
//! journal before it is acknowledged.
//!
//! One thread owns all state and runs requests in order. So a reader sees only whole,
//! durable calls, and nothing needs a lock.

mod apply;
mod backup;
mod ballast;
mod claim;
mod core;
mod due_work;
mod epoch;
mod error;
mod journal;
mod lock;
mod open;
mod replies;
mod requests;
mod ring;
mod sessions;
mod state;
mod thread;
mod trim;

pub use backup::{JournalPin, JournalSpan, begin_epoch, check_journal};
pub use error::OpenError;
pub use lock::DirLock;
pub use open::{OpenOptions, RingLimits, LedgerState};
pub use thread::EmbeddedStore;
