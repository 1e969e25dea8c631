//! Reads jobs from the store and the ledger.

use std::sync::Arc;

use sentinel_domain::{Job, JobId};
use sentinel_ledger::Ledger;
use sentinel_store::Store;

use crate::EngineError;

/// Reads jobs wherever they are. Cheap to clone.
#[derive(Clone)]
pub(crate) struct JobReader {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) ledger: Ledger,
}

impl JobReader {
    /// Returns one job.
    pub(crate) async fn get(&self, id: JobId) -> Result<Arc<Job>, EngineError> {
        let found = self.get_many(&[id]).await?.pop().flatten();
        found.ok_or(EngineError::JobNotFound(id))
    }

    /// Returns jobs in the order of their ids, None for a job that does not exist. Linearizable.
    pub(crate) async fn get_many(
        &self,
        ids: &[JobId],
    ) -> Result<Vec<Option<Arc<Job>>>, EngineError> {
        let mut found = self.get_including_deleted(ids).await?;
        for slot in &mut found {
            slot.take_if(|job| job.is_deleted());
        }
        Ok(found)
    }

    /// As [`Self::get_many`], with the tombstones of deleted jobs.
    ///
    /// Reads the store, then the ledger, then the store once more: a job may be evicted after the
    /// first read, or created again by a retry after the second.
    pub(crate) async fn get_including_deleted(
        &self,
        ids: &[JobId],
    ) -> Result<Vec<Option<Arc<Job>>>, EngineError> {
        let mut found = self.store.read(ids.to_vec()).await?;
        let missing: Vec<JobId> =
            ids.iter().zip(&found).filter(|(_, job)| job.is_none()).map(|(id, _)| *id).collect();
        if missing.is_empty() {
            return Ok(found);
        }
        let recorded = self.ledger.get(missing.clone()).await?;
        let mut recorded = recorded.into_iter().map(|job| job.map(Arc::new));
        let mut again = self.store.read(missing).await?.into_iter();
        for slot in found.iter_mut().filter(|slot| slot.is_none()) {
            let from_ledger = recorded.next().flatten();
            *slot = again.next().flatten().or(from_ledger);
        }
        Ok(found)
    }
}
