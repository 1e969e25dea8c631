//! Isolation of poison suspects: jobs that one more crash of their worker would make POISONED.
//!
//! When a job crashes its worker, all jobs that ran on the worker look the same. So the last attempt
//! of each suspect runs alone: it crashes no other job, and no other job counts against it.

use std::collections::VecDeque;
use std::sync::Arc;

use sentinel_domain::{Job, JobId, Millis};

use crate::dispatch::HeldLease;

/// The suspects of one session.
#[derive(Default)]
pub(super) struct PoisonIsolation {
    /// Jobs that are leased and not sent, with the time of their claim.
    pub(super) waiting: VecDeque<(Millis, Arc<Job>)>,
    /// The job that runs alone, and since when.
    pub(super) alone: Option<(JobId, Millis)>,
    /// The session claims no jobs.
    pub(super) is_paused: bool,
}

impl PoisonIsolation {
    /// Returns the state of a session that is resumed with a suspect.
    pub(super) fn resumed(suspect: Option<JobId>, now: Millis) -> Self {
        Self { alone: suspect.map(|id| (id, now)), ..Self::default() }
    }

    /// Returns the suspects that were not sent.
    pub(super) fn waiting(&self) -> impl Iterator<Item = &Arc<Job>> {
        self.waiting.iter().map(|(_, job)| job)
    }

    /// Takes the suspects that were not sent.
    pub(super) fn take_waiting(&mut self) -> Vec<Arc<Job>> {
        self.waiting.drain(..).map(|(_, job)| job).collect()
    }

    /// Removes a suspect that was not sent. Returns whether there was one.
    pub(super) fn remove(&mut self, held: &HeldLease) -> bool {
        let is_held = |job: &Job| {
            job.id == held.id && job.status.lease.is_some_and(|lease| lease.id == held.lease)
        };
        let before = self.waiting.len();
        self.waiting.retain(|(_, job)| !is_held(job));
        self.waiting.len() < before
    }

    pub(super) fn is_active(&self) -> bool {
        self.alone.is_some() || !self.waiting.is_empty()
    }
}
