//! The port to the hot truth: queues, leases and recent finals, wherever they live.
//!
//! A home of the port applies what it is given, all or nothing, in order, durably. It
//! makes one choice of its own: which ready job a claim gets. Every rule about jobs is in
//! `sentinel-domain`.

pub mod codec;
mod commit;
#[cfg(feature = "conformance")]
pub mod conformance;
mod error;
#[cfg(feature = "conformance")]
pub mod fault;
mod journal;
#[cfg(feature = "conformance")]
pub mod oracle;
mod peer_events;
mod store;
mod worker_info;
/// The stored record as messages; see `proto/sentinel/store/v1/store.proto`.
pub mod stored {
    include!("gen/sentinel.store.v1.rs");
}

pub use commit::{
    Claim, CommitRequest, CommitResult, Conflict, IdempotencyRecord, Mutation,
    PRODUCER_OFFSET_PREFIX, Precondition, ServerId, SessionRow, Transaction, TransactionResult,
    content_hash,
};
pub use error::StoreError;
pub use journal::{JobEvent, JournalEntry, JournalPage, Position};
pub use peer_events::PeerEvents;
pub use store::{Depth, DueWork, Store, StoreFuture, TrimRequest, TrimResult, Unblocked};
pub use worker_info::{AnnouncedKind, SessionInfo, WorkerInfo};
