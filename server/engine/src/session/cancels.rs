//! Cancels on their way to the handlers of a session.
//!
//! A worker acknowledges the cancel of a lease that it does not know, and frames of the
//! control lane overtake assignments. So a cancel is told only once the assignment that it
//! belongs to was received, and again with each Pong until it is acknowledged.

use std::collections::HashMap;
use std::sync::Arc;

use sentinel_domain::{Job, JobId};

use super::{Ended, Held, Session, ToWorker};

/// Cancels of one frame; those beyond come with a later Pong.
const CANCELS_MAX: usize = 1_000;

impl Session {
    /// Takes over newer copies of jobs that somebody wants to stop.
    pub(super) async fn on_cancels(&mut self, jobs: Vec<Arc<Job>>) -> Result<(), Ended> {
        let mut tell = Vec::new();
        for job in jobs {
            let lease = job.status.lease;
            if lease.is_some_and(|lease| self.suspects.remove(&Held { id: job.id, lease })) {
                // Not sent: handed back under its cancel, it ends.
                self.return_unsent(vec![job]);
                continue;
            }
            let Some(running) = self.running.get_mut(&job.id) else { continue };
            if running.renew(&job) && running.is_received {
                tell.push(job);
            }
        }
        self.tell_cancels(tell).await
    }

    /// The worker has everything up to this assignment.
    pub(super) async fn on_received(&mut self, assign_seq: u64) -> Result<(), Ended> {
        let mut tell = Vec::new();
        while self.unreceived.front().is_some_and(|u| u.assign_seq <= assign_seq) {
            for id in self.unreceived.pop_front().map(|u| u.jobs).unwrap_or_default() {
                let Some(running) = self.running.get_mut(&id) else { continue };
                running.is_received = true;
                if running.job.status.cancel.is_some() {
                    tell.push(running.job.clone());
                }
            }
        }
        self.tell_cancels(tell).await
    }

    pub(super) async fn tell_cancels(&mut self, jobs: Vec<Arc<Job>>) -> Result<(), Ended> {
        if jobs.is_empty() {
            return Ok(());
        }
        self.cancels.extend(jobs.iter().map(|job| (job.id, job.clone())));
        for jobs in jobs.chunks(CANCELS_MAX) {
            self.send(ToWorker::Cancel(jobs.to_vec())).await?;
        }
        Ok(())
    }

    /// Those to repeat. A job that left the session takes its cancel along.
    pub(super) fn unacknowledged(&mut self) -> Vec<Arc<Job>> {
        let (cancels, running): (&mut HashMap<JobId, _, _>, _) = (&mut self.cancels, &self.running);
        cancels.retain(|id, _| running.contains_key(id));
        cancels.values().take(CANCELS_MAX).cloned().collect()
    }

    pub(super) fn on_cancel_ack(&mut self, acknowledged: Vec<Held>) {
        for held in acknowledged {
            let is_it = |job: &Arc<Job>| job.status.lease.is_some_and(|l| l.is_same(&held.lease));
            if !self.cancels.get(&held.id).is_some_and(is_it) {
                continue;
            }
            let cancel = self.cancels.remove(&held.id).and_then(|job| job.status.cancel.clone());
            if let Some(cancel) = cancel {
                self.engine.observer.cancel_acknowledged(self.engine.now() - cancel.at);
            }
        }
    }
}
