//! Log lines of watched jobs whose workers are connected to a peer. They are read from the
//! ledger once a second, because only the peer receives them.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use sentinel_domain::{Job, JobId, LeaseId};
use sentinel_ledger::{Ledger, LogCursor, LogQuery, LogRow};
use tokio::time::Instant;

use crate::dispatch::SessionRegistry;

/// The interval of reads.
const READ_EVERY: Duration = Duration::from_secs(1);

/// The most jobs of one watch whose lines are read. Others follow when these finish.
const JOBS_MAX: usize = 16;

/// The lines of one read.
const LINES: usize = 500;

/// The most reads of one job in an interval.
const READS_MAX: usize = 8;

/// The jobs of one watch that run under sessions of peers.
pub(super) struct RemoteJobs {
    ledger: Ledger,
    registry: Arc<SessionRegistry>,
    jobs: HashMap<JobId, LogPosition>,
    read_at: Option<Instant>,
}

struct LogPosition {
    lease: LeaseId,
    after: LogCursor,
    /// The existing lines are older than the watch and not shown.
    skips_existing: bool,
}

impl RemoteJobs {
    pub(super) fn new(ledger: Ledger, registry: Arc<SessionRegistry>) -> Self {
        Self { ledger, registry, jobs: HashMap::new(), read_at: None }
    }

    /// Adds a job if it runs under a session of a peer, else removes it. `is_old`: it ran before
    /// the watch began.
    pub(super) fn update(&mut self, job: &Job, is_old: bool) {
        let is_remote = |lease: &LeaseId| !self.registry.is_connected(lease.session);
        let lease = job.status.lease.map(|lease| lease.id);
        let Some(lease) = lease.filter(is_remote) else {
            self.jobs.remove(&job.id);
            return;
        };
        let is_known = self.jobs.get(&job.id).is_some_and(|known| known.lease == lease);
        if !is_known && (self.jobs.len() < JOBS_MAX || self.jobs.contains_key(&job.id)) {
            // The position before the first line of the attempt.
            let (run, attempt) = (lease.run, lease.attempt.saturating_sub(1));
            let after = LogCursor { run, attempt, seq: i64::MAX.unsigned_abs() };
            self.jobs.insert(job.id, LogPosition { lease, after, skips_existing: is_old });
        }
    }

    pub(super) fn contains(&self, job: JobId) -> bool {
        self.jobs.contains_key(&job)
    }

    /// Returns the time of the next read. None while there is nothing to read.
    pub(super) fn next_read_at(&self) -> Option<Instant> {
        let now = Instant::now();
        (!self.jobs.is_empty()).then(|| self.read_at.map_or(now, |at| at + READ_EVERY))
    }

    /// Returns the new lines of all jobs.
    pub(super) async fn read(&mut self) -> Vec<(JobId, Vec<LogRow>)> {
        self.read_at = Some(Instant::now());
        self.jobs.retain(|_, position| !self.registry.is_connected(position.lease.session));
        let ids: Vec<JobId> = self.jobs.keys().copied().collect();
        let mut found = Vec::new();
        for id in ids {
            let rows = self.read_job(id).await;
            if !rows.is_empty() {
                found.push((id, rows));
            }
        }
        found
    }

    /// Returns the new lines of one job.
    pub(super) async fn read_job(&mut self, job: JobId) -> Vec<LogRow> {
        let mut lines = Vec::new();
        let Some(position) = self.jobs.get_mut(&job) else { return lines };
        for _ in 0..READS_MAX {
            let query = LogQuery { job, attempt: None, after: Some(position.after), limit: LINES };
            // Best effort: the next read returns what this one did not.
            let Ok(rows) = self.ledger.read_logs(query).await else { break };
            let is_last = rows.len() < LINES;
            if let Some(last) = rows.last() {
                position.after = last.cursor();
            }
            if !position.skips_existing {
                lines.extend(rows);
            }
            if is_last {
                position.skips_existing = false;
                break;
            }
        }
        lines
    }
}
