//! The contract of a store: the state of live and recently terminal jobs, with a journal of all
//! commits. A backend is one implementation.
//!
//! A store applies transactions durably, atomically and in order. Its only decision is which ready
//! job a claim gets. All rules of a job are in `sentinel-domain`.

pub mod codec;
mod commit;
#[cfg(feature = "conformance")]
pub mod conformance;
mod error;
#[cfg(feature = "conformance")]
pub mod fault;
mod idempotency;
mod journal;
#[cfg(feature = "conformance")]
pub mod oracle;
mod peer_events;
mod store;
mod worker_info;
/// The messages of stored records; see `proto/sentinel/store/v1/store.proto`.
pub mod stored {
    include!("gen/sentinel.store.v1.rs");
}

pub use commit::{
    Claim, CommitRequest, CommitResult, Conflict, Mutation, Precondition, ServerId, SessionRow,
    Transaction, TransactionResult,
};
pub use error::StoreError;
pub use idempotency::{IdempotencyRecord, PRODUCER_OFFSET_PREFIX, content_hash};
pub use journal::{JobEvent, JournalEntry, JournalPage, ParsePositionError, Position};
pub use peer_events::PeerEvents;
pub use store::{Depth, DueWork, Store, StoreFuture, TrimRequest, TrimResult, Unblocked};
pub use worker_info::{AnnouncedKind, SessionInfo, WorkerInfo};
