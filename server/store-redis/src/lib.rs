//! The port to the hot truth on Redis 7 or Valkey: any number of servers share it.
//!
//! Everything of a shard lies under one hash tag, so that one script call is one group
//! commit on a single server and on a Cluster alike. A writer has a connection of its own
//! and numbers its calls; reads go through a pool; a subscriber moves the head.

mod address;
mod args;
mod clock;
mod error;
mod head;
mod inspect;
mod journal;
mod keys;
mod link;
mod news;
mod oldest;
mod open;
mod options;
mod pulse;
mod read;
mod rebuild;
mod record;
mod reply;
mod script;
mod specs;
mod store;
mod writer;

pub use error::OpenError;
pub use inspect::{Inspection, RedisNode, inspect};
pub use options::{OpenOptions, ReplicationOptions};
pub use pulse::StoreHealth;
pub use rebuild::{ExistingStore, Rebuild, RebuildError};
pub use store::RedisStore;
