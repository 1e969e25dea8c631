//! A job as stores keep it: a spec that hardly ever changes and a small status.

use std::sync::Arc;

use bytes::Bytes;

use crate::limits::CRASHES_MAX;
use crate::{JobId, Name, SessionId, Spec};

/// Milliseconds since the Unix epoch.
pub type Millis = i64;

/// Where a job stands in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum State {
    Scheduled,
    Blocked,
    Ready,
    Running,
    Succeeded,
    Failed,
    Cancelled,
    Expired,
}

impl State {
    /// All of them, for tables and tests.
    pub const ALL: [Self; 8] = [
        Self::Scheduled,
        Self::Blocked,
        Self::Ready,
        Self::Running,
        Self::Succeeded,
        Self::Failed,
        Self::Cancelled,
        Self::Expired,
    ];

    /// Nothing but a retry moves a job out of a final state.
    pub const fn is_terminal(self) -> bool {
        matches!(self, Self::Succeeded | Self::Failed | Self::Cancelled | Self::Expired)
    }

    /// A cancel may end it, or ask its handler to.
    pub const fn can_be_cancelled(self) -> bool {
        !self.is_terminal()
    }

    /// A retry may begin another run.
    pub const fn can_be_retried(self) -> bool {
        self.is_terminal()
    }

    /// No handler works on it.
    pub const fn can_be_deleted(self) -> bool {
        !matches!(self, Self::Running)
    }

    /// Waits to be started.
    pub const fn is_waiting(self) -> bool {
        matches!(self, Self::Scheduled | Self::Blocked | Self::Ready)
    }
}

/// Why a job is in its state, where the state alone does not say it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Reason {
    None,
    HandlerError,
    NotRetryable,
    Timeout,
    WorkerLost,
    Poisoned,
    CancelledByCaller,
    Replaced,
    DependencyFailed,
    StartDeadline,
    Snoozed,
    Released,
    /// Not a job any more: what says so to those who wait for it or watch it.
    Deleted,
}

/// A job. Stores and readers share it; a change makes a new one.
#[derive(Clone, Debug, PartialEq)]
pub struct Job {
    pub id: JobId,
    pub spec: Arc<Spec>,
    pub status: Status,
}

impl Job {
    /// Only the word that it is gone is left.
    pub fn is_deleted(&self) -> bool {
        self.status.is_deleted()
    }

    /// One more attempt that takes its worker down, and it is given up.
    pub fn is_poison_suspect(&self) -> bool {
        u64::from(self.status.crashes) + 1 >= CRASHES_MAX
    }
}

/// What changes during the life of a job.
#[derive(Clone, Debug, PartialEq)]
pub struct Status {
    pub state: State,
    pub reason: Reason,
    /// Counts changes from 1, dense.
    pub version: u64,
    pub run: u32,
    /// Attempts of this run begun so far.
    pub attempt: u32,
    /// Attempts of this run that took their worker down.
    pub crashes: u32,
    /// Rises with every lease of the job's whole life.
    pub epoch: u64,
    /// An attempt of this run was snoozed: it began and does not count.
    pub was_snoozed: bool,
    /// How often the spec was changed: tells copies of it apart.
    pub revision: u32,
    /// When it may start. Means something in SCHEDULED, READY and BLOCKED.
    pub ready_at: Millis,
    pub updated_at: Millis,
    pub started_at: Option<Millis>,
    pub finished_at: Option<Millis>,
    /// There iff RUNNING.
    pub lease: Option<Lease>,
    pub cancel: Option<Box<Cancel>>,
    pub error: Option<Box<JobError>>,
    pub result: Option<Bytes>,
    pub checkpoint: Option<Bytes>,
    pub progress: Option<Box<Progress>>,
    /// Jobs it still waits for. Not empty iff BLOCKED.
    pub waiting_for: Box<[JobId]>,
    /// Instance of the worker that ran the last attempt.
    pub worker: Option<Name>,
    /// The last lease whose report is the record: tells a report that came twice from a stale one.
    pub recorded_lease: Option<(u64, SessionId)>,
    /// Stored fields that only a newer version knows: they go along unread.
    pub unknown_fields: Option<Box<[u8]>>,
}

impl Status {
    /// As [`Job::is_deleted`].
    pub fn is_deleted(&self) -> bool {
        self.reason == Reason::Deleted
    }
}

/// The identity of a lease, as the worker sends it back. Compared for equality, never by order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct LeaseId {
    pub run: u32,
    pub attempt: u32,
    /// The fencing token: it rises with every lease of the job.
    pub epoch: u64,
    pub session: SessionId,
}

/// The right of a session to run one attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Lease {
    pub id: LeaseId,
    pub granted_at: Millis,
}

/// A cancel that was accepted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cancel {
    pub at: Millis,
    pub reason: Box<str>,
    pub actor: Box<str>,
}

/// What a failed attempt left behind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JobError {
    pub message: Box<str>,
    pub code: Box<str>,
    pub retryable: bool,
}

/// How far a handler has come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Progress {
    pub seq: u64,
    pub done: u64,
    pub total: u64,
    pub message: Box<str>,
}
