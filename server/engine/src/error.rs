//! Why a use-case did not do what was asked. The service turns each into one status.

use sentinel_domain::limits::INGEST_STREAMS;
use sentinel_domain::{Ack, JobId, Name, State, FieldViolation, WorkerId};
use sentinel_ledger::LedgerError;
use sentinel_store::StoreError;

/// Why a use-case did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    #[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))]
    Invalid(Vec<FieldViolation>),
    #[error("no job has the id {0}")]
    JobNotFound(JobId),
    #[error("no queue is named {0:?}: create it first, or check the spelling")]
    QueueNotFound(Name),
    #[error("no kind is named {0:?}: no worker had it lately")]
    KindNotFound(Name),
    #[error("no worker has the id {0}: its session may have ended")]
    WorkerNotFound(WorkerId),
    #[error("the queue {0:?} exists with other settings")]
    QueueExists(Name),
    #[error("the queue {0:?} is draining: it takes no new jobs until it is resumed")]
    QueueDraining(Name),
    #[error("there are {max} queues, no more can be created")]
    TooManyQueues { max: u64 },
    #[error("jobs of {max} kinds wait in the queue {queue:?}, no more kinds are taken")]
    TooManyKinds { queue: Name, max: u64 },
    #[error("the unique key is held by the job {holder}")]
    KeyHeld { holder: JobId },
    #[error("the request_id was used for a request with another content")]
    RequestReused,
    #[error("the job {0} is not final: it can not be retried")]
    NotTerminal(JobId),
    #[error("the job {0} runs: cancel it first")]
    Running(JobId),
    #[error("the job {id} is {state:?}, not SCHEDULED")]
    NotScheduled { id: JobId, state: State },
    #[error("the job {id} is {state:?} or has started before: its values stay")]
    Started { id: JobId, state: State },
    #[error("the job {id} has the version {found}, not {wanted}")]
    OtherVersion { id: JobId, wanted: u64, found: u64 },
    #[error("another stream of this producer was opened: nothing more of this one is committed")]
    ProducerMoved,
    #[error("the job changed again and again while the request was decided")]
    Contended,
    #[error("too much waits to be committed")]
    Overloaded,
    #[error("{INGEST_STREAMS} producers have streams to this server already")]
    TooManyProducers,
    /// Applied: a repeat waits again.
    #[error("the change is applied, but not yet as safe as asked: {why}")]
    NotYetSafe { level: Ack, why: String },
    #[error("the server shuts down")]
    ShuttingDown,
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Ledger(#[from] LedgerError),
}

impl EngineError {
    /// The request itself is at fault, or what it asks for is taken.
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

    /// Lasts until somebody helps, and the store told of it when it began.
    pub(crate) fn is_told_once(&self) -> bool {
        matches!(self, Self::Store(StoreError::RolledBack(_)))
    }

    /// One field at fault.
    pub fn invalid(field: impl Into<String>, description: impl Into<String>) -> Self {
        Self::Invalid(vec![FieldViolation::new(field, description)])
    }
}
