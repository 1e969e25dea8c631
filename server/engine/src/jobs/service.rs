//! The entry point of the operations on jobs.

use std::sync::Arc;

use sentinel_domain::{Job, JobId};
use sentinel_ledger::Ledger;

use super::{DecisionCommitter, Enqueuer, JobReader};
use crate::commit::{Durability, Idempotency, IdempotencyKey};
use crate::history::LogWriter;
use crate::queues::Queues;
use crate::{EngineError, Settings};

/// The operations on jobs.
pub struct Jobs {
    pub(crate) reader: JobReader,
    pub(crate) enqueuer: Enqueuer,
    pub(crate) decisions: DecisionCommitter,
    pub(crate) durability: Durability,
    pub(crate) idempotency: Idempotency,
    pub(crate) queues: Queues,
    pub(crate) logs: LogWriter,
    pub(crate) ledger: Ledger,
    pub(crate) settings: Settings,
}

impl Jobs {
    /// Returns one job.
    pub async fn get(&self, id: JobId) -> Result<Arc<Job>, EngineError> {
        self.reader.get(id).await
    }

    /// Returns jobs in the order of their ids, None for a job that does not exist. Linearizable.
    pub async fn get_many(&self, ids: &[JobId]) -> Result<Vec<Option<Arc<Job>>>, EngineError> {
        self.reader.get_many(ids).await
    }

    /// Returns a job after a change that an earlier request committed, once it is durable.
    pub(super) async fn get_acknowledged(&self, id: JobId) -> Result<Arc<Job>, EngineError> {
        let job = self.reader.get(id).await?;
        self.durability.wait_for_job(&job).await?;
        Ok(job)
    }

    /// Answers a refused request: with the job if this is the repeat of a request that was carried
    /// out, else with `error`. A repeat meets the job in the state that it left behind.
    pub(super) async fn get_acknowledged_or(
        &self,
        error: EngineError,
        id: JobId,
        key: Option<&IdempotencyKey>,
    ) -> Result<Arc<Job>, EngineError> {
        match self.idempotency.is_recorded_for(key, id).await? {
            true => self.get_acknowledged(id).await,
            false => Err(error),
        }
    }
}
