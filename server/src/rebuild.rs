//! `sentinel rebuild`: rebuilds the store in Redis from the ledger.
//!
//! First the entries that are left in the journal of the old store are written to the ledger. From
//! then on the ledger is complete, and every step can be repeated. Running attempts are finished
//! as a restore finishes them, and all lease epochs rise, so that earlier reports are refused.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use sentinel_domain::{Job, JobId, Millis, decide, raise_epoch, restore_command};
use sentinel_ledger::{Ledger, LedgerError};
use sentinel_store::{IdempotencyRecord, JobEvent, JournalEntry, JournalPage, Position, ServerId};
use sentinel_store_redis::{ExistingStore, OpenOptions, Rebuild};
use tokio::time::Instant;

/// Jobs that are read from the ledger at once.
const JOBS_PER_PAGE: usize = 500;
/// Journal entries that are projected at once.
const ENTRIES_PER_PAGE: usize = 256;

/// Longer than the lock of a rebuild outlives its process.
const LOCK_TIMEOUT: Duration = Duration::from_secs(25);
const LOCK_RETRY_INTERVAL: Duration = Duration::from_millis(500);

/// Why the store was not rebuilt. The rebuild can be run again.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RebuildError {
    #[error(transparent)]
    Store(#[from] sentinel_store_redis::RebuildError),
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    #[error(
        "the journal in Redis starts after {checkpoint}, where the ledger ends: the ledger belongs \
         to another store, or is an older copy. Name the ledger of this store, or restore a newer \
         backup of it"
    )]
    OtherLedger { checkpoint: Position },
}

/// The result of a rebuild.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct RebuildReport {
    /// The journal position of the old store; none without one.
    pub(crate) previous_position: Option<Position>,
    /// The checkpoint of the ledger before the rebuild.
    pub(crate) checkpoint: Position,
    /// Entries of the old journal that were written to the ledger.
    pub(crate) projected_entries: u64,
    /// Jobs in the new store.
    pub(crate) jobs: u64,
    /// Jobs that were running.
    pub(crate) revoked_jobs: u64,
    /// Dependencies of live jobs that do not exist.
    pub(crate) missing_dependencies: u64,
    /// The journal position at which the new store starts.
    pub(crate) position: Position,
}

/// Receives the progress of a rebuild.
pub(crate) trait RebuildProgress {
    /// Called with the number of entries that were written to the ledger so far.
    fn projected(&self, entries: u64);
    /// Called with the number of jobs in the new store so far.
    fn jobs_stored(&self, jobs: u64);
}

/// Rebuilds the store. `requests` are idempotency records of a store that is not in Redis.
pub(crate) async fn rebuild(
    options: &OpenOptions,
    ledger: &Ledger,
    owner: ServerId,
    requests: &[IdempotencyRecord],
    progress: &impl RebuildProgress,
) -> Result<RebuildReport, RebuildError> {
    let checkpoint = ledger.checkpoint().await?;
    let store = begin(options, owner, checkpoint.epoch).await?;
    let previous_position = store.previous_position();
    let report = RebuildReport { previous_position, checkpoint, ..RebuildReport::default() };
    let now = store.started_at();
    let mut rebuilder = Rebuilder { store, ledger, progress, now, checkpoint, report };
    match rebuilder.run().await {
        Ok(()) => {
            let Rebuilder { mut store, checkpoint, report, .. } = rebuilder;
            store.put_idempotency_records(&ledger.producer_records(now).await?).await?;
            store.put_idempotency_records(requests).await?;
            store.finish(checkpoint.seq).await?;
            Ok(RebuildReport { position: checkpoint, ..report })
        }
        Err(error) => {
            // Best effort: otherwise the next rebuild waits until the lock expires.
            let _ = rebuilder.store.release_lock().await;
            Err(error)
        }
    }
}

/// Begins a rebuild. Waits for the lock of an interrupted rebuild to expire; a running rebuild
/// renews its lock, so the wait fails after [`LOCK_TIMEOUT`].
pub(crate) async fn begin(
    options: &OpenOptions,
    owner: ServerId,
    epoch: u64,
) -> Result<Rebuild, RebuildError> {
    let started = Instant::now();
    loop {
        match Rebuild::begin(options, owner, epoch).await {
            Err(sentinel_store_redis::RebuildError::Locked { .. })
                if started.elapsed() < LOCK_TIMEOUT =>
            {
                tokio::time::sleep(LOCK_RETRY_INTERVAL).await;
            }
            result => return Ok(result?),
        }
    }
}

/// Returns what is in Redis.
pub(crate) async fn inspect(options: &OpenOptions) -> Result<ExistingStore, RebuildError> {
    Ok(ExistingStore::inspect(options).await?)
}

struct Rebuilder<'a, P> {
    store: Rebuild,
    ledger: &'a Ledger,
    progress: &'a P,
    now: Millis,
    /// The current checkpoint of the ledger.
    checkpoint: Position,
    report: RebuildReport,
}

impl<P: RebuildProgress> Rebuilder<'_, P> {
    async fn run(&mut self) -> Result<(), RebuildError> {
        self.project_old_journal().await?;
        self.store.delete_previous().await?;
        // Moves the ledger to the new epoch, so that no server can project the old journal.
        let start = Position { epoch: self.store.epoch(), seq: 1 };
        self.checkpoint = self.project(start, Vec::new()).await?;
        let queues = self.ledger.queues().await?;
        self.store.put_jobs(queues, &[]).await?;
        let keys = self.ledger.held_unique_keys(self.now).await?;
        let dependencies = self.put_live_jobs().await?;
        self.put_terminal_dependencies(dependencies).await?;
        Ok(self.store.hold_unique_keys(&keys).await?)
    }

    /// Writes the entries that the ledger lacks from the old journal to the ledger.
    async fn project_old_journal(&mut self) -> Result<(), RebuildError> {
        let Some(previous) = self.store.previous_position() else { return Ok(()) };
        let is_new = self.checkpoint == Position::default();
        // The store was rolled back, so the ledger already has all of its entries.
        if !is_new
            && (previous.epoch < self.checkpoint.epoch
                || (previous.epoch == self.checkpoint.epoch && previous <= self.checkpoint))
        {
            return Ok(());
        }
        loop {
            let page = self.store.read_previous_journal(self.checkpoint, ENTRIES_PER_PAGE).await?;
            let entries = match page {
                JournalPage::Entries(entries) => entries,
                JournalPage::Trimmed | JournalPage::OtherEpoch => {
                    return Err(RebuildError::OtherLedger { checkpoint: self.checkpoint });
                }
            };
            let count = entries.len() as u64;
            if count == 0 {
                return Ok(());
            }
            match self.ledger.project(self.checkpoint, entries).await {
                Ok(checkpoint) => self.checkpoint = checkpoint,
                // A server projected the same entries at the same time.
                Err(LedgerError::Superseded { found, .. }) => self.checkpoint = found,
                Err(error) => return Err(error.into()),
            }
            self.report.projected_entries += count;
            self.progress.projected(self.report.projected_entries);
        }
    }

    async fn project(&self, to: Position, jobs: Vec<JobEvent>) -> Result<Position, RebuildError> {
        let (queues, requests) = Default::default();
        let entry = JournalEntry {
            position: to,
            at: self.now,
            jobs,
            queues,
            idempotency_records: requests,
        };
        Ok(self.ledger.project(self.checkpoint, vec![Arc::new(entry)]).await?)
    }

    /// Puts all live jobs into the store. Returns the ids of the jobs that they depend on.
    async fn put_live_jobs(&mut self) -> Result<BTreeSet<JobId>, RebuildError> {
        let mut dependencies = BTreeSet::new();
        let mut after = None;
        loop {
            let page = self.ledger.live_jobs(after, JOBS_PER_PAGE).await?;
            let Some(last) = page.last() else { return Ok(dependencies) };
            after = Some(last.id);
            let mut jobs = Vec::with_capacity(page.len());
            let mut events = Vec::new();
            for job in page {
                let (job, event) = self.revoke(job);
                events.extend(event);
                if !job.status.state.is_terminal() {
                    dependencies.extend(job.status.waiting_for.iter().copied());
                    jobs.push(job);
                }
            }
            if !events.is_empty() {
                self.report.revoked_jobs += events.len() as u64;
                let next = Position { seq: self.checkpoint.seq + 1, ..self.checkpoint };
                self.checkpoint = self.project(next, events).await?;
            }
            self.store.put_jobs(Vec::new(), &jobs).await?;
            self.report.jobs += jobs.len() as u64;
            self.progress.jobs_stored(self.report.jobs);
        }
    }

    /// Raises the lease epoch of a job and finishes its running attempt. Returns the job, and the
    /// change for the ledger if an attempt was running.
    fn revoke(&self, job: Job) -> (Job, Option<JobEvent>) {
        // The store's epoch is higher than every lease epoch that was granted.
        let min_epoch = self.store.epoch();
        let raised = |job: Job| raise_epoch(&job, min_epoch).unwrap_or(job);
        let Some(command) = restore_command(&job) else { return (raised(job), None) };
        // The clock may have been set back since the last change of the job.
        match decide(&job, &command, self.now.max(job.status.updated_at)) {
            Ok(decision) => {
                let job = raised(decision.job);
                let (id, status, end) = (job.id, job.status.clone(), decision.attempt_end);
                (
                    job,
                    Some(JobEvent { id, status, spec: None, encoded_spec: None, attempt_end: end }),
                )
            }
            Err(_) => (raised(job), None),
        }
    }

    /// Puts the terminal jobs that live jobs depend on into the store.
    async fn put_terminal_dependencies(
        &mut self,
        dependencies: BTreeSet<JobId>,
    ) -> Result<(), RebuildError> {
        let ids: Vec<JobId> = dependencies.into_iter().collect();
        for page in ids.chunks(JOBS_PER_PAGE) {
            let missing = self.store.missing_jobs(page).await?;
            let found = self.ledger.get(missing).await?;
            self.report.missing_dependencies +=
                found.iter().filter(|job| job.is_none()).count() as u64;
            let jobs: Vec<Job> = found.into_iter().flatten().collect();
            self.store.put_jobs(Vec::new(), &jobs).await?;
        }
        Ok(())
    }
}
