//! What needs a decision though nobody asked. Reading changes nothing.

use sentinel_domain::{Millis, Name, State};
use sentinel_store::{DueWork, Unblocked};

use crate::state::Hot;

/// Ready jobs that one search for the oldest looks at, of all queues: some milliseconds.
const LOOKS_MAX: usize = 20_000;

impl Hot {
    /// At most `limit` jobs in all, and as many sessions.
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
        for (parent, child) in self.dependents.released().take(left) {
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

    /// When promotion or [`Self::due_work`] has something to do next, not before `now`.
    pub(crate) fn next_due_at(&self, now: Millis) -> Option<Millis> {
        let released = self.dependents.has_released().then_some(now);
        let due = self.due.first().map(|(at, _)| *at);
        let alarm = self.deadlines.first().map(|(at, _)| *at);
        let loss = self.sessions.next_loss();
        [released, due, alarm, loss].into_iter().flatten().min().map(|at| at.max(now))
    }

    /// Since when the oldest ready job of each queue has been.
    pub(crate) fn oldest_ready(&self, queues: &[Name]) -> Vec<Option<Millis>> {
        let mut looks = LOOKS_MAX;
        let ready_at = |id| self.jobs.get(&id).map(|job| job.status.ready_at);
        let oldest = |name| self.queues.get(name)?.oldest_ready(ready_at, &mut looks);
        queues.iter().map(oldest).collect()
    }

    /// How many hot jobs are in each state, by queue; without those of zero.
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
