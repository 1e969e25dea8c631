//! Cancel: ends a waiting job at once, and asks the handler of a running job to stop.

use std::sync::Arc;

use sentinel_domain::limits::KEY_BYTES;
use sentinel_domain::{Command, CommandError, Job, JobId, State, decide};

use super::{DecisionOutcome, Jobs};
use crate::EngineError;

/// The effect of a cancel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CancelOutcome {
    Cancelled,
    Requested,
    AlreadyTerminal,
}

/// The effect of a cancel, and the job after it.
#[derive(Clone, Debug)]
pub struct Cancelled {
    pub outcome: CancelOutcome,
    pub job: Arc<Job>,
}

impl Jobs {
    /// Cancels a job. Idempotent: the repeat of a cancel of a running job returns
    /// [`CancelOutcome::Requested`] again.
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
        let job = self.reader.get(id).await?;
        let outcome = self
            .decisions
            .commit(job, None, |job, now| decide(job, &command, now).map(Into::into))
            .await?;
        match outcome {
            DecisionOutcome::Committed(job) => {
                let outcome = match job.status.state {
                    State::Running => CancelOutcome::Requested,
                    _ => CancelOutcome::Cancelled,
                };
                Ok(Cancelled { outcome, job })
            }
            DecisionOutcome::Refused(job, error) => {
                self.durability.wait_for_job(&job).await?;
                let outcome = match error {
                    CommandError::CancelAlreadyRequested => CancelOutcome::Requested,
                    _ => CancelOutcome::AlreadyTerminal,
                };
                Ok(Cancelled { outcome, job })
            }
            // Only a request with an idempotency key is replayed.
            DecisionOutcome::Replayed => Err(EngineError::Contended),
        }
    }
}
