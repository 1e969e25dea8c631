//! RunNow: makes a job ready that waits for its time or for its next attempt.

use std::sync::Arc;

use sentinel_domain::{Command, CommandError, Job, JobId, decide};

use super::{DecisionOutcome, Jobs};
use crate::EngineError;
use crate::commit::IdempotencyKey;

impl Jobs {
    /// Makes a SCHEDULED job READY.
    pub async fn run_now(
        &self,
        id: JobId,
        key: Option<IdempotencyKey>,
    ) -> Result<Arc<Job>, EngineError> {
        let job = self.reader.get(id).await?;
        let outcome = self
            .decisions
            .commit(job, key.as_ref(), |job, now| {
                decide(job, &Command::RunNow, now).map(Into::into)
            })
            .await?;
        match outcome {
            DecisionOutcome::Committed(job) => Ok(job),
            DecisionOutcome::Replayed => self.get_acknowledged(id).await,
            DecisionOutcome::Refused(_, CommandError::Deleted) => Err(EngineError::JobNotFound(id)),
            DecisionOutcome::Refused(job, _) => {
                let error = EngineError::NotScheduled { id, state: job.status.state };
                self.get_acknowledged_or(error, id, key.as_ref()).await
            }
        }
    }
}
