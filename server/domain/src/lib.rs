//! What a job is and what may happen to it.
//!
//! Pure: no IO, no async, no clock, no randomness. Time and entropy are arguments, so every
//! rule can be walked exhaustively and replayed. Stores apply what is decided here; they
//! never decide.

mod admit;
mod attempt;
mod command;
mod deadline;
mod decide;
mod filter;
mod id;
mod identity;
pub mod invariant;
mod job;
pub mod limits;
mod order;
mod queue;
mod restore;
mod retry;
mod spec;
mod unique;
mod update;
mod violation;

pub use admit::{Dependency, NewJob, check_name, initial_state};
pub use attempt::{AttemptEnd, AttemptOutcome};
pub use command::{Command, Failure, CommandError};
pub use deadline::{next_deadline, deadline_command};
pub use decide::{Decision, decide, promote, start};
pub use filter::Filter;
pub use id::{JobId, MAX_SHARD, SessionId, WorkerId};
pub use identity::{ApiKey, AuditEntry, KeyRejection, KeyId, ParseKeyIdError, ParseRoleError, Role, Scopes, actor};
pub use job::{Cancel, Job, JobError, Lease, LeaseId, Millis, Progress, Reason, State, Status};
pub use order::ready_score;
pub use queue::{Queue, QueueMode, QueueOrder};
pub use restore::{restore_command, raise_epoch, missing_parent_tombstone};
pub use retry::{Backoff, Entropy, Jitter, RetryPolicy};
pub use spec::{
    Ack, DependencyFailure, INDEXED_LABEL_PREFIX, Label, Name, OnLost, Spec, Unique, UniqueMode,
    UniqueScope,
};
pub use unique::{UniqueConflictAction, UniqueKey, held_key, on_unique_conflict, unique_key};
pub use update::SpecUpdate;
pub use violation::FieldViolation;
