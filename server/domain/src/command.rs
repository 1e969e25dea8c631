//! What can be asked of a job, and how it is refused.

use std::sync::Arc;

use bytes::Bytes;

use crate::{Entropy, JobError, JobId, LeaseId, Millis, Name, SessionId, Spec, State};

/// What can be asked of a job. Those with a lease come from the worker that holds it.
#[derive(Clone, Debug, PartialEq)]
pub enum Command {
    /// Its time has come.
    Promote,
    /// Its start deadline has passed.
    Expire,
    /// Hand it to a worker.
    Start { session: SessionId, worker: Name },
    /// The assignment never arrived.
    NotReceived { lease: LeaseId },
    /// The handler is done.
    Succeed { lease: LeaseId, started_at: Option<Millis>, result: Bytes },
    /// The handler failed.
    Fail { lease: LeaseId, started_at: Option<Millis>, failure: Failure },
    /// The handler wants to be run again later.
    Snooze { lease: LeaseId, started_at: Option<Millis>, delay_ms: u64 },
    /// The worker hands it back without running it.
    Release { lease: LeaseId },
    /// The handler stopped because of a cancel.
    Stop { lease: LeaseId, started_at: Option<Millis>, entropy: Entropy },
    /// State for the next attempt.
    Checkpoint { lease: LeaseId, data: Bytes },
    /// A caller wants it ended.
    Cancel { reason: Box<str>, actor: Box<str> },
    /// The grace of a cancel is over.
    Revoke,
    /// The worker of this session is lost.
    MarkLost { session: SessionId },
    /// The worker let run_timeout and its slack pass.
    TimeOut { entropy: Entropy },
    /// A job that it waits for is final.
    Unblock { parent: JobId, outcome: State },
    /// A job under the same unique key takes its place.
    Replace,
    /// A caller wants it run once more.
    Retry,
    /// A caller wants it started ahead of its time.
    RunNow,
    /// A caller wants other values in its spec: this is the whole new one.
    Update { spec: Arc<Spec> },
    /// A caller wants it gone.
    Delete,
}

/// How a handler failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    pub error: JobError,
    /// Overrides the pause of the retry policy.
    pub next_delay_ms: Option<u64>,
    pub timed_out: bool,
    pub entropy: Entropy,
}

/// Why a command changes nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CommandError {
    #[error("the lease is not the current one")]
    Fenced,
    #[error("the report of this lease was recorded before")]
    Duplicate,
    #[error("the job is already in a terminal state")]
    AlreadyTerminal,
    #[error("the job is not in a terminal state")]
    NotTerminal,
    #[error("a cancel was already requested")]
    CancelAlreadyRequested,
    #[error("its time has not come")]
    NotDue,
    #[error("the job does not wait for that one")]
    NotWaitingFor,
    #[error("the job is not in a state for this")]
    WrongState,
    #[error("the checkpoint is too large")]
    CheckpointTooLarge,
    #[error("the job is not scheduled")]
    NotScheduled,
    #[error("the job has started")]
    AlreadyStarted,
    #[error("the job runs")]
    StillRunning,
    #[error("the job was deleted")]
    Deleted,
}
