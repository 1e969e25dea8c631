//! `sentinel import`: imports a data directory into Redis and a database.
//!
//! First the directory's ledger is brought up to date with its journal; from then on the ledger is
//! complete. Its rows are copied to the database, and Redis is filled from the copy as by a
//! rebuild. Meanwhile the database is marked as incomplete and Redis is fenced, so that no server
//! starts on a part of the data. Each step can be repeated, and the database records which steps
//! are done.

mod api_keys;
mod error;
mod marker;

use std::path::Path;
use std::sync::Arc;

use sentinel_domain::{JobId, Millis};
use sentinel_ledger::{Import, ImportStep, Ledger, LedgerOptions};
use sentinel_store::{IdempotencyRecord, JournalPage, Position, ServerId, Store};
use sentinel_store_embedded::{DirLock, EmbeddedStore, OpenOptions};
use sentinel_store_redis::{ExistingStore, inspect};

use crate::backup::{self, BackupError};
use crate::config::SecretUrl;
use crate::data_dir;
use crate::rebuild::{self, RebuildError, RebuildProgress, RebuildReport};
pub(crate) use error::ImportError;
use marker::{Marker, MarkerState};

/// Journal entries that are projected at once.
const ENTRIES_PER_PAGE: usize = 256;
/// Live jobs that are read at once.
const JOBS_PER_PAGE: usize = 500;

/// The approximate memory of a live job in Redis, without its payload.
const JOB_BYTES: u64 = 1_000;
/// The memory use at which servers refuse new jobs, in percent of maxmemory.
const FULL_PERCENT: u64 = 85;

/// The stores to import into.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Target<'a> {
    pub(crate) store_url: &'a SecretUrl,
    pub(crate) ledger_url: &'a SecretUrl,
    /// The largest payload that the servers of the target accept.
    pub(crate) max_payload_bytes: u64,
}

/// The result of an import.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct ImportReport {
    /// The last journal position of the directory.
    pub(crate) source_position: Position,
    /// Rows of the ledger.
    pub(crate) rows: u64,
    /// Rows that an interrupted import copied before.
    pub(crate) rows_copied_before: u64,
    pub(crate) idempotency_records: u64,
    /// None when an earlier import had already filled Redis.
    pub(crate) filled: Option<RebuildReport>,
}

/// Receives the progress of an import.
pub(crate) trait ImportProgress: RebuildProgress + Sync {
    /// Called before rows are copied, with their number and the number that is copied already.
    fn copy_started(&self, rows: u64, copied_before: u64);
    /// Called with the number of rows of each copied page.
    fn rows_copied(&self, rows: usize);
    /// Called before Redis is filled, with the number of live jobs.
    fn fill_started(&self, jobs: u64);
}

/// Returns an error when a server must not run on a directory, because it was imported or an
/// import is unfinished.
pub(crate) fn check_servable(dir: &Path) -> Result<(), ImportError> {
    match Marker::read(dir)? {
        Some(marker) => Err(marker.into_error(dir)),
        None => Ok(()),
    }
}

/// Imports a data directory, or continues an interrupted import.
pub(crate) async fn import(
    dir: &Path,
    target: Target<'_>,
    now: Millis,
    progress: &impl ImportProgress,
) -> Result<ImportReport, ImportError> {
    if !dir.join(data_dir::LEDGER).exists() {
        return Err(ImportError::NoData { dir: dir.to_owned() });
    }
    let lock = Arc::new(DirLock::acquire(dir).map_err(BackupError::from)?);
    backup::check_servable(dir)?;
    let (store_url, ledger_url) = (target.store_url.to_string(), target.ledger_url.to_string());
    let marker = Marker::new(MarkerState::Importing, store_url, ledger_url);
    if let Some(previous) = Marker::read(dir)?
        && !previous.has_same_target(&marker)
    {
        return Err(previous.into_error(dir));
    }
    let source = Source::open(lock, now).await?;
    let ledger = connect(&source, target).await?;
    let mut importer = Importer { dir, target, marker, source, ledger, now };
    importer.run(progress).await
}

/// Connects to the database, also when it contains an unfinished import.
async fn connect(source: &Source, target: Target<'_>) -> Result<Ledger, ImportError> {
    let largest_spec = source.ledger.largest_spec_bytes().await?;
    let options = LedgerOptions {
        allow_unfinished_import: true,
        ..LedgerOptions::new(target.max_payload_bytes.max(largest_spec))
    };
    Ok(Ledger::connect(target.ledger_url.reveal(), options).await?)
}

/// A locked data directory whose ledger contains the whole journal.
struct Source {
    ledger: Ledger,
    position: Position,
    as_of: Millis,
    requests: Vec<IdempotencyRecord>,
    rows: u64,
    live_jobs: u64,
    live_job_bytes: u64,
    _lock: Arc<DirLock>,
}

impl Source {
    async fn open(lock: Arc<DirLock>, now: Millis) -> Result<Self, ImportError> {
        let options = OpenOptions { ballast_bytes: 0, ..OpenOptions::new(lock.clone(), now) };
        let (store, ledger) = data_dir::open(options).await?;
        let position = project_journal(lock.dir(), &store, &ledger).await?;
        let mut requests = store.idempotency_records().await?;
        // The ledger has the records of producers.
        requests.retain(|request| !request.is_producer_offset());
        drop(store);
        let (as_of, rows) = (ledger.as_of().await?, ledger.row_count().await?);
        let (mut live_jobs, mut live_job_bytes) = (0, 0);
        let mut after: Option<JobId> = None;
        loop {
            let page = ledger.live_jobs(after, JOBS_PER_PAGE).await?;
            let Some(last) = page.last() else { break };
            after = Some(last.id);
            live_jobs += page.len() as u64;
            live_job_bytes +=
                page.iter().map(|job| job.spec.payload.len() as u64 + JOB_BYTES).sum::<u64>();
        }
        Ok(Self { ledger, position, as_of, requests, rows, live_jobs, live_job_bytes, _lock: lock })
    }
}

/// Writes the rest of the directory's journal to its ledger. Returns the last position.
async fn project_journal(
    dir: &Path,
    store: &EmbeddedStore,
    ledger: &Ledger,
) -> Result<Position, ImportError> {
    let head = *store.head().borrow();
    let mut at = ledger.checkpoint().await?;
    while at.seq < head.seq {
        at = match store.read_journal(at, ENTRIES_PER_PAGE).await? {
            JournalPage::Entries(entries) if !entries.is_empty() => {
                ledger.project(at, entries).await?
            }
            _ => return Err(ImportError::JournalGap { dir: dir.to_owned(), head, at }),
        };
    }
    Ok(at)
}

struct Importer<'a> {
    dir: &'a Path,
    target: Target<'a>,
    marker: Marker,
    source: Source,
    ledger: Ledger,
    now: Millis,
}

impl Importer<'_> {
    async fn run(&mut self, progress: &impl ImportProgress) -> Result<ImportReport, ImportError> {
        let previous = self.ledger.current_import().await?;
        let (step, rows_copied_before) =
            previous.as_ref().map_or((None, 0), |previous| (Some(previous.step), previous.rows));
        self.check_same_source(previous)?;
        let mut report = ImportReport {
            source_position: self.source.position,
            rows: self.source.rows,
            rows_copied_before,
            idempotency_records: self.source.requests.len() as u64,
            filled: None,
        };
        if step < Some(ImportStep::Done) {
            self.prepare(step).await?;
            if step < Some(ImportStep::FillStore) {
                self.copy_rows(rows_copied_before, progress).await?;
            }
            report.filled = Some(self.fill_store(progress).await?);
            self.ledger.set_import_step(ImportStep::Done).await?;
        }
        self.marker.state = MarkerState::Imported;
        self.marker.write(self.dir)?;
        Ok(report)
    }

    /// Refuses to continue an import of another directory, or of an earlier state of this one.
    fn check_same_source(&self, previous: Option<Import>) -> Result<(), ImportError> {
        match previous {
            Some(previous) if previous.source != self.source.position => {
                Err(ImportError::OtherSource {
                    ledger_url: self.marker.ledger_url.clone(),
                    directory: previous.directory,
                    found: previous.source,
                    dir: self.dir.to_owned(),
                    at: self.source.position,
                })
            }
            _ => Ok(()),
        }
    }

    fn store_options(&self) -> sentinel_store_redis::OpenOptions {
        sentinel_store_redis::OpenOptions::new(self.target.store_url.reveal(), self.now)
    }

    /// Checks both stores, records the import, and fences the store.
    async fn prepare(&self, step: Option<ImportStep>) -> Result<(), ImportError> {
        // Checked first, because a Redis without free memory refuses the transaction that reads
        // its state. An import that was started before deletes what it put there.
        if step.is_none() {
            self.check_store_memory().await?;
        }
        let options = self.store_options();
        let existing = ExistingStore::inspect(&options).await.map_err(RebuildError::from)?;
        let checkpoint = self.ledger.checkpoint().await?;
        // An earlier attempt filled the store in the epoch that the ledger has since then.
        let is_filled = step == Some(ImportStep::FillStore)
            && existing.position.is_some_and(|position| position.epoch == checkpoint.epoch);
        let is_fenced = step.is_some() && existing.is_rebuilding && existing.jobs == 0;
        let is_filling = step == Some(ImportStep::FillStore) && existing.is_rebuilding;
        if let Some(position) = existing.position
            && !(is_filled || is_fenced || is_filling)
        {
            return Err(self.store_not_empty(position, existing.jobs));
        }
        if step.is_none() {
            let directory = std::path::absolute(self.dir).unwrap_or_else(|_| self.dir.to_owned());
            let import = Import {
                source: self.source.position,
                directory: directory.display().to_string(),
                step: ImportStep::CopyRows,
                rows: 0,
            };
            self.ledger.begin_import(&import, self.source.as_of).await?;
        }
        self.marker.write(self.dir)?;
        if step < Some(ImportStep::FillStore) {
            self.fence_store(&options).await?;
        }
        Ok(())
    }

    fn store_not_empty(&self, at: Position, jobs: u64) -> ImportError {
        ImportError::StoreNotEmpty { store_url: self.marker.store_url.clone(), at, jobs }
    }

    /// Prevents servers from creating a store in Redis while rows are copied.
    async fn fence_store(
        &self,
        options: &sentinel_store_redis::OpenOptions,
    ) -> Result<(), ImportError> {
        let owner = ServerId(rand::random());
        let fence = rebuild::begin(options, owner, self.source.position.epoch).await?;
        let previous_position = fence.previous_position();
        fence.release_lock().await.map_err(RebuildError::from)?;
        // A server may have started between the check and the fence.
        previous_position.map_or(Ok(()), |position| Err(self.store_not_empty(position, 0)))
    }

    /// Checks the free memory of a single Redis. In a Redis Cluster it is unknown which node will
    /// hold the jobs.
    async fn check_store_memory(&self) -> Result<(), ImportError> {
        let inspection = inspect(self.target.store_url.reveal(), || self.now).await?;
        let [node] = &inspection.nodes[..] else { return Ok(()) };
        let (needed, max) = (self.source.live_job_bytes, node.max_bytes);
        let free = (max / 100 * FULL_PERCENT).saturating_sub(node.used_bytes);
        if max > 0 && needed > free {
            return Err(ImportError::StoreTooSmall { needed, free, max });
        }
        Ok(())
    }

    async fn copy_rows(
        &self,
        copied_before: u64,
        progress: &impl ImportProgress,
    ) -> Result<(), ImportError> {
        let rows = self.source.rows;
        progress.copy_started(rows, copied_before);
        self.ledger.import_from(&self.source.ledger, &|rows| progress.rows_copied(rows)).await?;
        let imported = self.ledger.current_import().await?.map_or(0, |import| import.rows);
        if imported != rows {
            return Err(ImportError::Incomplete { dir: self.dir.to_owned(), rows, imported });
        }
        api_keys::copy(&self.source.ledger, &self.ledger).await?;
        Ok(self.ledger.set_import_step(ImportStep::FillStore).await?)
    }

    async fn fill_store(
        &self,
        progress: &impl ImportProgress,
    ) -> Result<RebuildReport, ImportError> {
        progress.fill_started(self.source.live_jobs);
        let (owner, requests) = (ServerId(rand::random()), &self.source.requests);
        let options = self.store_options();
        Ok(rebuild::rebuild(&options, &self.ledger, owner, requests, progress).await?)
    }
}
