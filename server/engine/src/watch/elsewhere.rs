//! Log lines of watched jobs whose workers are at another server: that one alone hears them, so
//! they are read from the ledger, once a second.

use std::collections::HashMap;
use std::time::Duration;

use sentinel_domain::{Job, JobId, Lease};
use sentinel_ledger::{LogCursor, LogQuery, LogRow};
use tokio::time::Instant;

use crate::Engine;

/// Between two reads.
pub(super) const EVERY: Duration = Duration::from_secs(1);

/// Jobs of one watch whose lines are read; those beyond take their turn when others end.
const JOBS_MAX: usize = 16;

/// Lines of one read, and reads of one job a second.
const LINES: usize = 500;
const READS_MAX: usize = 8;

/// Jobs of a watch that run under sessions of other servers.
#[derive(Default)]
pub(super) struct Elsewhere {
    jobs: HashMap<JobId, Reading>,
    read_at: Option<Instant>,
}

struct Reading {
    lease: Lease,
    after: LogCursor,
    /// What is there is from before the watch.
    skips: bool,
}

impl Elsewhere {
    /// Takes a job in that runs elsewhere. `is_old`: it ran before the watch began.
    pub(super) fn note(&mut self, engine: &Engine, job: &Job, is_old: bool) {
        let Some(lease) = job.status.lease.filter(|l| !engine.roster.has(l.session)) else {
            self.jobs.remove(&job.id);
            return;
        };
        let is_known = self.jobs.get(&job.id).is_some_and(|known| known.lease.is_same(&lease));
        if !is_known && (self.jobs.len() < JOBS_MAX || self.jobs.contains_key(&job.id)) {
            // Before the first line of the attempt.
            let (run, attempt) = (lease.run, lease.attempt.saturating_sub(1));
            let after = LogCursor { run, attempt, seq: i64::MAX.unsigned_abs() };
            self.jobs.insert(job.id, Reading { lease, after, skips: is_old });
        }
    }

    pub(super) fn has(&self, job: JobId) -> bool {
        self.jobs.contains_key(&job)
    }

    /// When to read next; never while there is nothing to read.
    pub(super) fn due(&self) -> Option<Instant> {
        let now = Instant::now();
        (!self.jobs.is_empty()).then(|| self.read_at.map_or(now, |at| at + EVERY))
    }

    /// The lines of all jobs that came since the last time.
    pub(super) async fn read(&mut self, engine: &Engine) -> Vec<(JobId, Vec<LogRow>)> {
        self.read_at = Some(Instant::now());
        self.jobs.retain(|_, reading| !engine.roster.has(reading.lease.session));
        let ids: Vec<JobId> = self.jobs.keys().copied().collect();
        let mut found = Vec::new();
        for id in ids {
            let rows = self.read_job(engine, id).await;
            if !rows.is_empty() {
                found.push((id, rows));
            }
        }
        found
    }

    /// Those of one job.
    pub(super) async fn read_job(&mut self, engine: &Engine, job: JobId) -> Vec<LogRow> {
        let mut lines = Vec::new();
        let Some(reading) = self.jobs.get_mut(&job) else { return lines };
        for _ in 0..READS_MAX {
            let query = LogQuery { job, attempt: None, after: Some(reading.after), limit: LINES };
            // Best effort: what can not be read now is read the next time.
            let Ok(rows) = engine.ledger.read_logs(query).await else { break };
            let is_all = rows.len() < LINES;
            if let Some(last) = rows.last() {
                reading.after = last.cursor();
            }
            if !reading.skips {
                lines.extend(rows);
            }
            if is_all {
                reading.skips = false;
                break;
            }
        }
        lines
    }
}
