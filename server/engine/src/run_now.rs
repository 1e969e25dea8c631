//! RunNow: a job that waits for its time, or between two attempts, is ready at once.

use std::sync::Arc;

use sentinel_domain::{Ack, Command, Job, JobId, Refusal, decide};
use sentinel_store::TransactionResult;

use crate::cancel::group;
use crate::retry::answers;
use crate::{Engine, EngineError, RequestKey, TRIES};

impl Engine {
    /// Makes a SCHEDULED job READY.
    pub async fn run_now(
        &self,
        id: JobId,
        request: Option<RequestKey>,
    ) -> Result<Arc<Job>, EngineError> {
        let mut job = self.get(id).await?;
        for _ in 0..TRIES {
            let decision = match decide(&job, &Command::RunNow, self.now()) {
                Ok(decision) => decision,
                Err(Refusal::Deleted) => return Err(EngineError::JobNotFound(id)),
                // A repeat of this very request finds the job no longer scheduled.
                Err(_) => return self.run_before(&job, request.as_ref()).await,
            };
            let (mut group, after) = group(&job, decision, Vec::new());
            group.request = request.as_ref().map(|r| self.memory(r, &[Ok((id, false))]));
            match self.acknowledge(group, Ack::Store).await? {
                TransactionResult::Committed => return Ok(after),
                TransactionResult::Repeated(_) => return self.known(id).await,
                TransactionResult::RequestReused => return Err(EngineError::RequestReused),
                TransactionResult::Conflict(_) => job = self.get(id).await?,
            }
        }
        Err(EngineError::Contended)
    }

    async fn run_before(
        &self,
        job: &Arc<Job>,
        request: Option<&RequestKey>,
    ) -> Result<Arc<Job>, EngineError> {
        match self.recall(request).await? {
            Some(bytes) if answers(&bytes, job.id) => self.known(job.id).await,
            _ => Err(EngineError::NotScheduled { id: job.id, state: job.status.state }),
        }
    }
}
