//! Retention: removes terminal jobs from the history that are too old or too many.
//!
//! A job that is still in the store stays: it runs again, a job depends on it, or it has just
//! finished. A concurrent retry creates the job with its spec, and the ledger records it again.

use std::sync::Arc;
use std::time::Duration;

use sentinel_domain::limits::IDEMPOTENCY_TTL_MS;
use sentinel_ledger::{Ledger, RemovableJob, RetentionCutoffs};
use sentinel_store::Store;
use tokio_util::sync::CancellationToken;

use crate::cluster::Leadership;
use crate::{Clock, EngineError, Observer, Settings};

const EVERY: Duration = Duration::from_secs(300);

/// The jobs of one step. Other writers of the ledger run between two steps.
const STEP: usize = 500;

/// The number of jobs that one pass removed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RetentionPass {
    /// Jobs that were older than their state is kept.
    pub expired: u64,
    /// Jobs above the limit of their queue.
    pub surplus: u64,
}

/// Retention of the history.
pub struct Retention {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) ledger: Ledger,
    pub(crate) clock: Clock,
    pub(crate) observer: Arc<dyn Observer>,
    pub(crate) settings: Settings,
    pub(crate) leadership: Leadership,
}

impl Retention {
    /// Runs a pass every five minutes while this server is the leader, until `closing` is
    /// cancelled.
    pub(crate) async fn run(self: Arc<Self>, closing: CancellationToken) {
        loop {
            tokio::select! {
                () = tokio::time::sleep(EVERY) => {}
                () = closing.cancelled() => return,
            }
            if !self.leadership.is_leader() {
                continue;
            }
            let pass = tokio::select! {
                pass = self.run_pass() => pass,
                () = closing.cancelled() => return,
            };
            match pass {
                Ok(RetentionPass { expired: 0, surplus: 0 }) => {}
                Ok(RetentionPass { expired, surplus }) => {
                    tracing::info!(expired, surplus, "retention removed terminal jobs");
                }
                Err(error) => tracing::warn!(%error, "retention pass failed, retrying"),
            }
        }
    }

    /// Runs one pass over the terminal jobs. It may be dropped between two steps; the next pass
    /// continues with what is left.
    pub async fn run_pass(&self) -> Result<RetentionPass, EngineError> {
        let expired = self.remove_expired().await?;
        Ok(RetentionPass { expired, surplus: self.remove_surplus().await? })
    }

    async fn remove_expired(&self) -> Result<u64, EngineError> {
        let now = self.clock.now();
        let cutoffs = RetentionCutoffs {
            now,
            succeeded_by: now - self.settings.keep_succeeded_ms,
            others_by: now - self.settings.keep_unsuccessful_ms,
        };
        let mut total = 0;
        let mut from = None;
        loop {
            let page = self.ledger.removable_jobs(cutoffs, from, STEP).await?;
            let removed = self.remove(page.jobs).await?;
            self.observer.retention_removed("age", removed);
            total += removed;
            from = page.next;
            if from.is_none() {
                return Ok(total);
            }
        }
    }

    /// Removes the oldest jobs first. Jobs younger than the idempotency records stay, so that a
    /// repeated request finds its job.
    async fn remove_surplus(&self) -> Result<u64, EngineError> {
        let now = self.clock.now();
        let by = now - IDEMPOTENCY_TTL_MS.cast_signed();
        let cutoffs = RetentionCutoffs { now, succeeded_by: by, others_by: by };
        let mut total = 0;
        let queues = self.ledger.queues_over_limit(self.settings.keep_terminal_max).await?;
        for (queue, mut surplus) in queues {
            let mut after = None;
            while surplus > 0 {
                let (mut oldest, next) =
                    self.ledger.oldest_removable(queue.clone(), cutoffs, after, STEP).await?;
                oldest.truncate(usize::try_from(surplus).unwrap_or(usize::MAX));
                let removed = self.remove(oldest).await?;
                self.observer.retention_removed("count", removed);
                total += removed;
                surplus -= removed.min(surplus);
                after = next;
                if after.is_none() {
                    break;
                }
            }
        }
        Ok(total)
    }

    /// Removes the jobs that are not in the store, with their attempt data.
    async fn remove(&self, mut jobs: Vec<RemovableJob>) -> Result<u64, EngineError> {
        if jobs.is_empty() {
            return Ok(0);
        }
        let ids = jobs.iter().map(|job| job.id).collect();
        let mut in_store = self.store.read(ids).await?.into_iter();
        jobs.retain(|_| in_store.next().flatten().is_none());
        let mut ids: Vec<_> = jobs.iter().map(|job| job.id).collect();
        while !ids.is_empty() {
            let processed = self.ledger.remove_attempt_data(ids.clone()).await?;
            ids.drain(..processed);
        }
        let mut total = 0;
        while !jobs.is_empty() {
            let result = self.ledger.remove_jobs(jobs.clone()).await?;
            jobs.drain(..result.processed);
            total += result.removed as u64;
        }
        Ok(total)
    }
}
