//! The operations on jobs.

mod access;
mod batch_get;
mod bulk;
mod cancel;
mod decision;
mod delete;
mod draft;
mod enqueue;
mod enqueuer;
mod reader;
mod retry;
mod run_now;
mod service;
mod update;

pub use access::Submitter;
pub(crate) use access::check_new_job;
pub use bulk::{BulkAction, BulkOutcome, BulkStep};
pub use cancel::{CancelOutcome, Cancelled};
pub(crate) use decision::{DecisionCommitter, DecisionOutcome};
pub(crate) use draft::DraftResolver;
pub use draft::Enqueued;
pub use enqueuer::BatchItemResult;
pub(crate) use enqueuer::{BatchRecord, Enqueuer};
pub(crate) use reader::JobReader;
pub use service::Jobs;
