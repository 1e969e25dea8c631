//! Sends cancels to the handlers of a session.
//!
//! A worker acknowledges the cancel of a lease that it does not know, and control frames overtake
//! assignments. So a cancel is sent only after the worker received the assignment, and again with
//! every Pong until it is acknowledged.

use std::sync::Arc;

use sentinel_domain::Job;

use super::actor::Session;
use super::frame::{StreamEnd, ToWorker};
use crate::dispatch::HeldLease;

/// The most cancels of one frame. A later Pong has the others.
const CANCELS_MAX: usize = 1_000;

impl Session {
    /// Takes newer versions of jobs that are cancelled.
    pub(super) async fn on_cancels(&mut self, jobs: Vec<Arc<Job>>) -> Result<(), StreamEnd> {
        let mut received = Vec::new();
        for job in jobs {
            let lease = job.status.lease.map(|lease| lease.id);
            if lease.is_some_and(|lease| self.isolation.remove(&HeldLease { id: job.id, lease })) {
                // It was not sent. Handed back with its cancel, it ends.
                self.return_unsent(vec![job]);
                continue;
            }
            let Some(running) = self.running.get_mut(&job.id) else { continue };
            if running.update(&job) && running.is_received {
                received.push(job);
            }
        }
        self.send_cancels(received).await
    }

    /// Records that the worker received every assignment up to a number.
    pub(super) async fn on_received(&mut self, assign_seq: u64) -> Result<(), StreamEnd> {
        let mut cancelled = Vec::new();
        while self.unreceived.front().is_some_and(|u| u.assign_seq <= assign_seq) {
            for id in self.unreceived.pop_front().map(|u| u.jobs).unwrap_or_default() {
                let Some(running) = self.running.get_mut(&id) else { continue };
                running.is_received = true;
                if running.job.status.cancel.is_some() {
                    cancelled.push(running.job.clone());
                }
            }
        }
        self.send_cancels(cancelled).await
    }

    pub(super) async fn send_cancels(&mut self, jobs: Vec<Arc<Job>>) -> Result<(), StreamEnd> {
        if jobs.is_empty() {
            return Ok(());
        }
        self.cancels.extend(jobs.iter().map(|job| (job.id, job.clone())));
        for jobs in jobs.chunks(CANCELS_MAX) {
            self.send(ToWorker::Cancel(jobs.to_vec())).await?;
        }
        Ok(())
    }

    /// Returns the cancels to repeat, and drops those of jobs that the session no longer holds.
    pub(super) fn unacknowledged_cancels(&mut self) -> Vec<Arc<Job>> {
        let running = &self.running;
        self.cancels.retain(|id, _| running.contains_key(id));
        self.cancels.values().take(CANCELS_MAX).cloned().collect()
    }

    pub(super) fn on_cancel_ack(&mut self, acknowledged: Vec<HeldLease>) {
        for held in acknowledged {
            let has_lease = |job: &Arc<Job>| job.status.lease.is_some_and(|l| l.id == held.lease);
            if !self.cancels.get(&held.id).is_some_and(has_lease) {
                continue;
            }
            let cancel = self.cancels.remove(&held.id).and_then(|job| job.status.cancel.clone());
            if let Some(cancel) = cancel {
                let latency_ms = self.context.clock.now() - cancel.at;
                self.context.observer.cancel_acknowledged(latency_ms);
            }
        }
    }
}
