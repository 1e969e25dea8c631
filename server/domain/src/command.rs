//! The commands of a job, and the errors of commands that are refused.

use std::sync::Arc;

use bytes::Bytes;

use crate::{Entropy, JobError, JobId, LeaseId, Millis, Name, SessionId, Spec, State};

/// A command to a job. Commands with a lease come from the worker that holds it.
#[derive(Clone, Debug, PartialEq)]
pub enum Command {
    /// Move a SCHEDULED job that is due to READY.
    Promote,
    /// Expire a job whose start deadline has passed.
    Expire,
    /// Start an attempt under a new lease of this session.
    Start { session: SessionId, worker: Name },
    /// The worker never received the assignment.
    NotReceived { lease: LeaseId },
    /// The handler succeeded.
    Succeed { lease: LeaseId, started_at: Option<Millis>, result: Bytes },
    /// The handler failed.
    Fail { lease: LeaseId, started_at: Option<Millis>, failure: Failure },
    /// The handler asks to run again later. The attempt does not count.
    Snooze { lease: LeaseId, started_at: Option<Millis>, delay_ms: u64 },
    /// The worker returns the job without running it. The attempt does not count.
    Release { lease: LeaseId },
    /// The handler stopped because of a cancel.
    Stop { lease: LeaseId, started_at: Option<Millis>, entropy: Entropy },
    /// Store the state of the handler for the next attempt.
    Checkpoint { lease: LeaseId, data: Bytes },
    /// Cancel the job. A running handler is asked to stop.
    Cancel { reason: Box<str>, actor: Box<str> },
    /// Revoke the lease when the grace period of a cancel has passed.
    Revoke,
    /// The worker of this session is lost.
    MarkLost { session: SessionId },
    /// The worker did not report within the run_timeout and its slack.
    TimeOut { entropy: Entropy },
    /// A dependency reached a terminal state.
    Unblock { parent: JobId, outcome: State },
    /// Cancel the job because another job with its unique key replaces it.
    Replace,
    /// Start another run of a terminal job.
    Retry,
    /// Make a SCHEDULED job READY before it is due.
    RunNow,
    /// Replace the spec of a job that has not started.
    Update { spec: Arc<Spec> },
    /// Delete the job.
    Delete,
}

/// The failure of an attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    pub error: JobError,
    /// Overrides the backoff of the retry policy.
    pub next_delay_ms: Option<u64>,
    pub timed_out: bool,
    pub entropy: Entropy,
}

/// Why a command was refused. A refused command changes nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CommandError {
    #[error("the lease is not the current one")]
    Fenced,
    #[error("a report of this lease is already recorded")]
    Duplicate,
    #[error("the job is already in a terminal state")]
    AlreadyTerminal,
    #[error("the job is not in a terminal state")]
    NotTerminal,
    #[error("a cancel was already requested")]
    CancelAlreadyRequested,
    #[error("the deadline has not passed")]
    NotDue,
    #[error("the job does not wait for this dependency")]
    NotWaitingFor,
    #[error("the command is not allowed in the current state")]
    WrongState,
    #[error("the checkpoint is too large")]
    CheckpointTooLarge,
    #[error("the job is not scheduled")]
    NotScheduled,
    #[error("the job has already started")]
    AlreadyStarted,
    #[error("the job is running")]
    StillRunning,
    #[error("the job was deleted")]
    Deleted,
}
