//! Delete: a job that does not run is gone, with all that belongs to it.
//!
//! What is left of it is a final job that says so. It stays hot until the ledger has let go of
//! the job, nobody waits for it any more, and as long as any end stays: a retry that had read
//! the job meets it, and so does a read that looked into the ledger.

use std::sync::Arc;

use sentinel_domain::{Ack, Command, Job, JobId, Refusal, decide};
use sentinel_store::{Conflict, TransactionResult};

use crate::cancel::group;
use crate::retry::{answers, brought_back};
use crate::{Engine, EngineError, RequestKey, TRIES};

impl Engine {
    /// Deletes a job that does not run.
    pub async fn delete(
        &self,
        id: JobId,
        actor: &str,
        request: Option<RequestKey>,
    ) -> Result<(), EngineError> {
        let deleted = match self.get(id).await {
            Ok(job) => self.delete_job(job, request.as_ref()).await,
            Err(error) => Err(error),
        };
        match deleted {
            Ok(()) => {
                tracing::info!(%id, actor, "a job was deleted");
                Ok(())
            }
            Err(EngineError::JobNotFound(_)) => self.deleted_before(id, request.as_ref()).await,
            Err(error) => Err(error),
        }
    }

    async fn delete_job(
        &self,
        mut job: Arc<Job>,
        request: Option<&RequestKey>,
    ) -> Result<(), EngineError> {
        let id = job.id;
        let mut is_hot = true;
        // Lines of its last attempt may still wait to be written; the ledger deletes them after.
        if job.status.epoch > 0 {
            self.logs.append(Vec::new()).await;
        }
        for _ in 0..TRIES {
            let decision = match decide(&job, &Command::Delete, self.now()) {
                Ok(decision) => decision,
                Err(Refusal::Running) => return Err(EngineError::Running(id)),
                Err(_) => return Err(EngineError::JobNotFound(id)),
            };
            let (mut group, _) = match is_hot {
                true => group(&job, decision, Vec::new()),
                false => brought_back(decision.job, Vec::new()),
            };
            group.request = request.map(|r| self.memory(r, &[Ok((id, false))]));
            match self.acknowledge(group, Ack::Store).await? {
                TransactionResult::Committed | TransactionResult::Repeated(_) => return Ok(()),
                TransactionResult::RequestReused => return Err(EngineError::RequestReused),
                TransactionResult::Conflict(Conflict::Job { current, .. }) => {
                    is_hot = current.is_some();
                    job = self.get(id).await?;
                }
                TransactionResult::Conflict(_) => job = self.get(id).await?,
            }
        }
        Err(EngineError::Contended)
    }

    /// A repeat of a request that was carried out finds no job.
    async fn deleted_before(
        &self,
        id: JobId,
        request: Option<&RequestKey>,
    ) -> Result<(), EngineError> {
        match self.recall(request).await? {
            Some(bytes) if answers(&bytes, id) => {
                self.acknowledge_all_known(self.settings.ack).await
            }
            _ => Err(EngineError::JobNotFound(id)),
        }
    }
}
