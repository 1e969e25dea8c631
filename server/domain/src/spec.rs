//! What a caller said about a job. Only [`crate::SpecUpdate`] makes another one of it, before the
//! job has started.

use std::sync::Arc;

use bytes::Bytes;

use crate::{JobId, Millis, RetryPolicy};

/// A queue, kind or worker name. Shared: a million jobs of one kind hold one string.
pub type Name = Arc<str>;

/// A label for search and watch.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Label {
    pub key: Name,
    pub value: Name,
}

/// What the keys of labels begin with that were copied from payloads. No caller may use it.
pub const INDEXED_LABEL_PREFIX: &str = "payload.";

impl Label {
    /// It was copied from the payload by an index path of the queue.
    pub fn is_indexed(&self) -> bool {
        self.key.starts_with(INDEXED_LABEL_PREFIX)
    }
}

/// All that a caller said, with defaults filled in and checked by [`crate::NewJob::into_spec`].
#[derive(Clone, Debug, PartialEq)]
pub struct Spec {
    pub queue: Name,
    pub kind: Name,
    pub payload: Bytes,
    pub content_type: Name,
    pub priority: u8,
    pub created_at: Millis,
    /// Not before `created_at` as admitted: nobody jumps the queue by a time in the past. A job
    /// that replaces another one inherits its due time, and with it its place.
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
    /// None: as the server is set at the time of a change.
    pub ack: Option<Ack>,
    /// Stored fields that only a newer version knows: they go along unread.
    pub unknown_fields: Option<Box<[u8]>>,
}

/// How safe a change of a job must be before it is acknowledged, in rising order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Ack {
    /// The hot store has it.
    #[default]
    Store,
    /// Replicas of the hot store have it.
    Replicated,
    /// The ledger has it.
    Ledger,
}

/// Keeps a second job for the same work away.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unique {
    pub key: Box<str>,
    pub scope: UniqueScope,
    pub mode: UniqueMode,
    /// None: until the holder is final.
    pub ttl_ms: Option<u64>,
}

/// Among which jobs a key is unique.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UniqueScope {
    Kind,
    Queue,
}

/// What an enqueue does when another job holds the key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UniqueMode {
    ReturnExisting,
    Reject,
    ReplacePending,
    Debounce,
}

impl UniqueMode {
    /// All of them, for tables and tests.
    pub const ALL: [Self; 4] =
        [Self::ReturnExisting, Self::Reject, Self::ReplacePending, Self::Debounce];
}

/// What happens to a job when one it depends on ends other than succeeded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DependencyFailure {
    Cancel,
    Run,
}

/// What happens when the worker that runs the job is lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnLost {
    Retry,
    Fail,
}
