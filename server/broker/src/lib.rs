//! The port to the hot truth: queues, leases and recent finals, wherever they live.
//!
//! A home of the port applies what it is given, all or nothing, in order, durably. It
//! makes one choice of its own: which ready job a claim gets. Every rule about jobs is in
//! `sentinel-domain`.

mod call;
mod card;
pub mod codec;
#[cfg(feature = "conformance")]
pub mod conformance;
mod error;
#[cfg(feature = "conformance")]
pub mod fault;
mod journal;
mod news;
#[cfg(feature = "conformance")]
pub mod oracle;
mod port;
/// The stored record as messages; see `proto/sentinel/store/v1/store.proto`.
pub mod stored {
    include!("gen/sentinel.store.v1.rs");
}

pub use call::{
    Call, Change, Claim, Conflict, Group, Guard, Outcome, PRODUCER, RequestMemory, ServerId,
    SessionRow, Verdict, content_hash,
};
pub use card::{AnnouncedKind, Announcement, Card};
pub use error::StoreError;
pub use journal::{Entry, JobEvent, Position, Tail};
pub use news::News;
pub use port::{Attention, Broker, Depth, Reply, Trim, Trimmed, Unblocked};
