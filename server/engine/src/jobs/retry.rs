//! Retry: runs a terminal job once more, under the same id.

use std::sync::Arc;

use sentinel_domain::{Command, CommandError, Job, JobId, Millis, decide, held_key};
use sentinel_store::Precondition;

use super::decision::JobChange;
use super::{DecisionOutcome, Jobs};
use crate::EngineError;
use crate::commit::IdempotencyKey;

impl Jobs {
    /// Starts another run of a terminal job, with all its attempts.
    pub async fn retry(
        &self,
        id: JobId,
        key: Option<IdempotencyKey>,
    ) -> Result<Arc<Job>, EngineError> {
        let job = self.reader.get(id).await?;
        match self.decisions.commit(job, key.as_ref(), decide_retry).await? {
            DecisionOutcome::Committed(job) => Ok(job),
            DecisionOutcome::Replayed => self.get_acknowledged(id).await,
            DecisionOutcome::Refused(..) => {
                self.get_acknowledged_or(EngineError::NotTerminal(id), id, key.as_ref()).await
            }
        }
    }
}

/// A retry of a job without a unique key may claim it again, if it is free.
fn decide_retry(job: &Job, now: Millis) -> Result<JobChange, CommandError> {
    let decision = decide(job, &Command::Retry, now)?;
    let preconditions = match held_key(&decision.job) {
        Some((key, _)) if held_key(job).is_none() => vec![Precondition::KeyFree { key }],
        _ => Vec::new(),
    };
    let (job, attempt_end) = (decision.job, decision.attempt_end);
    Ok(JobChange::Update { job, attempt_end, preconditions })
}
