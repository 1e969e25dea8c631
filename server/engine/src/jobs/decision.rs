//! The loop that all changes of an existing job share: decide, commit, and on a conflict decide
//! again on the newer version.

use std::sync::Arc;

use sentinel_domain::{Ack, AttemptEnd, Decision, Job, Millis};
use sentinel_store::{Conflict, Mutation, Precondition, Transaction, TransactionResult, codec};

use super::JobReader;
use crate::commit::{
    DECISION_ATTEMPTS, Durability, Idempotency, IdempotencyKey, recreate_from_ledger,
    update_transaction,
};
use crate::{Clock, EngineError};

/// What a decision changes.
pub(crate) enum JobChange {
    /// The job after a command, with the end of its attempt, if one ended.
    Update { job: Job, attempt_end: Option<AttemptEnd>, preconditions: Vec<Precondition> },
    /// The job with another spec.
    ReplaceSpec { job: Job },
}

impl From<Decision> for JobChange {
    fn from(Decision { job, attempt_end }: Decision) -> Self {
        Self::Update { job, attempt_end, preconditions: Vec::new() }
    }
}

impl JobChange {
    /// Returns the transaction that applies the change to the version `before`, and the job after
    /// it. A job that is only in the ledger is created again.
    fn into_transaction(self, before: &Job, is_in_store: bool) -> (Transaction, Arc<Job>) {
        match self {
            Self::Update { job, attempt_end, preconditions } if is_in_store => {
                update_transaction(before, Decision { job, attempt_end }, preconditions)
            }
            Self::Update { job, preconditions, .. } => recreate_from_ledger(job, preconditions),
            Self::ReplaceSpec { job } => {
                let (id, version) = (before.id, before.status.version);
                let (spec, job) = (codec::encode_spec(&job.spec), Arc::new(job));
                let transaction = Transaction {
                    idempotency: None,
                    preconditions: vec![Precondition::JobVersion { id, version }],
                    mutations: vec![Mutation::ReplaceSpec { job: job.clone(), spec }],
                };
                (transaction, job)
            }
        }
    }
}

/// The result of [`DecisionCommitter::commit`].
pub(crate) enum DecisionOutcome<E> {
    /// The job after the change.
    Committed(Arc<Job>),
    /// The request was carried out before.
    Replayed,
    /// The decision failed on this version of the job. Nothing was committed.
    Refused(Arc<Job>, E),
}

/// Commits decisions about existing jobs. Cheap to clone.
#[derive(Clone)]
pub(crate) struct DecisionCommitter {
    pub(crate) reader: JobReader,
    pub(crate) durability: Durability,
    pub(crate) idempotency: Idempotency,
    pub(crate) clock: Clock,
}

impl DecisionCommitter {
    /// Decides about a job and commits the decision at the job's durability level.
    ///
    /// `decide` is called again when the job changed in between, at most [`DECISION_ATTEMPTS`]
    /// times. With `key`, the change is committed with its idempotency record.
    pub(crate) async fn commit<E>(
        &self,
        mut job: Arc<Job>,
        key: Option<&IdempotencyKey>,
        decide: impl Fn(&Job, Millis) -> Result<JobChange, E>,
    ) -> Result<DecisionOutcome<E>, EngineError> {
        let id = job.id;
        let mut is_in_store = true;
        for _ in 0..DECISION_ATTEMPTS {
            let change = match decide(&job, self.clock.now()) {
                Ok(change) => change,
                Err(error) => return Ok(DecisionOutcome::Refused(job, error)),
            };
            let (mut transaction, after) = change.into_transaction(&job, is_in_store);
            transaction.idempotency =
                key.map(|key| self.idempotency.record(key, &[Ok((id, false))]));
            match self.durability.commit(transaction, Ack::Store).await? {
                TransactionResult::Committed => return Ok(DecisionOutcome::Committed(after)),
                TransactionResult::Replayed(_) => return Ok(DecisionOutcome::Replayed),
                TransactionResult::IdempotencyKeyReused => {
                    return Err(EngineError::RequestIdReused);
                }
                TransactionResult::Conflict(Conflict::Key { holder: Some(holder), .. }) => {
                    return Err(EngineError::KeyHeld { holder });
                }
                TransactionResult::Conflict(Conflict::TooManyKinds { queue, .. }) => {
                    return Err(EngineError::too_many_kinds(queue));
                }
                TransactionResult::Conflict(Conflict::Job { current: Some(current), .. }) => {
                    if current.is_deleted() {
                        return Err(EngineError::JobNotFound(id));
                    }
                    is_in_store = true;
                    job = current;
                }
                TransactionResult::Conflict(Conflict::Job { current: None, .. }) => {
                    is_in_store = false;
                    job = self.reader.get(id).await?;
                }
                TransactionResult::Conflict(_) => job = self.reader.get(id).await?,
            }
        }
        Err(EngineError::Contended)
    }
}
