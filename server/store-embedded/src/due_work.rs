//! Queries of due work and of queue statistics.

use sentinel_domain::{Millis, Name, State};
use sentinel_store::{DueWork, Unblocked};

use crate::state::MemoryState;

/// The maximum number of ready jobs that a search for the oldest ones scans, in all queues. It
/// takes some milliseconds.
const SCAN_MAX: usize = 20_000;

impl MemoryState {
    /// Returns at most `limit` jobs in total, and as many sessions.
    pub(crate) fn due_work(&self, now: Millis, limit: usize) -> DueWork {
        let mut found = DueWork::default();
        let mut left = limit;
        for session in self.sessions.lost(now) {
            if left == 0 || found.expired_sessions.len() >= limit {
                break;
            }
            let before = found.lost.len();
            let jobs = self.sessions.jobs(session).filter_map(|id| self.jobs.get(&id).cloned());
            found.lost.extend(jobs.take(left));
            left -= found.lost.len() - before;
            if found.lost.len() == before {
                found.expired_sessions.extend(self.sessions.row(session).copied());
            }
        }
        for (parent, child) in self.dependents.unblocking().take(left) {
            let outcome = self.jobs.get(&parent).map(|job| job.status.state);
            if let (Some(job), Some(outcome)) = (self.jobs.get(&child).cloned(), outcome) {
                found.unblocked.push(Unblocked { job, parent, outcome });
            }
        }
        left -= found.unblocked.len();
        let due = self.deadlines.iter().take_while(|(at, _)| *at <= now).take(left);
        found.past_deadline.extend(due.filter_map(|(_, id)| self.jobs.get(id).cloned()));
        found
    }

    /// Returns when a job must be promoted or [`Self::due_work`] is next not empty, at least `now`.
    pub(crate) fn next_due_at(&self, now: Millis) -> Option<Millis> {
        let unblocking = self.dependents.has_unblocking().then_some(now);
        let due = self.due.first().map(|(at, _)| *at);
        let deadline = self.deadlines.first().map(|(at, _)| *at);
        let lost_at = self.sessions.next_lost_at();
        [unblocking, due, deadline, lost_at].into_iter().flatten().min().map(|at| at.max(now))
    }

    /// Returns when the oldest ready job of each queue became ready.
    pub(crate) fn oldest_ready(&self, queues: &[Name]) -> Vec<Option<Millis>> {
        let mut scans_left = SCAN_MAX;
        let ready_at = |id| self.jobs.get(&id).map(|job| job.status.ready_at);
        let oldest = |name| self.queues.get(name)?.oldest_ready(ready_at, &mut scans_left);
        queues.iter().map(oldest).collect()
    }

    /// Returns the number of jobs per queue and state, without zeros.
    pub(crate) fn depths(&self) -> Vec<sentinel_store::Depth> {
        let mut depths = Vec::new();
        for (name, queue) in &self.queues {
            for state in State::ALL {
                let count = queue.counts[state as usize];
                if count > 0 {
                    depths.push(sentinel_store::Depth { queue: name.clone(), state, count });
                }
            }
        }
        depths.sort_by(|a, b| (&a.queue, a.state).cmp(&(&b.queue, b.state)));
        depths
    }
}
