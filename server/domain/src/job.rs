//! A job: a spec that rarely changes, and a small status.

use std::sync::Arc;

use bytes::Bytes;

use crate::limits::CRASHES_MAX;
use crate::{JobId, Millis, Name, SessionId, Spec};

/// The state of a job.
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
    /// All states.
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

    /// Returns whether the state is terminal. Only a retry leaves a terminal state.
    pub const fn is_terminal(self) -> bool {
        matches!(self, Self::Succeeded | Self::Failed | Self::Cancelled | Self::Expired)
    }

    /// Returns whether a job in this state can be cancelled.
    pub const fn can_be_cancelled(self) -> bool {
        !self.is_terminal()
    }

    /// Returns whether a job in this state can be retried.
    pub const fn can_be_retried(self) -> bool {
        self.is_terminal()
    }

    /// Returns whether a job in this state can be deleted.
    pub const fn can_be_deleted(self) -> bool {
        !matches!(self, Self::Running)
    }

    /// Returns whether a job in this state waits to be started.
    pub const fn is_waiting(self) -> bool {
        matches!(self, Self::Scheduled | Self::Blocked | Self::Ready)
    }
}

/// Why a job is in its state.
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
    /// The job was deleted. The tombstone informs its dependents and watchers.
    Deleted,
}

/// A version of a job. Stores and readers share it, and a change creates a new one.
#[derive(Clone, Debug, PartialEq)]
pub struct Job {
    pub id: JobId,
    pub spec: Arc<Spec>,
    pub status: Status,
}

impl Job {
    /// Returns whether the job is the tombstone of a deleted job.
    pub fn is_deleted(&self) -> bool {
        self.status.is_deleted()
    }

    /// Returns whether the job fails as POISONED if its worker is lost once more.
    pub fn is_poison_suspect(&self) -> bool {
        u64::from(self.status.crashes) + 1 >= CRASHES_MAX
    }
}

/// The mutable part of a job.
#[derive(Clone, Debug, PartialEq)]
pub struct Status {
    pub state: State,
    pub reason: Reason,
    /// Starts at 1 and rises by one with every change.
    pub version: u64,
    pub run: u32,
    /// The number of attempts of this run that count.
    pub attempt: u32,
    /// The number of attempts of this run whose worker was lost.
    pub crashes: u32,
    /// The epoch of the last lease. It rises by one with every lease, across all runs.
    pub epoch: u64,
    /// Whether an attempt of this run was snoozed. It started, although it does not count.
    pub was_snoozed: bool,
    /// The number of updates of the spec.
    pub revision: u32,
    /// When the job may start. Meaningful in SCHEDULED, READY and BLOCKED.
    pub ready_at: Millis,
    pub updated_at: Millis,
    pub started_at: Option<Millis>,
    pub finished_at: Option<Millis>,
    /// Present if and only if the job is RUNNING.
    pub lease: Option<Lease>,
    pub cancel: Option<Box<Cancel>>,
    pub error: Option<Box<JobError>>,
    pub result: Option<Bytes>,
    pub checkpoint: Option<Bytes>,
    pub progress: Option<Box<Progress>>,
    /// The dependencies that are not terminal. Not empty if and only if the job is BLOCKED.
    pub waiting_for: Box<[JobId]>,
    /// The instance name of the worker that ran the last attempt.
    pub worker: Option<Name>,
    /// Epoch and session of the last lease whose report was recorded. It distinguishes a repeated
    /// report from a stale one.
    pub recorded_lease: Option<(u64, SessionId)>,
    /// Encoded fields of a newer version. They are preserved.
    pub unknown_fields: Option<Box<[u8]>>,
}

impl Status {
    /// Returns whether the status is that of a deleted job.
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

/// An accepted cancel request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cancel {
    pub at: Millis,
    pub reason: Box<str>,
    pub actor: Box<str>,
}

/// The error of a failed attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JobError {
    pub message: Box<str>,
    pub code: Box<str>,
    pub retryable: bool,
    /// The stack trace or the chain of causes; empty if the worker sent none.
    pub detail: Box<str>,
}

impl JobError {
    /// An error without a detail.
    pub fn new(message: impl Into<Box<str>>, code: impl Into<Box<str>>, retryable: bool) -> Self {
        Self { message: message.into(), code: code.into(), retryable, detail: "".into() }
    }

    /// Returns the stack trace or the chain of causes, if the worker sent one.
    pub fn detail(&self) -> Option<&str> {
        (!self.detail.is_empty()).then_some(&*self.detail)
    }
}

/// A progress report of a handler.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Progress {
    pub seq: u64,
    pub done: u64,
    pub total: u64,
    pub message: Box<str>,
}
