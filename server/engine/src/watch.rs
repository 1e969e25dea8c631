//! Watches: a snapshot, then every change, each version once, or a declared gap.
//!
//! One loop reads the journal for all watches of this server and fans the changes out to a
//! bounded buffer per watch. A watch whose reader is slow has a gap; nothing else waits for it.

mod cursor;
mod fanout;
mod journal_reader;
mod remote_jobs;
mod selector;
mod snapshot;
mod stream;
mod watcher;

pub use cursor::Cursor;
pub(crate) use fanout::Fanout;
pub(crate) use journal_reader::JournalReader;
pub use selector::Selector;
pub(crate) use stream::WatchContext;
pub use stream::{GapReason, Snapshot, Watch, WatchEvent, Watches};
