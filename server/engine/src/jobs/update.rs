//! Update: changes the spec of a job that has not started.

use std::sync::Arc;

use sentinel_domain::{Command, CommandError, Job, JobId, Millis, Queue, SpecUpdate, decide};

use super::decision::JobChange;
use super::{DecisionOutcome, Jobs};
use crate::EngineError;
use crate::commit::IdempotencyKey;
use crate::queues::replace_labels;

impl Jobs {
    /// Changes the spec of a job before its first start; with `version`, only of this version.
    pub async fn update(
        &self,
        id: JobId,
        update: &SpecUpdate,
        version: Option<u64>,
        key: Option<IdempotencyKey>,
    ) -> Result<Arc<Job>, EngineError> {
        let job = self.reader.get(id).await?;
        let changes_payload = update.payload.is_some() || update.content_type.is_some();
        let queue = match changes_payload {
            true => Some(self.queues.get(&job.spec.queue).await?),
            false => None,
        };
        let max_bytes = self.settings.payload_max_bytes;
        let decide_update = |job: &Job, now: Millis| {
            check_version(job, version)?;
            decide_update(job, update, queue.as_deref(), now, max_bytes)
        };
        match self.decisions.commit(job, key.as_ref(), decide_update).await? {
            DecisionOutcome::Committed(job) => Ok(job),
            DecisionOutcome::Replayed => self.get_acknowledged(id).await,
            // A repeat finds another version, or a job that has started.
            DecisionOutcome::Refused(
                _,
                error @ (EngineError::VersionMismatch { .. } | EngineError::AlreadyStarted { .. }),
            ) => self.get_acknowledged_or(error, id, key.as_ref()).await,
            DecisionOutcome::Refused(_, error) => Err(error),
        }
    }
}

fn check_version(job: &Job, expected: Option<u64>) -> Result<(), EngineError> {
    let (id, actual) = (job.id, job.status.version);
    match expected {
        Some(expected) if expected != actual => {
            Err(EngineError::VersionMismatch { id, expected, actual })
        }
        _ => Ok(()),
    }
}

/// `queue` is needed when the payload changes: its labels are extracted again.
fn decide_update(
    job: &Job,
    update: &SpecUpdate,
    queue: Option<&Queue>,
    now: Millis,
    payload_max_bytes: u64,
) -> Result<JobChange, EngineError> {
    let spec = update.apply(&job.spec, "spec", now, payload_max_bytes);
    let mut spec = spec.map_err(EngineError::Invalid)?;
    if let Some(queue) = queue {
        replace_labels(&mut spec, queue);
    }
    match decide(job, &Command::Update { spec: Arc::new(spec) }, now) {
        Ok(decision) => Ok(JobChange::ReplaceSpec { job: decision.job }),
        Err(CommandError::Deleted) => Err(EngineError::JobNotFound(job.id)),
        Err(_) => Err(EngineError::AlreadyStarted { id: job.id, state: job.status.state }),
    }
}
