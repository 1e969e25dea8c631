//! The access policy for jobs: which of them a caller may read and change. New jobs are checked by
//! the engine, which knows their parents and unique keys.

use std::sync::Arc;

use sentinel_domain::{Job, JobId};
use sentinel_engine::session::Principal;
use sentinel_engine::{Engine, EngineError};
use tonic::Status;

use super::caller::Caller;
use crate::service::status::{self, to_status};

/// Jobs by their ids, split by whether the caller may access them.
pub(crate) struct SplitIds {
    pub(crate) allowed: Vec<JobId>,
    /// Includes the ids of jobs that do not exist.
    pub(crate) others: Vec<JobId>,
}

impl Caller {
    /// Returns the principal of a worker's session.
    pub(crate) fn principal(&self) -> Principal {
        let key_id = self.key.as_ref().map(|cached| cached.key.id);
        Principal { key_id, scopes: self.scopes().clone() }
    }

    /// Checks that the caller may access a queue. The error is the same whether the queue exists
    /// or not.
    ///
    /// # Errors
    /// QUEUE_NOT_ALLOWED.
    pub(crate) fn check_queue(&self, queue: &str) -> Result<(), Status> {
        if self.scopes().contains(queue) { Ok(()) } else { Err(status::queue_not_allowed(queue)) }
    }

    /// Checks that the caller may access a job. A job of another queue gets the same error as a
    /// job that does not exist, so that ids reveal nothing.
    ///
    /// # Errors
    /// JOB_NOT_FOUND.
    pub(crate) async fn check_job(&self, engine: &Engine, id: JobId) -> Result<(), Status> {
        let scopes = self.scopes();
        if scopes.is_all() {
            return Ok(());
        }
        // A job never changes its queue, so the result holds for the whole call.
        match engine.jobs().get(id).await {
            Ok(job) if scopes.contains(&job.spec.queue) => Ok(()),
            Ok(_) => Err(to_status(EngineError::JobNotFound(id))),
            // The engine answers for a missing job: a repeated Delete of a deleted job succeeds.
            Err(EngineError::JobNotFound(_)) => Ok(()),
            Err(error) => Err(to_status(error)),
        }
    }

    /// Returns a job, with the same error for a job of another queue as [`Caller::check_job`].
    ///
    /// # Errors
    /// JOB_NOT_FOUND.
    pub(crate) async fn job(&self, engine: &Engine, id: JobId) -> Result<Arc<Job>, Status> {
        let scopes = self.scopes();
        let job = engine.jobs().get(id).await.map_err(to_status)?;
        if scopes.contains(&job.spec.queue) {
            Ok(job)
        } else {
            Err(to_status(EngineError::JobNotFound(id)))
        }
    }

    /// Returns the jobs of several ids, `None` for each that does not exist or is of another queue.
    pub(crate) async fn jobs(
        &self,
        engine: &Engine,
        ids: &[JobId],
        with_data: bool,
    ) -> Result<Vec<Option<Arc<Job>>>, Status> {
        let scopes = self.scopes();
        let found = engine.jobs().batch_get(ids, with_data).await.map_err(to_status)?;
        let is_allowed = |job: &Arc<Job>| scopes.contains(&job.spec.queue);
        Ok(found.into_iter().map(|job| job.filter(is_allowed)).collect())
    }

    /// Splits ids by access.
    pub(crate) async fn split_ids(
        &self,
        engine: &Engine,
        ids: Vec<JobId>,
    ) -> Result<SplitIds, Status> {
        let scopes = self.scopes();
        if scopes.is_all() {
            return Ok(SplitIds { allowed: ids, others: Vec::new() });
        }
        let jobs = engine.jobs().get_many(&ids).await.map_err(to_status)?;
        let is_allowed = |job: &Option<Arc<Job>>| {
            job.as_ref().is_some_and(|job| scopes.contains(&job.spec.queue))
        };
        let (allowed, others): (Vec<_>, Vec<_>) =
            ids.into_iter().zip(jobs).partition(|(_, job)| is_allowed(job));
        let ids_of = |pairs: Vec<(JobId, _)>| pairs.into_iter().map(|(id, _)| id).collect();
        Ok(SplitIds { allowed: ids_of(allowed), others: ids_of(others) })
    }
}
