//! `sentinel move`: carries a data directory over to Redis and a database.
//!
//! The journal goes into the ledger of the directory first; from then on that ledger is all
//! there is. It is copied row by row, and Redis is filled from the copy as a rebuild does it.
//! While the rows come the database says of itself that it is half, and Redis is fenced, so no
//! server begins on a part. Each step can be done again, and the database knows which are done.

mod error;
mod identity;
mod mark;

use std::path::Path;
use std::sync::Arc;

use sentinel_domain::{JobId, Millis};
use sentinel_ledger::{Ledger, LedgerOptions, Move, MoveStep};
use sentinel_store::{IdempotencyRecord, JournalPage, Position, ServerId, Store};
use sentinel_store_embedded::{DirLock, Embedded, OpenOptions};
use sentinel_store_redis::{Found, inspect};

use crate::assembly::open_stores;
use crate::backup::{self, BackupError};
use crate::config::StoreUrl;
use crate::rebuild::{self, Failed, Rebuilt};
pub(crate) use error::MoveError;
use mark::{Mark, State};

/// Entries of one projection, and live jobs of one read.
const ENTRIES: usize = 256;
const PAGE: usize = 500;

/// What a live job takes in Redis beside its payload, about.
const JOB_BYTES: u64 = 1_000;
/// Beyond this share of its memory Redis takes no new jobs, in percent.
const FULL_PERCENT: u64 = 85;

/// Where to.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Target<'a> {
    pub(crate) store_url: &'a StoreUrl,
    pub(crate) ledger_url: &'a StoreUrl,
    /// The largest payload that its servers take.
    pub(crate) payload_bytes: u64,
}

/// What a move did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Moved {
    /// Where the journal of the directory ends.
    pub(crate) source: Position,
    pub(crate) rows: u64,
    /// Rows that a move before had carried, which was cut short.
    pub(crate) rows_before: u64,
    /// Answers to requests that may be repeated still.
    pub(crate) requests: u64,
    /// None when an earlier move had filled Redis and only its last word was missing.
    pub(crate) filled: Option<Rebuilt>,
}

/// How far a move is, for those who wait.
pub(crate) trait Show: rebuild::Show + Sync {
    /// Rows are copied: how many there are, and how many are there already.
    fn copies(&self, rows: u64, before: u64);
    fn rows(&self, more: usize);
    /// Redis is filled with so many jobs.
    fn fills(&self, jobs: u64);
}

/// Why a server must not run on a directory.
pub(crate) fn refuse_to_serve(dir: &Path) -> Result<(), MoveError> {
    match Mark::read(dir)? {
        Some(mark) => Err(mark.refusal(dir)),
        None => Ok(()),
    }
}

/// Moves a directory.
pub(crate) async fn carry_over(
    dir: &Path,
    target: Target<'_>,
    now: Millis,
    show: &impl Show,
) -> Result<Moved, MoveError> {
    if !dir.join(backup::LEDGER).exists() {
        return Err(MoveError::NoData { dir: dir.to_owned() });
    }
    let lock = Arc::new(DirLock::acquire(dir).map_err(BackupError::from)?);
    backup::refuse_to_serve(dir)?;
    let (store_url, ledger_url) = (target.store_url.to_string(), target.ledger_url.to_string());
    let mark = Mark::new(State::Moving, store_url, ledger_url);
    if let Some(before) = Mark::read(dir)?
        && !before.is_to_same(&mark)
    {
        return Err(before.refusal(dir));
    }
    let source = Source::open(lock, now).await?;
    let ledger = connect(&source, target).await?;
    let mut work = Work { dir, target, mark, source, ledger, now };
    work.run(show).await
}

/// Also a database that a move has not filled yet.
async fn connect(source: &Source, target: Target<'_>) -> Result<Ledger, MoveError> {
    let payload_bytes = target.payload_bytes.max(source.ledger.largest_spec_bytes().await?);
    let options = LedgerOptions { payload_bytes, is_for_move: true, ..LedgerOptions::default() };
    Ok(Ledger::connect(target.ledger_url.reveal(), options).await?)
}

/// A directory that nobody else works on, with all of its journal in its ledger.
struct Source {
    ledger: Ledger,
    at: Position,
    as_of: Millis,
    requests: Vec<IdempotencyRecord>,
    rows: u64,
    /// Jobs that have not ended.
    jobs: u64,
    job_bytes: u64,
    _lock: Arc<DirLock>,
}

impl Source {
    async fn open(lock: Arc<DirLock>, now: Millis) -> Result<Self, MoveError> {
        let options = OpenOptions { ballast_bytes: 0, ..OpenOptions::new(lock.clone(), now) };
        let (store, ledger) = open_stores(options).await?;
        let at = project(lock.dir(), &store, &ledger).await?;
        // The ledger has those of producers.
        let mut requests = store.remembered().await?;
        requests.retain(|request| !request.is_of_producer());
        drop(store);
        let (as_of, rows) = (ledger.as_of().await?, ledger.row_count().await?);
        let (mut jobs, mut job_bytes) = (0, 0);
        let mut after: Option<JobId> = None;
        loop {
            let page = ledger.live(after, PAGE).await?;
            let Some(last) = page.last() else { break };
            after = Some(last.id);
            jobs += page.len() as u64;
            job_bytes +=
                page.iter().map(|job| job.spec.payload.len() as u64 + JOB_BYTES).sum::<u64>();
        }
        Ok(Self { ledger, at, as_of, requests, rows, jobs, job_bytes, _lock: lock })
    }
}

/// Carries the journal into the ledger beside it, to its end.
async fn project(dir: &Path, store: &Embedded, ledger: &Ledger) -> Result<Position, MoveError> {
    let head = *store.head().borrow();
    let mut at = ledger.checkpoint().await?;
    while at.seq < head.seq {
        at = match store.tail(at, ENTRIES).await? {
            JournalPage::Entries(entries) if !entries.is_empty() => {
                ledger.project(at, entries).await?
            }
            _ => return Err(MoveError::Apart { dir: dir.to_owned(), head, at }),
        };
    }
    Ok(at)
}

struct Work<'a> {
    dir: &'a Path,
    target: Target<'a>,
    mark: Mark,
    source: Source,
    ledger: Ledger,
    now: Millis,
}

impl Work<'_> {
    async fn run(&mut self, show: &impl Show) -> Result<Moved, MoveError> {
        let before = self.ledger.current_move().await?;
        let (step, rows_before) = before.as_ref().map_or((None, 0), |m| (Some(m.step), m.rows));
        self.refuse_other(before)?;
        let mut done = Moved {
            source: self.source.at,
            rows: self.source.rows,
            rows_before,
            requests: self.source.requests.len() as u64,
            filled: None,
        };
        if step < Some(MoveStep::Done) {
            self.begin(step).await?;
            if step < Some(MoveStep::Fill) {
                self.copy(rows_before, show).await?;
            }
            done.filled = Some(self.fill(show).await?);
            self.ledger.set_move_step(MoveStep::Done).await?;
        }
        self.mark.state = State::Moved;
        self.mark.write(self.dir)?;
        Ok(done)
    }

    /// The rows that are there must be of this directory, as it is now.
    fn refuse_other(&self, before: Option<Move>) -> Result<(), MoveError> {
        match before {
            Some(before) if before.source != self.source.at => Err(MoveError::OtherSource {
                ledger_url: self.mark.ledger_url.clone(),
                directory: before.directory,
                found: before.source,
                dir: self.dir.to_owned(),
                at: self.source.at,
            }),
            _ => Ok(()),
        }
    }

    fn options(&self) -> sentinel_store_redis::OpenOptions {
        sentinel_store_redis::OpenOptions::new(self.target.store_url.reveal(), self.now)
    }

    /// Makes sure of both stores, and shuts servers out of them.
    async fn begin(&self, step: Option<MoveStep>) -> Result<(), MoveError> {
        // First: a Redis without any room does not even tell in one transaction what it has. What
        // an earlier try has put there goes before it is filled again.
        if step.is_none() {
            self.refuse_narrow().await?;
        }
        let options = self.options();
        let found = Found::look(&options).await.map_err(Failed::from)?;
        let checkpoint = self.ledger.checkpoint().await?;
        // What an earlier try has filled is of the epoch that the ledger has since.
        let is_own =
            step == Some(MoveStep::Fill) && found.at.is_some_and(|at| at.epoch == checkpoint.epoch);
        let is_fenced = step.is_some() && found.is_rebuilding && found.jobs == 0;
        let is_filling = step == Some(MoveStep::Fill) && found.is_rebuilding;
        if let Some(at) = found.at
            && !(is_own || is_fenced || is_filling)
        {
            return Err(self.taken(at, found.jobs));
        }
        if step.is_none() {
            let directory = std::path::absolute(self.dir).unwrap_or_else(|_| self.dir.to_owned());
            let directory = directory.display().to_string();
            let begun = Move { source: self.source.at, directory, step: MoveStep::Copy, rows: 0 };
            self.ledger.begin_move(&begun, self.source.as_of).await?;
        }
        self.mark.write(self.dir)?;
        if step < Some(MoveStep::Fill) {
            self.fence(&options).await?;
        }
        Ok(())
    }

    fn taken(&self, at: Position, jobs: u64) -> MoveError {
        MoveError::Taken { store_url: self.mark.store_url.clone(), at, jobs }
    }

    /// No server begins a store in Redis while rows are copied.
    async fn fence(&self, options: &sentinel_store_redis::OpenOptions) -> Result<(), MoveError> {
        let owner = ServerId(rand::random());
        let fenced = rebuild::begin(options, owner, self.source.at.epoch).await?;
        let was = fenced.was();
        fenced.release().await.map_err(Failed::from)?;
        // Between the look and the fence somebody started a server.
        was.map_or(Ok(()), |at| Err(self.taken(at, 0)))
    }

    /// Of a Cluster nobody knows yet which node will have the jobs.
    async fn refuse_narrow(&self) -> Result<(), MoveError> {
        let found = inspect(self.target.store_url.reveal(), || self.now).await?;
        let [node] = &found.nodes[..] else { return Ok(()) };
        let (needed, most) = (self.source.job_bytes, node.max_bytes);
        let free = (most / 100 * FULL_PERCENT).saturating_sub(node.used_bytes);
        if most > 0 && needed > free {
            return Err(MoveError::Room { needed, free, most });
        }
        Ok(())
    }

    async fn copy(&self, before: u64, show: &impl Show) -> Result<(), MoveError> {
        let rows = self.source.rows;
        show.copies(rows, before);
        self.ledger.carry_from(&self.source.ledger, &|more| show.rows(more)).await?;
        let moved = self.ledger.current_move().await?.map_or(0, |begun| begun.rows);
        if moved != rows {
            return Err(MoveError::Incomplete { dir: self.dir.to_owned(), rows, moved });
        }
        identity::carry(&self.source.ledger, &self.ledger).await?;
        Ok(self.ledger.set_move_step(MoveStep::Fill).await?)
    }

    async fn fill(&self, show: &impl Show) -> Result<Rebuilt, MoveError> {
        show.fills(self.source.jobs);
        let (owner, requests) = (ServerId(rand::random()), &self.source.requests);
        Ok(rebuild::rebuild(&self.options(), &self.ledger, owner, requests, show).await?)
    }
}
