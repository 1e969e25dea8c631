//! Retry: runs a final job once more, under the same id.

use std::sync::Arc;

use sentinel_domain::limits::KINDS_PER_QUEUE;
use sentinel_domain::{Ack, Command, Job, JobId, decide, held_key};
use sentinel_store::{Conflict, Mutation, Precondition, Transaction, TransactionResult, codec};

use crate::cancel::group;
use crate::{Engine, EngineError, RequestKey, TRIES, answer};

impl Engine {
    /// Retries a final job: run + 1, a new budget of attempts.
    pub async fn retry(
        &self,
        id: JobId,
        request: Option<RequestKey>,
    ) -> Result<Arc<Job>, EngineError> {
        let mut job = self.get(id).await?;
        let mut is_hot = true;
        for _ in 0..TRIES {
            let decision = match decide(&job, &Command::Retry, self.now()) {
                Ok(decision) => decision,
                // A repeat of this very request finds the job no longer final.
                Err(_) => return self.retried_before(&job, request).await,
            };
            let preconditions = match held_key(&decision.job) {
                Some((key, _)) if held_key(&job).is_none() => vec![Precondition::KeyFree { key }],
                _ => Vec::new(),
            };
            let (mut group, after) = match is_hot {
                true => group(&job, decision, preconditions),
                false => brought_back(decision.job, preconditions),
            };
            group.idempotency = request.as_ref().map(|r| self.memory(r, &[Ok((id, false))]));
            match self.acknowledge(group, Ack::Store).await? {
                TransactionResult::Committed => return Ok(after),
                TransactionResult::Replayed(_) => return self.known(id).await,
                TransactionResult::IdempotencyKeyReused => return Err(EngineError::RequestReused),
                TransactionResult::Conflict(Conflict::Key { holder: Some(holder), .. }) => {
                    return Err(EngineError::KeyHeld { holder });
                }
                TransactionResult::Conflict(Conflict::TooManyKinds { queue, .. }) => {
                    return Err(EngineError::TooManyKinds { queue, max: KINDS_PER_QUEUE });
                }
                TransactionResult::Conflict(Conflict::Job { current, .. }) => {
                    is_hot = current.is_some();
                    job = self.get(id).await?;
                }
                TransactionResult::Conflict(_) => job = self.get(id).await?,
            }
        }
        Err(EngineError::Contended)
    }

    /// The job after a change that was made before, and that may not be safe yet.
    pub(crate) async fn known(&self, id: JobId) -> Result<Arc<Job>, EngineError> {
        let job = self.get(id).await?;
        self.acknowledge_known(&job).await?;
        Ok(job)
    }

    /// A repeat of a request that was carried out finds the job no longer final.
    async fn retried_before(
        &self,
        job: &Arc<Job>,
        request: Option<RequestKey>,
    ) -> Result<Arc<Job>, EngineError> {
        match self.recall(request.as_ref()).await? {
            Some(bytes) if answers(&bytes, job.id) => self.known(job.id).await,
            _ => Err(EngineError::NotTerminal(job.id)),
        }
    }
}

/// A job that lives only in the ledger comes back as what a retry or a deletion makes of it: its
/// end is history, and no watcher is shown it again.
pub(crate) fn brought_back(job: Job, mut preconditions: Vec<Precondition>) -> (Transaction, Arc<Job>) {
    let spec = codec::encode_spec(&job.spec);
    let job = Arc::new(job);
    preconditions.push(Precondition::JobAbsent { id: job.id });
    let mutations = vec![Mutation::Create { job: job.clone(), spec }];
    (Transaction { idempotency: None, preconditions, mutations }, job)
}

pub(crate) fn answers(bytes: &[u8], id: JobId) -> bool {
    answer::decode(bytes).is_some_and(|a| a == [Ok((id, false))])
}
