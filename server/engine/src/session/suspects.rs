//! Sends the poison suspects of a session one at a time, see [`super::poison_isolation`].

use std::sync::Arc;

use sentinel_domain::{Job, JobId, Millis};

use super::actor::{Completion, Session};
use super::frame::StreamEnd;

/// How long a suspect waits for the other jobs to finish before it runs together with them. Behind
/// another suspect it goes back to its queue instead. Shorter than the slack of a run_timeout,
/// which counts from the lease.
const WAIT_MS: Millis = 4_000;

/// How long nothing else is started together with a suspect. A job that crashes its worker mostly does so
/// early, and a long job must not occupy a whole worker.
const ALONE_MS: Millis = 60_000;

impl Session {
    /// Holds suspects back and returns the other jobs.
    pub(super) fn isolate_suspects(&mut self, jobs: Vec<Arc<Job>>) -> Vec<Arc<Job>> {
        let now = self.context.clock.now();
        let (suspects, others): (Vec<_>, Vec<_>) =
            jobs.into_iter().partition(|job| job.is_poison_suspect());
        self.isolation.waiting.extend(suspects.into_iter().map(|job| (now, job)));
        self.pause_for_isolation();
        if self.isolation.alone.is_some() {
            // They were claimed just before the session was paused.
            self.return_unsent(others);
            return Vec::new();
        }
        others
    }

    /// Sends the next suspect when no other job runs.
    pub(super) async fn continue_isolation(&mut self) -> Result<(), StreamEnd> {
        // Also when the last suspect was removed: then the pause is over.
        if !self.isolation.is_active() && !self.isolation.is_paused {
            return Ok(());
        }
        let now = self.context.clock.now();
        let is_running = |id: &JobId| self.running.contains_key(id);
        self.isolation.alone =
            self.isolation.alone.take_if(|(id, since)| is_running(id) && now - *since <= ALONE_MS);
        if self.is_draining {
            let jobs = self.isolation.take_waiting();
            self.return_unsent(jobs);
        }
        let is_overdue = |since: Millis| now - since > WAIT_MS;
        let first = self.isolation.waiting.front().map(|(since, _)| *since);
        if self.isolation.alone.is_none()
            && first.is_some_and(|since| self.running.is_empty() || is_overdue(since))
            && let Some((_, job)) = self.isolation.waiting.pop_front()
        {
            self.isolation.alone = Some((job.id, now));
            self.assign(vec![job]).await?;
        }
        let waiting = &mut self.isolation.waiting;
        let overdue = waiting.iter().take_while(|(since, _)| is_overdue(*since)).count();
        let jobs = waiting.drain(..overdue).map(|(_, job)| job).collect();
        self.return_unsent(jobs);
        self.pause_for_isolation();
        Ok(())
    }

    /// Pauses the claims of the session while a suspect waits or runs alone.
    pub(super) fn pause_for_isolation(&mut self) {
        let is_active = self.isolation.is_active();
        if is_active != self.isolation.is_paused {
            self.isolation.is_paused = is_active;
            self.context.scheduler.pause(self.id, is_active);
        }
    }

    /// Hands jobs back that were not sent, and refunds their credits.
    pub(super) fn return_unsent(&mut self, jobs: Vec<Arc<Job>>) {
        if jobs.is_empty() {
            return;
        }
        if !self.is_draining {
            self.context.scheduler.refund(self.id, &jobs);
        }
        let context = self.context.clone();
        self.spawn(async move {
            context.returner.hand_back(jobs, Some(context.server)).await;
            Completion::Nothing
        });
    }
}
