//! Which finished jobs the history may let go of.

use sentinel_domain::{Job, JobId, Millis, Name, State, held_key};

/// When a finished job is old enough. A job that finished exactly then is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RetentionCutoffs {
    /// The present: a unique key that is held beyond it keeps its job.
    pub now: Millis,
    /// SUCCEEDED jobs that finished by then may go.
    pub succeeded_by: Millis,
    /// FAILED, CANCELLED and EXPIRED jobs that finished by then may go.
    pub others_by: Millis,
}

impl RetentionCutoffs {
    /// The time of a state; None for one that is not final.
    pub fn of(&self, state: State) -> Option<Millis> {
        match state {
            State::Succeeded => Some(self.succeeded_by),
            State::Failed | State::Cancelled | State::Expired => Some(self.others_by),
            State::Scheduled | State::Blocked | State::Ready | State::Running => None,
        }
    }

    /// Whether a job may go: it is final, old enough, and holds no unique key any more,
    /// whose holder must be found by an enqueue that meets it.
    pub fn covers(&self, job: &Job) -> bool {
        let finished_at = job.status.finished_at.unwrap_or(job.status.updated_at);
        let is_old = self.of(job.status.state).is_some_and(|by| finished_at <= by);
        is_old && held_key(job).is_none_or(|(_, until)| until.is_some_and(|at| at <= self.now))
    }
}

/// A job that may go, as it was when it was looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RemovableJob {
    pub id: JobId,
    pub version: u64,
}

/// Where a walk through the finished jobs goes on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RetentionCursor {
    pub(crate) queue: Name,
    pub(crate) state: State,
    pub(crate) after: Option<JobId>,
}

/// What a part of a walk found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RemovablePage {
    pub jobs: Vec<RemovableJob>,
    /// Where to go on. None: the walk is at its end.
    pub next: Option<RetentionCursor>,
}

/// What one transaction removed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RemovalResult {
    /// How many of the jobs asked for are dealt with; ask again for the rest.
    pub done: usize,
    /// How many of those are gone now. The others had changed.
    pub jobs: usize,
}
