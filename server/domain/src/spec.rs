//! The specification of a job. Only a [`crate::SpecUpdate`] changes it, before the job has started.

use std::sync::Arc;

use bytes::Bytes;

use crate::{JobId, Millis, RetryPolicy};

/// The name of a queue, kind or worker. Equal names share one allocation.
pub type Name = Arc<str>;

/// A label, for filters.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Label {
    pub key: Name,
    pub value: Name,
}

/// The prefix of label keys that are copied from payloads. It is reserved.
pub const INDEXED_LABEL_PREFIX: &str = "payload.";

impl Label {
    /// Returns whether the label was copied from the payload by an index path of the queue.
    pub fn is_indexed(&self) -> bool {
        self.key.starts_with(INDEXED_LABEL_PREFIX)
    }
}

/// The validated specification of a job. [`crate::NewJob::into_spec`] creates it.
#[derive(Clone, Debug, PartialEq)]
pub struct Spec {
    pub queue: Name,
    pub kind: Name,
    pub payload: Bytes,
    pub content_type: Name,
    pub priority: u8,
    pub created_at: Millis,
    /// When the job may start first. A new job gets at least `created_at`, so a time in the past
    /// does not advance it in the queue. A job that replaces another one inherits its due time.
    pub run_at: Millis,
    pub start_deadline: Option<Millis>,
    pub run_timeout_ms: Option<u64>,
    pub retry: RetryPolicy,
    /// Sorted by key.
    pub labels: Box<[Label]>,
    pub unique: Option<Box<Unique>>,
    pub depends_on: Box<[JobId]>,
    pub on_dependency_failure: DependencyFailure,
    pub on_lost: OnLost,
    pub traceparent: Option<Box<str>>,
    pub cancel_grace_ms: u64,
    pub actor: Option<Box<str>>,
    /// `None`: the server's default at the time of each change.
    pub ack: Option<Ack>,
    /// Encoded fields of a newer version. They are preserved.
    pub unknown_fields: Option<Box<[u8]>>,
}

/// The durability level that a change must reach before it is acknowledged, in rising order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Ack {
    /// The store has committed the change.
    #[default]
    Store,
    /// Replicas of the store have the change.
    Replicated,
    /// The ledger has the change.
    Ledger,
}

/// The unique key of a job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unique {
    pub key: Box<str>,
    pub scope: UniqueScope,
    pub mode: UniqueMode,
    /// `None`: the key is held until the job is terminal.
    pub ttl_ms: Option<u64>,
}

/// The jobs among which a key is unique.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UniqueScope {
    Kind,
    Queue,
}

/// What an enqueue does if another job holds the key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UniqueMode {
    ReturnExisting,
    Reject,
    ReplacePending,
    Debounce,
}

impl UniqueMode {
    /// All modes.
    pub const ALL: [Self; 4] =
        [Self::ReturnExisting, Self::Reject, Self::ReplacePending, Self::Debounce];
}

/// What happens to a job if one of its dependencies does not succeed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DependencyFailure {
    Cancel,
    Run,
}

/// What happens to a job if its worker is lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnLost {
    Retry,
    Fail,
}
