//! Retention: which terminal jobs may be deleted.

use sentinel_domain::{Job, JobId, Millis, Name, State, held_key};

/// The ages at which terminal jobs may be deleted. A job that finished exactly at a cutoff may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RetentionCutoffs {
    /// The current time. A job whose unique key is held beyond it is kept.
    pub now: Millis,
    /// The cutoff for SUCCEEDED jobs.
    pub succeeded_by: Millis,
    /// The cutoff for FAILED, CANCELLED and EXPIRED jobs.
    pub others_by: Millis,
}

impl RetentionCutoffs {
    /// Returns the cutoff of a state; `None` for one that is not terminal.
    pub fn cutoff(&self, state: State) -> Option<Millis> {
        match state {
            State::Succeeded => Some(self.succeeded_by),
            State::Failed | State::Cancelled | State::Expired => Some(self.others_by),
            State::Scheduled | State::Blocked | State::Ready | State::Running => None,
        }
    }

    /// Returns whether a job may be deleted: it is terminal, old enough, and holds no unique key.
    /// An enqueue that conflicts with a held key must find the holder.
    pub fn allow_removal(&self, job: &Job) -> bool {
        let finished_at = job.status.finished_at.unwrap_or(job.status.updated_at);
        let is_old = self.cutoff(job.status.state).is_some_and(|by| finished_at <= by);
        is_old && held_key(job).is_none_or(|(_, until)| until.is_some_and(|at| at <= self.now))
    }
}

/// A job that may be deleted, at the version that was checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RemovableJob {
    pub id: JobId,
    pub version: u64,
}

/// The position at which a scan of the terminal jobs continues.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RetentionCursor {
    pub(crate) queue: Name,
    pub(crate) state: State,
    pub(crate) after: Option<JobId>,
}

/// One page of a scan of the terminal jobs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RemovablePage {
    pub jobs: Vec<RemovableJob>,
    /// The start of the next page. `None`: the scan is complete.
    pub next: Option<RetentionCursor>,
}

/// The result of [`crate::Ledger::remove_jobs`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RemovalResult {
    /// The number of jobs, from the first on, that were processed. Call again with the rest.
    pub processed: usize,
    /// The number of processed jobs that were deleted. The others had changed.
    pub removed: usize,
}
