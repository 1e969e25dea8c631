//! Jobs whose worker died under them until one more death would make them POISONED. Whoever
//! ran beside the job that kills its workers died with it each time, so from the outside they
//! all look the same. Each gets its last chance alone: it takes nobody along, and pays for
//! nobody else.

use std::collections::VecDeque;
use std::sync::Arc;

use sentinel_domain::{Job, JobId, Millis};

use super::{Done, Ended, Held, Session};

/// A suspect waits for the jobs beside it to end, at most so long: then it goes on with them.
/// Behind another suspect it goes back to its queue instead. Shorter than the slack of a
/// run_timeout, whose clock starts with the lease.
const WAIT_MS: Millis = 4_000;

/// Nothing else is started beside a suspect for so long. Who takes its worker down does it
/// early, mostly; a long job must not keep a whole worker for itself.
const ALONE_MS: Millis = 60_000;

/// The suspects of one session.
#[derive(Default)]
pub(super) struct Suspects {
    /// Leased and not sent, with the moment of their claim.
    waiting: VecDeque<(Millis, Arc<Job>)>,
    /// The one that was sent, and when.
    alone: Option<(JobId, Millis)>,
    is_paused: bool,
}

impl Suspects {
    /// Of a session that comes back with what it runs.
    pub(super) fn kept(job: Option<JobId>, now: Millis) -> Self {
        Self { alone: job.map(|id| (id, now)), ..Self::default() }
    }

    /// Those that the worker has not seen, which stay.
    pub(super) fn waiting(&self) -> impl Iterator<Item = &Arc<Job>> {
        self.waiting.iter().map(|(_, job)| job)
    }

    /// Those that the worker has not seen.
    pub(super) fn take_waiting(&mut self) -> Vec<Arc<Job>> {
        self.waiting.drain(..).map(|(_, job)| job).collect()
    }

    /// Takes out one that was revoked or is to be cancelled.
    pub(super) fn remove(&mut self, held: &Held) -> bool {
        let is_it = |job: &Job| {
            job.id == held.id && job.status.lease.is_some_and(|l| l.is_same(&held.lease))
        };
        let before = self.waiting.len();
        self.waiting.retain(|(_, job)| !is_it(job));
        self.waiting.len() < before
    }

    fn is_busy(&self) -> bool {
        self.alone.is_some() || !self.waiting.is_empty()
    }
}

impl Session {
    /// Keeps the suspects back; answers the others.
    pub(super) fn hold_suspects(&mut self, jobs: Vec<Arc<Job>>) -> Vec<Arc<Job>> {
        let now = self.engine.now();
        let (suspects, others): (Vec<_>, Vec<_>) =
            jobs.into_iter().partition(|job| job.is_suspect());
        self.suspects.waiting.extend(suspects.into_iter().map(|job| (now, job)));
        self.pause_for_suspects();
        if self.suspects.alone.is_some() {
            // Claimed just before this session was paused.
            self.return_unsent(others);
            return Vec::new();
        }
        others
    }

    /// Sends the next suspect when nothing runs beside it.
    pub(super) async fn on_suspects(&mut self) -> Result<(), Ended> {
        // Also when the last one was taken out: then the pause is over.
        if !self.suspects.is_busy() && !self.suspects.is_paused {
            return Ok(());
        }
        let now = self.engine.now();
        let runs = |id: &JobId| self.running.contains_key(id);
        self.suspects.alone =
            self.suspects.alone.take_if(|(id, since)| runs(id) && now - *since <= ALONE_MS);
        if self.is_draining {
            let back = self.suspects.take_waiting();
            self.return_unsent(back);
        }
        let over = |since: Millis| now - since > WAIT_MS;
        let first = self.suspects.waiting.front().map(|(since, _)| *since);
        if self.suspects.alone.is_none()
            && first.is_some_and(|since| self.running.is_empty() || over(since))
            && let Some((_, job)) = self.suspects.waiting.pop_front()
        {
            self.suspects.alone = Some((job.id, now));
            self.assign(vec![job]).await?;
        }
        let overdue = self.suspects.waiting.iter().take_while(|(since, _)| over(*since)).count();
        let back = self.suspects.waiting.drain(..overdue).map(|(_, job)| job).collect();
        self.return_unsent(back);
        self.pause_for_suspects();
        Ok(())
    }

    /// The worker asks for no more while a suspect waits or is alone.
    pub(super) fn pause_for_suspects(&mut self) {
        let is_busy = self.suspects.is_busy();
        if is_busy != self.suspects.is_paused {
            self.suspects.is_paused = is_busy;
            self.engine.demand.pause(self.id, is_busy);
        }
    }

    /// Back to the queue: the worker never heard of them, and its room is free again.
    pub(super) fn return_unsent(&mut self, jobs: Vec<Arc<Job>>) {
        if jobs.is_empty() {
            return;
        }
        if !self.is_draining {
            self.engine.demand.give_back(self.id, &jobs);
        }
        let engine = self.engine.clone();
        self.in_flight.push(Box::pin(async move {
            engine.hand_back(jobs, Some(engine.server)).await;
            Done::Nothing
        }));
    }
}
