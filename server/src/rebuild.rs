//! `sentinel rebuild`: makes the hot store in Redis anew, from the ledger.
//!
//! What the journal of the old store still has goes into the ledger first; from then on the
//! ledger knows everything there is to know, and each step can be done again from its
//! beginning. Attempts that were running are ended as a restore ends them, and every lease
//! number rises, so that no report from before counts.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use sentinel_domain::{Job, JobId, Millis, decide, on_restore, raise_epoch};
use sentinel_ledger::{Ledger, LedgerError};
use sentinel_store::{Entry, IdempotencyRecord, JobEvent, JournalPage, Position, ServerId};
use sentinel_store_redis::{Found, OpenOptions, Rebuild, RebuildError};
use tokio::time::Instant;

/// Jobs of one read of the ledger, and entries of one projection.
const PAGE: usize = 500;
const ENTRIES: usize = 256;

/// Longer than the lock of a rebuild that ended without a word.
const LOCK_MAX: Duration = Duration::from_secs(25);
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// Why the store was not rebuilt. It can be tried again.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failed {
    #[error(transparent)]
    Store(#[from] RebuildError),
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    #[error(
        "the journal in Redis begins after {checkpoint}, where the ledger ends: the ledger is not \
         the one of this store, or an older copy of it. Name the right ledger, or restore a newer \
         backup of it"
    )]
    OtherLedger { checkpoint: Position },
}

/// What a rebuild did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Rebuilt {
    /// Where the old store stood.
    pub(crate) was: Option<Position>,
    /// Where the ledger stood.
    pub(crate) checkpoint: Position,
    /// Entries of the old journal that the ledger had not seen yet.
    pub(crate) carried: u64,
    /// Jobs in the new store.
    pub(crate) jobs: u64,
    /// Of them, those that were running.
    pub(crate) revoked: u64,
    /// Jobs that wait for another one that nobody knows.
    pub(crate) orphans: u64,
    /// Where the new store begins.
    pub(crate) at: Position,
}

/// How far a rebuild is, for those who wait.
pub(crate) trait Show {
    /// Entries that were carried into the ledger so far.
    fn carried(&self, entries: u64);
    /// Jobs in the new store so far.
    fn put(&self, jobs: u64);
}

/// Makes the store anew. `requests` were answered by a store that is not on Redis.
pub(crate) async fn rebuild(
    options: &OpenOptions,
    ledger: &Ledger,
    owner: ServerId,
    requests: &[IdempotencyRecord],
    show: &impl Show,
) -> Result<Rebuilt, Failed> {
    let checkpoint = ledger.checkpoint().await?;
    let store = begin(options, owner, checkpoint.epoch).await?;
    let done = Rebuilt { was: store.was(), checkpoint, ..Rebuilt::default() };
    let now = store.now();
    let mut work = Work { store, ledger, show, now, at: checkpoint, done };
    match work.run().await {
        Ok(()) => {
            work.store.remember(&ledger.producers(now).await?).await?;
            work.store.remember(requests).await?;
            let last = work.at.seq;
            work.store.finish(last).await?;
            Ok(Rebuilt { at: work.at, ..work.done })
        }
        Err(failed) => {
            // The next one need not wait for the lock to end by itself.
            let _ = work.store.release().await;
            Err(failed)
        }
    }
}

/// Waits for the lock of a rebuild that was cut short. One that is at work renews it.
pub(crate) async fn begin(
    options: &OpenOptions,
    owner: ServerId,
    epoch: u64,
) -> Result<Rebuild, Failed> {
    let begun = Instant::now();
    loop {
        match Rebuild::begin(options, owner, epoch).await {
            Err(RebuildError::Locked { .. }) if begun.elapsed() < LOCK_MAX => {
                tokio::time::sleep(LOOK_EVERY).await;
            }
            begun => return Ok(begun?),
        }
    }
}

/// What is in Redis.
pub(crate) async fn look(options: &OpenOptions) -> Result<Found, Failed> {
    Ok(Found::look(options).await?)
}

struct Work<'a, S> {
    store: Rebuild,
    ledger: &'a Ledger,
    show: &'a S,
    now: Millis,
    /// How far the ledger is.
    at: Position,
    done: Rebuilt,
}

impl<S: Show> Work<'_, S> {
    async fn run(&mut self) -> Result<(), Failed> {
        self.carry().await?;
        self.store.clear().await?;
        // From here on no server that still knows the old journal writes the ledger.
        self.at = self.project(Position { epoch: self.store.epoch(), seq: 1 }, Vec::new()).await?;
        let queues = self.ledger.queues().await?;
        self.store.put(queues, &[]).await?;
        let keys = self.ledger.held_keys(self.now).await?;
        let waited_for = self.live().await?;
        self.parents(waited_for).await?;
        Ok(self.store.hold(&keys).await?)
    }

    /// The rest of the old journal.
    async fn carry(&mut self) -> Result<(), Failed> {
        let Some(was) = self.store.was() else { return Ok(()) };
        let is_new = self.at == Position::default();
        // The ledger is ahead: the store was rolled back, and what it has is known.
        if !is_new && (was.epoch < self.at.epoch || (was.epoch == self.at.epoch && was <= self.at))
        {
            return Ok(());
        }
        loop {
            let entries = match self.store.tail(self.at, ENTRIES).await? {
                JournalPage::Entries(entries) => entries,
                JournalPage::Trimmed | JournalPage::OtherEpoch => {
                    return Err(Failed::OtherLedger { checkpoint: self.at });
                }
            };
            let count = entries.len() as u64;
            if count == 0 {
                return Ok(());
            }
            match self.ledger.project(self.at, entries).await {
                Ok(at) => self.at = at,
                // A server that had them in hand.
                Err(LedgerError::Superseded { found, .. }) => self.at = found,
                Err(error) => return Err(error.into()),
            }
            self.done.carried += count;
            self.show.carried(self.done.carried);
        }
    }

    async fn project(&self, to: Position, jobs: Vec<JobEvent>) -> Result<Position, Failed> {
        let (queues, requests) = Default::default();
        let entry = Entry { position: to, at: self.now, jobs, queues, requests };
        Ok(self.ledger.project(self.at, vec![Arc::new(entry)]).await?)
    }

    /// Puts every job that has not ended, and answers which ones they wait for.
    async fn live(&mut self) -> Result<BTreeSet<JobId>, Failed> {
        let mut waited_for = BTreeSet::new();
        let mut after = None;
        loop {
            let page = self.ledger.live(after, PAGE).await?;
            let Some(last) = page.last() else { return Ok(waited_for) };
            after = Some(last.id);
            let mut jobs = Vec::with_capacity(page.len());
            let mut events = Vec::new();
            for job in page {
                let (job, event) = self.taken_back(job);
                events.extend(event);
                if !job.status.state.is_terminal() {
                    waited_for.extend(job.status.waiting_for.iter().copied());
                    jobs.push(job);
                }
            }
            if !events.is_empty() {
                self.done.revoked += events.len() as u64;
                let next = Position { seq: self.at.seq + 1, ..self.at };
                self.at = self.project(next, events).await?;
            }
            self.store.put(Vec::new(), &jobs).await?;
            self.done.jobs += jobs.len() as u64;
            self.show.put(self.done.jobs);
        }
    }

    /// The job as it goes on, and what the ledger is told if it was running.
    fn taken_back(&self, job: Job) -> (Job, Option<JobEvent>) {
        // Above every epoch, and with it every floor, that there was.
        let floor = self.store.epoch();
        let raised = |job: Job| raise_epoch(&job, floor).unwrap_or(job);
        let Some(command) = on_restore(&job) else { return (raised(job), None) };
        // A clock that was set back since the job changed last does not count.
        match decide(&job, &command, self.now.max(job.status.updated_at)) {
            Ok(decision) => {
                let job = raised(decision.job);
                let (id, status, end) = (job.id, job.status.clone(), decision.end);
                (job, Some(JobEvent { id, status, spec: None, new: None, end }))
            }
            Err(_) => (raised(job), None),
        }
    }

    /// Jobs that ended and that others still wait for.
    async fn parents(&mut self, waited_for: BTreeSet<JobId>) -> Result<(), Failed> {
        let ids: Vec<JobId> = waited_for.into_iter().collect();
        for some in ids.chunks(PAGE) {
            let missing = self.store.missing(some).await?;
            let found = self.ledger.get(missing).await?;
            self.done.orphans += found.iter().filter(|job| job.is_none()).count() as u64;
            let jobs: Vec<Job> = found.into_iter().flatten().collect();
            self.store.put(Vec::new(), &jobs).await?;
        }
        Ok(())
    }
}
