//! BatchGet: many jobs in one answer.

use std::sync::Arc;

use sentinel_domain::limits::BATCH_JOBS;
use sentinel_domain::{Job, JobId};

use super::Jobs;
use crate::EngineError;

/// The jobs of one read.
const READ_MAX: usize = 64;

/// The most bytes of payloads and results of one answer, which must fit into a message. A single
/// job may have more.
const ANSWER_BYTES: usize = 12 << 20;

impl Jobs {
    /// Returns jobs in the order of their ids, and stops at the size limit of an answer, after at
    /// least one. With `is_full` the size includes payloads and results.
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
        for ids in ids.chunks(READ_MAX) {
            for job in self.reader.get_many(ids).await? {
                bytes += job.as_ref().filter(|_| is_full).map_or(0, |job| weight(job));
                if bytes > ANSWER_BYTES && !found.is_empty() {
                    return Ok(found);
                }
                found.push(job);
            }
        }
        Ok(found)
    }
}

fn weight(job: &Job) -> usize {
    let status = &job.status;
    let data = [&status.result, &status.checkpoint];
    job.spec.payload.len() + data.iter().filter_map(|b| b.as_ref()).map(|b| b.len()).sum::<usize>()
}
