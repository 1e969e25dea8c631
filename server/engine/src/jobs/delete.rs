//! Delete: removes a job that does not run, with all its data.
//!
//! A tombstone stays in the store: a terminal job with the reason Deleted. It is kept until the
//! ledger has removed the job, until no job depends on it, and at least as long as any terminal
//! job. A concurrent retry or a read that found the job in the ledger thus meets the tombstone.

use std::sync::Arc;

use sentinel_domain::{Command, CommandError, Job, JobId, decide};

use super::{DecisionOutcome, Jobs};
use crate::EngineError;
use crate::commit::IdempotencyKey;

impl Jobs {
    /// Deletes a job that does not run.
    pub async fn delete(
        &self,
        id: JobId,
        actor: &str,
        key: Option<IdempotencyKey>,
    ) -> Result<(), EngineError> {
        let deleted = match self.reader.get(id).await {
            Ok(job) => self.commit_delete(job, key.as_ref()).await,
            Err(error) => Err(error),
        };
        match deleted {
            Ok(()) => {
                tracing::info!(%id, actor, "job deleted");
                Ok(())
            }
            // The repeat of a request that was carried out finds no job.
            Err(EngineError::JobNotFound(_)) => {
                match self.idempotency.is_recorded_for(key.as_ref(), id).await? {
                    true => self.wait_for_delete().await,
                    false => Err(EngineError::JobNotFound(id)),
                }
            }
            Err(error) => Err(error),
        }
    }

    async fn commit_delete(
        &self,
        job: Arc<Job>,
        key: Option<&IdempotencyKey>,
    ) -> Result<(), EngineError> {
        let id = job.id;
        // Log lines of its last attempt may still wait to be written. The ledger deletes them when
        // it records the deletion, so they must be written before.
        if job.status.epoch > 0 {
            self.logs.flush().await;
        }
        let outcome = self
            .decisions
            .commit(job, key, |job, now| decide(job, &Command::Delete, now).map(Into::into))
            .await?;
        match outcome {
            DecisionOutcome::Committed(_) => Ok(()),
            DecisionOutcome::Replayed => self.wait_for_delete().await,
            DecisionOutcome::Refused(_, CommandError::StillRunning) => {
                Err(EngineError::JobRunning(id))
            }
            DecisionOutcome::Refused(..) => Err(EngineError::JobNotFound(id)),
        }
    }

    /// The job and its durability level are gone: waits for the level of the server.
    async fn wait_for_delete(&self) -> Result<(), EngineError> {
        self.durability.wait_for_committed(self.durability.default_level()).await
    }
}
