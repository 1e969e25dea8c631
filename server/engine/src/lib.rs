//! The operations on jobs, queues and workers, and the background loops of a server.
//!
//! [`Engine`] assembles them. A change is decided by `sentinel_domain::decide`, committed by the
//! store under preconditions, and decided again on the newer version after a conflict. Nothing
//! here depends on gRPC, SQL or Redis.
//!
//! The modules, from the bottom up:
//! - `runtime`: clock, random numbers, tasks, settings, metrics
//! - `cluster`: leader lease, events of peers, health of the store
//! - `commit`: the commit loop, durability levels, idempotency records
//! - `dispatch`: assignment of jobs to worker sessions, and the sweeper
//! - `queues`, `jobs`, `ingest`, `history`, `workers`: the operations
//! - `session`: the protocol with a worker
//! - `watch`, `summary`: live views

mod cluster;
mod commit;
mod dispatch;
mod engine;
mod error;
mod history;
mod ingest;
mod jobs;
mod queues;
mod runtime;
pub mod session;
mod summary;
mod watch;
mod workers;

pub use commit::{IdempotencyKey, RejectedItem};
pub use engine::{Engine, EngineDeps};
pub use error::{EngineError, ItemError};
pub use history::{
    Attempt, AttemptResult, AttemptsPage, CountsPage, History, JobsPage, LogReader, OutputPage,
    OutputReader, Retention, RetentionPass,
};
pub use ingest::{IngestItem, IngestProgress, IngestStream, Producer, Producers};
pub use jobs::{
    BatchItemResult, BulkAction, BulkOutcome, BulkStep, CancelOutcome, Cancelled, Enqueued, Jobs,
    Submitter,
};
pub use queues::Queues;
pub use runtime::{Clock, NoObserver, Observer, Rng, Settings, Tasks};
pub use summary::{
    Percentiles, QueueActivity, QueueSummary, Summaries, Summary, SummarySelection, SummaryStream,
};
pub use watch::{Cursor, GapReason, Selector, Snapshot, Watch, WatchEvent, Watches};
pub use workers::{DeclaredKind, Kind, Kinds, KindsPage, WorkerEntry, Workers, WorkersPage};
