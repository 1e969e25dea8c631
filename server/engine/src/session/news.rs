//! What another server did to the jobs of a session: a cancel must reach the handler, a lease
//! that was revoked its worker.

use std::sync::Arc;
use std::time::Duration;

use sentinel_domain::{Job, JobId};

use super::{Done, Ended, Held, Session, ToWorker};

/// Jobs of one read.
const READ_MAX: usize = 1_000;

/// After a read that failed.
const PAUSE: Duration = Duration::from_millis(500);

impl Session {
    /// Reads those jobs that the session has, or all of them.
    pub(super) fn look_at(&mut self, ids: Vec<JobId>, is_all: bool) {
        let leased = |job: &Arc<Job>| job.status.lease.map(|lease| Held { id: job.id, lease });
        let sent = self.running.values().map(|running| &running.job);
        let mut held: Vec<Held> = sent.chain(self.suspects.waiting()).filter_map(leased).collect();
        if !is_all {
            let ids: std::collections::HashSet<JobId> = ids.into_iter().collect();
            held.retain(|held| ids.contains(&held.id));
        }
        for some in held.chunks(READ_MAX) {
            self.read_again(some.to_vec());
        }
    }

    fn read_again(&mut self, held: Vec<Held>) {
        let engine = self.engine.clone();
        self.in_flight.push(Box::pin(async move {
            match engine.store.read(held.iter().map(|held| held.id).collect()).await {
                Ok(jobs) => Done::Read(held.into_iter().zip(jobs).collect()),
                Err(error) => {
                    tracing::warn!(%error, "jobs that another server changed could not be read");
                    tokio::time::sleep(PAUSE).await;
                    Done::Unread(held)
                }
            }
        }));
    }

    pub(super) fn on_unread(&mut self, held: Vec<Held>) {
        self.read_again(held);
    }

    /// Takes over what became of them.
    pub(super) async fn on_read(
        &mut self,
        found: Vec<(Held, Option<Arc<Job>>)>,
    ) -> Result<(), Ended> {
        let (mut cancels, mut revoked) = (Vec::new(), Vec::new());
        for (held, job) in found {
            let lease = job.as_ref().and_then(|job| job.status.lease);
            match job {
                Some(job) if lease.is_some_and(|lease| lease.is_same(&held.lease)) => {
                    if job.status.cancel.is_some() {
                        cancels.push(job);
                    } else if let Some(running) = self.running(&held) {
                        running.renew(&job);
                    }
                }
                // Its report came in elsewhere; the worker repeats it and is told so.
                Some(job)
                    if job.status.recorded == Some((held.lease.epoch, held.lease.session)) => {}
                _ => revoked.push(held),
            }
        }
        revoked.retain(|held| self.running(held).is_some() || self.suspects.remove(held));
        for held in &revoked {
            self.forget(held);
        }
        if !revoked.is_empty() {
            self.send(ToWorker::Revoked(revoked)).await?;
        }
        self.on_cancels(cancels).await
    }
}
