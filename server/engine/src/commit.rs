//! The path of every change: submitted as a transaction, grouped into one commit request by the
//! commit loop, and acknowledged at its durability level.

mod commit_loop;
mod committer;
mod durability;
mod idempotency;
mod in_flight;
mod ledger_progress;
mod producer_offset;
mod transaction;

pub(crate) use commit_loop::CommitLoop;
pub(crate) use committer::{CommitQueue, Committer, channel};
pub(crate) use durability::Durability;
pub use idempotency::IdempotencyKey;
pub(crate) use idempotency::{Idempotency, RecordedItem, decode_response};
pub(crate) use in_flight::CommitContext;
pub(crate) use ledger_progress::LedgerProgress;
pub use producer_offset::RejectedItem;
pub(crate) use producer_offset::{ProducerOffset, ProducerState};
pub(crate) use transaction::{recreate_from_ledger, update_transaction};

/// How often a decision is repeated on a newer version of the job before it fails as contended.
pub(crate) const DECISION_ATTEMPTS: usize = 5;
