//! Get: one job, wherever it is.

use std::sync::Arc;

use sentinel_domain::{Job, JobId};

use crate::{Engine, EngineError};

impl Engine {
    /// Jobs in the order asked: hot, then ledger, then hot once more, since a job may have
    /// been evicted from one after it was looked for in the other. Linearizable.
    pub async fn get_many(&self, ids: &[JobId]) -> Result<Vec<Option<Arc<Job>>>, EngineError> {
        let mut found = self.broker.read(ids.to_vec()).await?;
        let missing = missing(ids, &found);
        if missing.is_empty() {
            return Ok(found);
        }
        let recorded = self.ledger.get(missing.clone()).await?;
        let mut recorded = recorded.into_iter().map(|job| job.map(Arc::new));
        let mut again = self.broker.read(missing).await?.into_iter();
        for slot in found.iter_mut().filter(|slot| slot.is_none()) {
            let from_ledger = recorded.next().flatten();
            *slot = again.next().flatten().or(from_ledger);
        }
        Ok(found)
    }

    /// One job.
    pub async fn get(&self, id: JobId) -> Result<Arc<Job>, EngineError> {
        let found = self.get_many(&[id]).await?.pop().flatten();
        found.ok_or(EngineError::JobNotFound(id))
    }
}

fn missing(ids: &[JobId], found: &[Option<Arc<Job>>]) -> Vec<JobId> {
    ids.iter().zip(found).filter(|(_, job)| job.is_none()).map(|(id, _)| *id).collect()
}
