//! Get: one job, wherever it is.

use std::sync::Arc;

use sentinel_domain::limits::BATCH_JOBS;
use sentinel_domain::{Job, JobId};

use crate::{Engine, EngineError};

/// Jobs that are read at once for an answer that may not take all of them.
const STEP: usize = 64;

/// Payloads and results that one answer carries, unless a single job has more: it must fit into
/// a message.
const ANSWER_BYTES: usize = 12 << 20;

impl Engine {
    /// Jobs in the order asked: hot, then ledger, then hot once more, since a job may have
    /// been evicted from one after it was looked for in the other. Linearizable.
    pub async fn get_many(&self, ids: &[JobId]) -> Result<Vec<Option<Arc<Job>>>, EngineError> {
        let mut found = self.remains(ids).await?;
        for slot in &mut found {
            slot.take_if(|job| job.is_deleted());
        }
        Ok(found)
    }

    /// The same, with what is left of deleted ones.
    pub(crate) async fn remains(
        &self,
        ids: &[JobId],
    ) -> Result<Vec<Option<Arc<Job>>>, EngineError> {
        let mut found = self.store.read(ids.to_vec()).await?;
        let missing = missing(ids, &found);
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

    /// Many jobs, in the order asked. As many of them as an answer may carry, at least one; with
    /// `is_full` that is bounded by what they weigh.
    pub async fn batch_get(
        &self,
        ids: &[JobId],
        is_full: bool,
    ) -> Result<Vec<Option<Arc<Job>>>, EngineError> {
        if ids.is_empty() || ids.len() as u64 > BATCH_JOBS {
            let description = format!("{} ids is out of range: 1..={BATCH_JOBS}", ids.len());
            return Err(EngineError::invalid("ids", description));
        }
        let mut found = Vec::with_capacity(ids.len());
        let mut bytes = 0;
        for some in ids.chunks(STEP) {
            for job in self.get_many(some).await? {
                bytes += job.as_ref().filter(|_| is_full).map_or(0, |job| weight(job));
                if bytes > ANSWER_BYTES && !found.is_empty() {
                    return Ok(found);
                }
                found.push(job);
            }
        }
        Ok(found)
    }

    /// One job.
    pub async fn get(&self, id: JobId) -> Result<Arc<Job>, EngineError> {
        let found = self.get_many(&[id]).await?.pop().flatten();
        found.ok_or(EngineError::JobNotFound(id))
    }
}

fn weight(job: &Job) -> usize {
    let status = &job.status;
    let kept = [&status.result, &status.checkpoint];
    job.spec.payload.len() + kept.iter().filter_map(|b| b.as_ref()).map(|b| b.len()).sum::<usize>()
}

fn missing(ids: &[JobId], found: &[Option<Arc<Job>>]) -> Vec<JobId> {
    ids.iter().zip(found).filter(|(_, job)| job.is_none()).map(|(id, _)| *id).collect()
}
