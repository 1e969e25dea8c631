//! Reports: the ends of attempts, decided, committed and answered in batches.

use std::collections::BTreeMap;
use std::sync::Arc;

use sentinel_domain::{
    Ack, Command, CommandError, Decision, Job, Millis, Progress, Scopes, decide,
};
use sentinel_store::{Conflict, TransactionResult};

use super::actor::{Completion, Session, SettledReport};
use super::context::SessionContext;
use super::frame::{ReportItem, ReportVerdict};
use crate::Rng;
use crate::commit::{DECISION_ATTEMPTS, update_transaction};

/// A report without a verdict.
struct PendingReport {
    /// The index of its [`SettledReport`].
    index: usize,
    command: Command,
    /// Progress that may be newer than the job's.
    progress: Option<Progress>,
    /// The newest known version of the job. None: it must be read.
    job: Option<Arc<Job>>,
}

impl PendingReport {
    fn decide(&self, job: &Arc<Job>, now: Millis) -> Result<Decision, CommandError> {
        let stored_seq = job.status.progress.as_ref().map_or(0, |progress| progress.seq);
        match &self.progress {
            Some(progress) if progress.seq > stored_seq => {
                let mut job = Job::clone(job);
                job.status.progress = Some(Box::new(progress.clone()));
                decide(&job, &self.command, now)
            }
            _ => decide(job, &self.command, now),
        }
    }
}

/// Draws the entropy for the jitter of the next attempt.
fn draw_entropy(command: &mut Command, rng: &Rng) {
    match command {
        Command::Fail { failure, .. } => failure.entropy = rng.next_u32(),
        Command::Stop { entropy, .. } => *entropy = rng.next_u32(),
        _ => {}
    }
}

impl Session {
    /// Decides on the versions that this session knows, without reading the jobs first.
    pub(super) fn on_report(&mut self, items: Vec<ReportItem>) {
        // Grouped by durability level: a job does not wait for the ledger because another one does.
        let mut by_level: BTreeMap<Ack, (Vec<PendingReport>, Vec<SettledReport>)> = BTreeMap::new();
        for ReportItem { held, mut command } in items {
            draw_entropy(&mut command, &self.context.rng);
            let running = self.running(&held);
            // The last progress is stored with the end of the attempt.
            let progress = running.as_ref().and_then(|running| running.progress.clone());
            let job = running.map(|running| running.job.clone());
            let durability = &self.context.durability;
            let level = job
                .as_ref()
                .map_or(durability.default_level(), |job| durability.level_of(&job.spec));
            let (pending, settled) = by_level.entry(level).or_default();
            pending.push(PendingReport { index: settled.len(), command, progress, job });
            settled.push(SettledReport { held, verdict: ReportVerdict::RetryLater });
        }
        for (pending, mut settled) in by_level.into_values() {
            let (context, scopes) = (self.context.clone(), self.scopes.clone());
            self.spawn(async move {
                context.settle(pending, &mut settled, &scopes).await;
                Completion::Reports(settled)
            });
        }
    }
}

impl SessionContext {
    /// Sets the verdict of each report. A report that cannot be decided now keeps RETRY_LATER.
    async fn settle(
        &self,
        mut pending: Vec<PendingReport>,
        settled: &mut [SettledReport],
        scopes: &Scopes,
    ) {
        for _ in 0..DECISION_ATTEMPTS {
            if pending.is_empty() || !self.read_missing(&mut pending, settled, scopes).await {
                return;
            }
            let mut transactions = Vec::with_capacity(pending.len());
            let mut decided = Vec::with_capacity(pending.len());
            // Reports that were recorded before, perhaps below their durability level.
            let mut duplicates = Vec::new();
            let mut duplicates_level = Ack::Store;
            for report in pending.drain(..) {
                let Some(job) = &report.job else { continue };
                match report.decide(job, self.clock.now()) {
                    Ok(decision) => {
                        let (transaction, after) = update_transaction(job, decision, Vec::new());
                        transactions.push(transaction);
                        decided.push((report, after));
                    }
                    Err(CommandError::Duplicate) => {
                        let level = self.durability.level_of(&job.spec);
                        duplicates_level = duplicates_level.max(level);
                        duplicates.push(report.index);
                    }
                    Err(_) => settled[report.index].verdict = ReportVerdict::Fenced,
                }
            }
            if self.durability.wait_for_committed(duplicates_level).await.is_ok() {
                for index in duplicates {
                    settled[index].verdict = ReportVerdict::Duplicate;
                }
            }
            if transactions.is_empty() {
                return;
            }
            let results = match self.durability.commit_all(transactions, Ack::Store).await {
                Ok(results) => results,
                Err(error) => {
                    tracing::warn!(%error, "reports were not recorded, the worker repeats them");
                    return;
                }
            };
            for ((mut report, after), result) in decided.into_iter().zip(results) {
                match result {
                    TransactionResult::Committed => {
                        settled[report.index].verdict = ReportVerdict::Recorded;
                        if let Some(before) = &report.job {
                            self.observer.attempt_finished(before, &after);
                        }
                    }
                    TransactionResult::Conflict(Conflict::Job { current, .. }) => {
                        report.job = current;
                        pending.push(report);
                    }
                    _ => pending.push(PendingReport { job: None, ..report }),
                }
            }
        }
    }

    /// Reads the jobs that this session has no version of. A report about a job that does not
    /// exist, or is in a queue out of scope, is fenced. Returns false when the jobs cannot be read.
    async fn read_missing(
        &self,
        pending: &mut Vec<PendingReport>,
        settled: &mut [SettledReport],
        scopes: &Scopes,
    ) -> bool {
        let missing = pending.iter().filter(|report| report.job.is_none());
        let ids: Vec<_> = missing.map(|report| settled[report.index].held.id).collect();
        if ids.is_empty() {
            return true;
        }
        let Ok(found) = self.reader.get_including_deleted(&ids).await else { return false };
        let mut found = found.into_iter();
        for report in pending.iter_mut().filter(|report| report.job.is_none()) {
            report.job = found.next().flatten().filter(|job| scopes.contains(&job.spec.queue));
            if report.job.is_none() {
                settled[report.index].verdict = ReportVerdict::Fenced;
            }
        }
        pending.retain(|report| report.job.is_some());
        true
    }
}
