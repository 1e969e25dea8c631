//! The store on Redis 7 or Valkey, shared by any number of servers.
//!
//! All keys of a shard have the same hash tag, so one script call is one group commit, on a single
//! server and on a Cluster. The writer has its own connection and numbers its calls. Reads use a
//! pool of connections. A subscriber advances the head of the journal and receives peer events.

mod address;
mod clock;
mod commit_args;
mod connection;
mod error;
mod inspect;
mod job_record;
mod journal;
mod keys;
mod monitor;
mod oldest_ready;
mod open;
mod options;
mod peer_events;
mod reader;
mod rebuild;
mod reply;
mod script;
mod spec_cache;
mod store;
mod subscriber;
mod writer;

pub use error::OpenError;
pub use inspect::{Inspection, RedisNode, inspect};
pub use monitor::StoreHealth;
pub use options::{OpenOptions, ReplicationOptions};
pub use rebuild::{ExistingStore, Rebuild, RebuildError};
pub use store::RedisStore;
