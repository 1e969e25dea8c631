//! Reads jobs of a session again that a peer changed: a cancel must reach the handler, and a
//! revoked lease the worker.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use sentinel_domain::{Job, JobId};

use super::actor::{Completion, Session};
use super::frame::StreamEnd;
use crate::dispatch::HeldLease;

/// The most jobs of one read.
const READ_MAX: usize = 1_000;

/// The pause after a failed read.
const RETRY_AFTER: Duration = Duration::from_millis(500);

impl Session {
    /// Reads those of the jobs that the session holds, or all that it holds.
    pub(super) fn reload(&mut self, ids: Vec<JobId>, is_all: bool) {
        let held = |job: &Arc<Job>| {
            let lease = job.status.lease?.id;
            Some(HeldLease { id: job.id, lease })
        };
        let sent = self.running.values().map(|running| &running.job);
        let mut held: Vec<HeldLease> =
            sent.chain(self.isolation.waiting()).filter_map(held).collect();
        if !is_all {
            let ids: HashSet<JobId> = ids.into_iter().collect();
            held.retain(|held| ids.contains(&held.id));
        }
        for held in held.chunks(READ_MAX) {
            self.read_again(held.to_vec());
        }
    }

    pub(super) fn read_again(&mut self, held: Vec<HeldLease>) {
        let context = self.context.clone();
        self.spawn(async move {
            match context.store.read(held.iter().map(|held| held.id).collect()).await {
                Ok(jobs) => Completion::Reloaded(held.into_iter().zip(jobs).collect()),
                Err(error) => {
                    tracing::warn!(%error, "jobs that a peer changed could not be read, retrying");
                    tokio::time::sleep(RETRY_AFTER).await;
                    Completion::ReloadFailed(held)
                }
            }
        });
    }

    /// Applies the current versions of the jobs.
    pub(super) async fn on_reloaded(
        &mut self,
        found: Vec<(HeldLease, Option<Arc<Job>>)>,
    ) -> Result<(), StreamEnd> {
        let (mut cancels, mut revoked) = (Vec::new(), Vec::new());
        for (held, job) in found {
            let lease = job.as_ref().and_then(|job| job.status.lease);
            let report = Some((held.lease.epoch, held.lease.session));
            match job {
                Some(job) if lease.is_some_and(|lease| lease.id == held.lease) => {
                    if job.status.cancel.is_some() {
                        cancels.push(job);
                    } else if let Some(running) = self.running(&held) {
                        running.update(&job);
                    }
                }
                // A peer recorded its report. The worker repeats the report and gets the verdict.
                Some(job) if job.status.recorded_lease == report => {}
                _ => revoked.push(held),
            }
        }
        revoked.retain(|held| self.running(held).is_some() || self.isolation.remove(held));
        if !revoked.is_empty() {
            self.revoke(revoked).await?;
        }
        self.on_cancels(cancels).await
    }
}
