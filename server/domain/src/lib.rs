//! The rules of a job: its types, its state machine and its limits.
//!
//! The crate is pure: no IO, no async, no clock, no randomness. Time and entropy are arguments, so
//! tests can explore every rule exhaustively and replay it. Stores apply the decisions of this
//! crate and decide nothing about a job themselves, except which ready job a claim gets.

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
mod new_job;
mod order;
mod queue;
mod restore;
mod retry;
mod spec;
mod time;
mod unique;
mod update;
mod violation;

pub use attempt::{AttemptEnd, AttemptOutcome};
pub use command::{Command, CommandError, Failure};
pub use deadline::{deadline_command, next_deadline};
pub use decide::{Decision, decide, promote, start};
pub use filter::Filter;
pub use id::{JobId, MAX_SHARD, SessionId, WorkerId};
pub use identity::{
    ApiKey, AuditEntry, KeyId, KeyRejection, ParseKeyIdError, ParseRoleError, Role, Scopes, actor,
};
pub use job::{Cancel, Job, JobError, Lease, LeaseId, Progress, Reason, State, Status};
pub use new_job::{Dependency, NewJob, check_name, initial_state};
pub use order::ready_score;
pub use queue::{Queue, QueueMode, QueueOrder};
pub use restore::{missing_parent_tombstone, raise_epoch, restore_command};
pub use retry::{Backoff, Entropy, Jitter, RetryPolicy};
pub use spec::{
    Ack, DependencyFailure, INDEXED_LABEL_PREFIX, Label, Name, OnLost, Spec, Unique, UniqueMode,
    UniqueScope,
};
pub use time::Millis;
pub use unique::{UniqueConflictAction, UniqueKey, held_key, on_unique_conflict, unique_key};
pub use update::SpecUpdate;
pub use violation::FieldViolation;
