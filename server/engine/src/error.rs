//! The errors of the engine. The service layer maps each of them to one status.

use sentinel_domain::limits::{INGEST_STREAMS, KINDS_PER_QUEUE};
use sentinel_domain::{Ack, FieldViolation, JobId, Name, State, WorkerId};
use sentinel_ledger::LedgerError;
use sentinel_store::StoreError;

/// Why an operation failed.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    #[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))]
    Invalid(Vec<FieldViolation>),
    #[error("no job has the id {0}")]
    JobNotFound(JobId),
    #[error("no queue is named {0:?}: create it first, or check the spelling")]
    QueueNotFound(Name),
    /// The scopes of the caller do not include the queue. It may exist or not.
    #[error("the API key does not reach queue {0:?}")]
    QueueNotAllowed(Name),
    #[error("no kind is named {0:?}: no worker declared it recently")]
    KindNotFound(Name),
    #[error("no worker has the id {0}: its session may have closed")]
    WorkerNotFound(WorkerId),
    #[error("the queue {0:?} exists with other settings")]
    QueueExists(Name),
    #[error("the queue {0:?} is draining: it takes no new jobs until it is resumed")]
    QueueDraining(Name),
    #[error("there are {max} queues already, which is the limit")]
    TooManyQueues { max: u64 },
    #[error("jobs of {max} kinds wait in the queue {queue:?}, which is the limit")]
    TooManyKinds { queue: Name, max: u64 },
    #[error("the unique key is held by the job {holder}")]
    KeyHeld { holder: JobId },
    #[error("the request_id was already used for a different request")]
    RequestIdReused,
    #[error("the job {0} is not in a terminal state: it cannot be retried")]
    NotTerminal(JobId),
    #[error("the job {0} is running: cancel it first")]
    JobRunning(JobId),
    #[error("the job {id} is {state:?}, not SCHEDULED")]
    NotScheduled { id: JobId, state: State },
    #[error("the job {id} is {state:?} or has started before: it can no longer be updated")]
    AlreadyStarted { id: JobId, state: State },
    #[error("the job {id} has the version {actual}, expected {expected}")]
    VersionMismatch { id: JobId, expected: u64, actual: u64 },
    #[error("another stream of this producer was opened: this one commits nothing more")]
    ProducerTakenOver,
    #[error("the job kept changing while the request was decided: try again")]
    Contended,
    #[error("too many changes wait to be committed: try again later")]
    Overloaded,
    #[error("this server has {INGEST_STREAMS} producer streams already, which is the limit")]
    TooManyProducers,
    /// The change is committed; a repeat of the request waits again.
    #[error("the change is committed, but the durability level was not reached in time: {reason}")]
    NotYetSafe { level: Ack, reason: String },
    #[error("the server is shutting down")]
    ShuttingDown,
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Ledger(#[from] LedgerError),
}

impl EngineError {
    /// Returns an error about one field.
    pub fn invalid(field: impl Into<String>, description: impl Into<String>) -> Self {
        Self::Invalid(vec![FieldViolation::new(field, description)])
    }

    pub(crate) fn too_many_kinds(queue: Name) -> Self {
        Self::TooManyKinds { queue, max: KINDS_PER_QUEUE }
    }

    /// Whether the request is at fault rather than the server: such an error may also be the
    /// effect of an earlier try of the same request.
    pub(crate) fn is_refusal(&self) -> bool {
        matches!(
            self,
            Self::Invalid(_)
                | Self::QueueNotFound(_)
                | Self::QueueDraining(_)
                | Self::JobNotFound(_)
                | Self::TooManyKinds { .. }
                | Self::KeyHeld { .. }
        )
    }

    /// Whether the store logged this error when the condition began. It lasts until an operator
    /// acts, so repeating it would flood the log.
    pub(crate) fn is_already_logged(&self) -> bool {
        matches!(self, Self::Store(StoreError::RolledBack(_)))
    }
}

/// Why one item of a batch, an ingest stream or a bulk step was refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ItemError {
    /// A reason code of the error catalogue.
    pub reason: String,
    pub message: String,
    /// Empty when no single field is at fault.
    pub field: String,
}

impl From<FieldViolation> for ItemError {
    fn from(violation: FieldViolation) -> Self {
        Self {
            reason: "INVALID_FIELD".into(),
            message: violation.description,
            field: violation.field,
        }
    }
}

impl TryFrom<EngineError> for ItemError {
    type Error = EngineError;

    /// Returns the error of one item, or the error itself when it concerns the whole call.
    fn try_from(error: EngineError) -> Result<Self, EngineError> {
        let reason = match &error {
            EngineError::Invalid(found) if !found.is_empty() => "INVALID_FIELD",
            EngineError::QueueNotFound(_) => "QUEUE_NOT_FOUND",
            EngineError::QueueNotAllowed(_) => "QUEUE_NOT_ALLOWED",
            EngineError::QueueDraining(_) => "QUEUE_DRAINING",
            EngineError::KeyHeld { .. } => "UNIQUE_KEY_HELD",
            EngineError::TooManyKinds { .. } => "TOO_MANY_KINDS",
            _ => return Err(error),
        };
        if let EngineError::Invalid(mut found) = error {
            return Ok(found.swap_remove(0).into());
        }
        Ok(Self { reason: reason.into(), message: error.to_string(), field: String::new() })
    }
}
