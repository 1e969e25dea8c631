//! Reports: how attempts ended, decided, committed and answered in batches.

use std::collections::BTreeMap;
use std::sync::Arc;

use sentinel_domain::{Ack, Command, Decision, Job, Millis, Progress, Refusal, decide};
use sentinel_store::{Conflict, Precondition, ServerId, TransactionResult};

use super::{Done, Held, ReportItem, ReportVerdict, Session};
use crate::cancel::group;
use crate::{Engine, TRIES};

/// A report with its verdict.
pub(super) struct Settled {
    pub(super) held: Held,
    pub(super) verdict: ReportVerdict,
}

/// A report on its way: the newest copy of the job, if one is at hand.
struct Pending {
    at: usize,
    command: Command,
    /// Newer than what the job has.
    progress: Option<Progress>,
    job: Option<Arc<Job>>,
}

impl Pending {
    fn decide(&self, job: &Arc<Job>, now: Millis) -> Result<Decision, Refusal> {
        let kept = job.status.progress.as_ref().map_or(0, |progress| progress.seq);
        match &self.progress {
            Some(progress) if progress.seq > kept => {
                let mut job = Job::clone(job);
                job.status.progress = Some(Box::new(progress.clone()));
                decide(&job, &self.command, now)
            }
            _ => decide(job, &self.command, now),
        }
    }
}

impl Session {
    /// Decides on the copies that the assignments carried: no read comes first.
    pub(super) fn on_report(&mut self, items: Vec<ReportItem>) {
        // Those of one level together: nobody waits for the ledger because another job does.
        let mut by_level: BTreeMap<Ack, (Vec<Pending>, Vec<Settled>)> = BTreeMap::new();
        for item in items {
            let running = self.running(&item.held);
            // The last progress goes into the record with the end of the attempt.
            let progress = running.as_ref().and_then(|running| running.progress.clone());
            let job = running.map(|running| running.job.clone());
            let of_server = self.engine.settings.ack;
            let level = job.as_ref().map_or(of_server, |job| self.engine.level_of(&job.spec));
            let (pending, settled) = by_level.entry(level).or_default();
            pending.push(Pending { at: settled.len(), command: item.command, progress, job });
            settled.push(Settled { held: item.held, verdict: ReportVerdict::RetryLater });
        }
        for (pending, mut settled) in by_level.into_values() {
            let engine = self.engine.clone();
            self.in_flight.push(Box::pin(async move {
                engine.settle(pending, &mut settled).await;
                Done::Settled(settled)
            }));
        }
    }
}

impl Engine {
    /// Gives each report its verdict. What can not be decided now stays RETRY_LATER.
    async fn settle(&self, mut pending: Vec<Pending>, settled: &mut [Settled]) {
        for _ in 0..TRIES {
            if pending.is_empty() || !self.look_up(&mut pending, settled).await {
                return;
            }
            let mut groups = Vec::with_capacity(pending.len());
            let mut steps = Vec::with_capacity(pending.len());
            // Recorded before, and perhaps not yet as safe as they must be.
            let mut duplicates = (Ack::Store, Vec::new());
            for report in pending.drain(..) {
                let Some(job) = &report.job else { continue };
                match report.decide(job, self.now()) {
                    Ok(decision) => {
                        let (group, after) = group(job, decision, Vec::new());
                        groups.push(group);
                        steps.push((report, after));
                    }
                    Err(Refusal::Duplicate) => {
                        duplicates.0 = duplicates.0.max(self.level_of(&job.spec));
                        duplicates.1.push(report.at);
                    }
                    Err(_) => settled[report.at].verdict = ReportVerdict::Fenced,
                }
            }
            let (level, duplicates) = duplicates;
            if self.acknowledge_all_known(level).await.is_ok() {
                for at in duplicates {
                    settled[at].verdict = ReportVerdict::Duplicate;
                }
            }
            if groups.is_empty() {
                return;
            }
            let verdicts = match self.acknowledged(groups, Ack::Store).await {
                Ok(verdicts) => verdicts,
                Err(error) => {
                    tracing::warn!(%error, "reports were not recorded; the worker will repeat them");
                    return;
                }
            };
            for ((mut report, after), verdict) in steps.into_iter().zip(verdicts) {
                match verdict {
                    TransactionResult::Committed => {
                        settled[report.at].verdict = ReportVerdict::Recorded;
                        if let Some(before) = &report.job {
                            self.observer.recorded(before, &after);
                        }
                    }
                    TransactionResult::Conflict(Conflict::Job { current, .. }) => {
                        report.job = current;
                        pending.push(report);
                    }
                    _ => pending.push(Pending { job: None, ..report }),
                }
            }
        }
    }

    /// Finds the jobs that this server has no copy of. A job that nobody knows is fenced.
    async fn look_up(&self, pending: &mut Vec<Pending>, settled: &mut [Settled]) -> bool {
        let lacking: Vec<_> = pending
            .iter()
            .filter(|report| report.job.is_none())
            .map(|report| settled[report.at].held.id)
            .collect();
        if lacking.is_empty() {
            return true;
        }
        let Ok(found) = self.remains(&lacking).await else { return false };
        let mut found = found.into_iter();
        for report in pending.iter_mut().filter(|report| report.job.is_none()) {
            report.job = found.next().flatten();
            if report.job.is_none() {
                settled[report.at].verdict = ReportVerdict::Fenced;
            }
        }
        pending.retain(|report| report.job.is_some());
        true
    }

    /// Takes jobs back that were never run; answers the leases that ended. A cancel may
    /// come in between: then the newer job is decided about. With `owner`, only jobs of
    /// sessions that it still owns. What can not be taken back now is left to the sweeper.
    pub(crate) async fn hand_back(
        &self,
        mut jobs: Vec<Arc<Job>>,
        owner: Option<ServerId>,
    ) -> Vec<Held> {
        let mut ended = Vec::with_capacity(jobs.len());
        for _ in 0..TRIES {
            let mut groups = Vec::with_capacity(jobs.len());
            let mut steps = Vec::with_capacity(jobs.len());
            for job in jobs.drain(..) {
                let Some(lease) = job.status.lease else { continue };
                if let Ok(decision) = decide(&job, &Command::NotReceived { lease }, self.now()) {
                    let session = lease.session;
                    let guard = owner.map(|owner| Precondition::SessionOwner { session, owner });
                    groups.push(group(&job, decision, guard.into_iter().collect()).0);
                    steps.push((Held { id: job.id, lease }, job));
                }
            }
            if groups.is_empty() {
                return ended;
            }
            let verdicts = match self.commits.groups(groups).await {
                Ok(verdicts) => verdicts,
                Err(error) => {
                    tracing::warn!(%error, "assignments were not taken back; it will be tried again");
                    jobs = steps.into_iter().map(|(_, job)| job).collect();
                    break;
                }
            };
            for ((held, _), verdict) in steps.into_iter().zip(verdicts) {
                match verdict {
                    TransactionResult::Committed => ended.push(held),
                    TransactionResult::Conflict(Conflict::Job {
                        current: Some(current), ..
                    }) if current.status.lease.is_some_and(|l| l.is_same(&held.lease)) => {
                        jobs.push(current);
                    }
                    _ => {}
                }
            }
        }
        self.roster.orphan(jobs);
        ended
    }
}
