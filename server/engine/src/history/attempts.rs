//! The attempts of a job: those without success from the ledger, and the newest from the job.

use sentinel_domain::{AttemptEnd, AttemptOutcome, Job, JobError, JobId, Millis, Name, State};

use super::History;
use crate::EngineError;

/// One execution of a job under a lease.
#[derive(Clone, Debug, PartialEq)]
pub struct Attempt {
    pub run: u32,
    pub attempt: u32,
    pub epoch: u64,
    pub result: AttemptResult,
    pub started_at: Option<Millis>,
    pub ended_at: Option<Millis>,
    pub worker: Option<Name>,
    pub error: Option<Box<JobError>>,
}

/// The result of an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AttemptResult {
    Running,
    Succeeded,
    /// The attempt ended without success.
    Unsuccessful(AttemptOutcome),
}

/// A page of attempts, newest first.
#[derive(Clone, Debug)]
pub struct AttemptsPage {
    pub attempts: Vec<Attempt>,
    /// The next page has the attempts below this epoch. None after the last one.
    pub next: Option<u64>,
    pub as_of: Millis,
}

impl History {
    /// Returns the attempts below an epoch, newest first.
    pub async fn list_attempts(
        &self,
        id: JobId,
        below: Option<u64>,
        size: usize,
    ) -> Result<AttemptsPage, EngineError> {
        // The job first: an attempt that ends in between is then in one of the two.
        let job = self.reader.get(id).await?;
        let as_of = self.ledger.as_of().await?;
        // One more than asked for shows whether another page follows.
        let ends = self.ledger.attempts(id, below, size + 1).await?;
        let mut attempts: Vec<Attempt> = ends.into_iter().map(unsuccessful).collect();
        let is_asked = |newest: &Attempt| below.is_none_or(|below| newest.epoch < below);
        if let Some(newest) = newest(&job).filter(is_asked)
            && attempts.first().is_none_or(|first| first.epoch < newest.epoch)
        {
            attempts.insert(0, newest);
        }
        let has_more = attempts.len() > size;
        attempts.truncate(size);
        let next = attempts.last().map(|last| last.epoch).filter(|_| has_more);
        Ok(AttemptsPage { attempts, next, as_of })
    }
}

fn unsuccessful(end: AttemptEnd) -> Attempt {
    Attempt {
        run: end.run,
        attempt: end.attempt,
        epoch: end.epoch,
        result: AttemptResult::Unsuccessful(end.outcome),
        started_at: end.started_at,
        ended_at: Some(end.ended_at),
        worker: end.worker,
        error: end.error,
    }
}

/// Returns the attempt that has no row in the ledger, because it runs or succeeded.
fn newest(job: &Job) -> Option<Attempt> {
    let status = &job.status;
    let (epoch, result) = match (status.state, status.lease, status.recorded_lease) {
        (State::Running, Some(lease), _) => (lease.id.epoch, AttemptResult::Running),
        (State::Succeeded, _, Some((epoch, _))) => (epoch, AttemptResult::Succeeded),
        _ => return None,
    };
    Some(Attempt {
        run: status.run,
        attempt: status.attempt,
        epoch,
        result,
        started_at: status.started_at,
        ended_at: status.finished_at,
        worker: status.worker.clone(),
        error: None,
    })
}
