//! Ingest: streams of numbered items, each of which becomes a job exactly once.
//!
//! The offset of a producer is committed in the transaction that creates the jobs of its items,
//! on the condition that no other stream has taken the producer over.

mod producers;
mod stream;

pub use producers::{Producer, Producers};
pub use stream::{IngestItem, IngestProgress, IngestStream};
