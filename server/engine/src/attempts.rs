//! The attempts of a job: those that ended without success out of the ledger, and the one that
//! the job itself knows of.

use sentinel_domain::{AttemptEnd, AttemptOutcome, Job, JobError, JobId, Millis, Name, State};

use crate::{Engine, EngineError};

/// One lease of a job and what came of it.
#[derive(Clone, Debug, PartialEq)]
pub struct Attempt {
    pub run: u32,
    pub attempt: u32,
    pub epoch: u64,
    pub came_of_it: CameOfIt,
    pub started_at: Option<Millis>,
    pub ended_at: Option<Millis>,
    pub worker: Option<Name>,
    pub error: Option<Box<JobError>>,
}

/// How an attempt ended, if it did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CameOfIt {
    Running,
    Succeeded,
    Ended(AttemptOutcome),
}

/// A page of attempts, newest first.
#[derive(Clone, Debug)]
pub struct AttemptsPage {
    pub attempts: Vec<Attempt>,
    /// The page after this one has what is below it.
    pub next: Option<u64>,
    pub as_of: Millis,
}

impl Engine {
    /// Attempts below an epoch, newest first.
    pub async fn list_attempts(
        &self,
        id: JobId,
        below: Option<u64>,
        size: usize,
    ) -> Result<AttemptsPage, EngineError> {
        // The job first: an attempt that ends in between is found in the ledger or still runs.
        let job = self.get(id).await?;
        let as_of = self.ledger.as_of().await?;
        // One more tells whether another page follows.
        let ends = self.ledger.attempts(id, below, size + 1).await?;
        let mut attempts: Vec<Attempt> = ends.into_iter().map(ended).collect();
        let is_asked = |newest: &Attempt| below.is_none_or(|below| newest.epoch < below);
        if let Some(newest) = newest(&job).filter(is_asked)
            && attempts.first().is_none_or(|first| first.epoch < newest.epoch)
        {
            attempts.insert(0, newest);
        }
        let is_more = attempts.len() > size;
        attempts.truncate(size);
        let next = attempts.last().map(|last| last.epoch).filter(|_| is_more);
        Ok(AttemptsPage { attempts, next, as_of })
    }
}

fn ended(end: AttemptEnd) -> Attempt {
    Attempt {
        run: end.run,
        attempt: end.attempt,
        epoch: end.epoch,
        came_of_it: CameOfIt::Ended(end.outcome),
        started_at: end.started_at,
        ended_at: Some(end.ended_at),
        worker: end.worker,
        error: end.error,
    }
}

/// The attempt that has no row: it runs, or it succeeded.
fn newest(job: &Job) -> Option<Attempt> {
    let status = &job.status;
    let (epoch, came_of_it) = match (status.state, status.lease, status.recorded) {
        (State::Running, Some(lease), _) => (lease.epoch, CameOfIt::Running),
        (State::Succeeded, _, Some((epoch, _))) => (epoch, CameOfIt::Succeeded),
        _ => return None,
    };
    Some(Attempt {
        run: status.run,
        attempt: status.attempt,
        epoch,
        came_of_it,
        started_at: status.started_at,
        ended_at: status.finished_at,
        worker: status.worker.clone(),
        error: None,
    })
}
