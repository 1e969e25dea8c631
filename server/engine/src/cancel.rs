//! Cancel: ends a waiting job at once, asks the handler of a running one to stop.

use std::sync::Arc;

use sentinel_domain::limits::KEY_BYTES;
use sentinel_domain::{Ack, Command, Decision, Job, JobId, CommandError, State, decide};
use sentinel_store::{Conflict, Mutation, Precondition, Transaction, TransactionResult};

use crate::{Engine, EngineError, TRIES};

/// What a cancel did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CancelOutcome {
    Cancelled,
    Requested,
    AlreadyTerminal,
}

/// What a cancel did, and the job after it.
#[derive(Clone, Debug)]
pub struct Cancelled {
    pub outcome: CancelOutcome,
    pub job: Arc<Job>,
}

impl Engine {
    /// Cancels a job. Safe to repeat: a second cancel of a running job is answered as the first.
    pub async fn cancel(
        &self,
        id: JobId,
        reason: &str,
        actor: &str,
    ) -> Result<Cancelled, EngineError> {
        if reason.len() as u64 > KEY_BYTES {
            let description = format!("{} bytes is too long: at most {KEY_BYTES}", reason.len());
            return Err(EngineError::invalid("reason", description));
        }
        let command = Command::Cancel { reason: reason.into(), actor: actor.into() };
        let mut job = self.get(id).await?;
        for _ in 0..TRIES {
            match decide(&job, &command, self.now()) {
                Err(CommandError::CancelAlreadyRequested) => {
                    self.acknowledge_known(&job).await?;
                    return Ok(Cancelled { outcome: CancelOutcome::Requested, job });
                }
                Err(_) => {
                    self.acknowledge_known(&job).await?;
                    return Ok(Cancelled { outcome: CancelOutcome::AlreadyTerminal, job });
                }
                Ok(decision) => match self.apply(&job, decision, Vec::new()).await? {
                    Applied::Done(job) => {
                        let outcome = match job.status.state {
                            State::Running => CancelOutcome::Requested,
                            _ => CancelOutcome::Cancelled,
                        };
                        return Ok(Cancelled { outcome, job });
                    }
                    Applied::Changed(current) => job = current,
                },
            }
        }
        Err(EngineError::Contended)
    }

    /// Commits one decision about `before`, under the version that it was made on.
    pub(crate) async fn apply(
        &self,
        before: &Job,
        decision: Decision,
        preconditions: Vec<Precondition>,
    ) -> Result<Applied, EngineError> {
        let (group, after) = group(before, decision, preconditions);
        match self.acknowledge(group, Ack::Store).await? {
            TransactionResult::Committed => Ok(Applied::Done(after)),
            TransactionResult::Conflict(Conflict::Job { current: Some(current), .. }) => {
                if current.is_deleted() {
                    return Err(EngineError::JobNotFound(current.id));
                }
                Ok(Applied::Changed(current))
            }
            TransactionResult::Conflict(Conflict::Key { holder: Some(holder), .. }) => {
                Err(EngineError::KeyHeld { holder })
            }
            TransactionResult::Conflict(Conflict::TooManyKinds { queue, .. }) => {
                let max = sentinel_domain::limits::KINDS_PER_QUEUE;
                Err(EngineError::TooManyKinds { queue, max })
            }
            TransactionResult::Conflict(_)
            | TransactionResult::Replayed(_)
            | TransactionResult::IdempotencyKeyReused => Ok(Applied::Changed(self.get(before.id).await?)),
        }
    }
}

/// What became of a decision.
pub(crate) enum Applied {
    /// The job as committed.
    Done(Arc<Job>),
    /// Nothing was committed, since the job is this one by now.
    Changed(Arc<Job>),
}

/// A decision as a group, and the job that it makes.
pub(crate) fn group(
    before: &Job,
    decision: Decision,
    mut preconditions: Vec<Precondition>,
) -> (Transaction, Arc<Job>) {
    let job = Arc::new(decision.job);
    preconditions.push(Precondition::JobVersion { id: before.id, version: before.status.version });
    let mutations = vec![Mutation::Update { job: job.clone(), attempt_end: decision.attempt_end }];
    (Transaction { idempotency: None, preconditions, mutations }, job)
}
