//! The data directory of a server: its file names, and how its store and ledger are opened.

use std::collections::HashSet;
use std::path::Path;

use sentinel_domain::{Job, JobId, Millis, missing_parent_tombstone};
use sentinel_ledger::{Ledger, LedgerError};
use sentinel_store_embedded::{EmbeddedStore, LedgerState, OpenError, OpenOptions};

/// The SQLite file of the ledger.
pub(crate) const LEDGER: &str = "ledger.sqlite";
/// The directory of the journal files.
pub(crate) const JOURNAL: &str = "journal";
/// The file that one process locks.
pub(crate) const LOCK: &str = "lock";
/// Space that the server frees when the disk is full.
const BALLAST: &str = "ballast";

/// Live jobs read at once.
const PAGE: usize = 5_000;

/// Why the stores of a data directory were not opened.
#[derive(Debug, thiserror::Error)]
pub(crate) enum OpenDirError {
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    #[error(transparent)]
    Store(#[from] OpenError),
}

/// Opens the ledger in the directory of the lock, then the embedded store. The store is built
/// from the ledger's live jobs and the journal entries after the ledger's checkpoint.
pub(crate) async fn open(options: OpenOptions) -> Result<(EmbeddedStore, Ledger), OpenDirError> {
    let dir = options.lock.dir().to_owned();
    let ledger = Ledger::open(&dir.join(LEDGER)).await?;
    let seed = seed(&ledger, options.now).await?;
    let store = tokio::task::spawn_blocking(move || EmbeddedStore::open(options, seed)).await;
    let store = store.expect("opening a store does not panic")?;
    Ok((store, ledger))
}

/// Reads the state at the ledger's checkpoint: the live jobs, and the terminal jobs that they
/// depend on.
async fn seed(ledger: &Ledger, now: Millis) -> Result<LedgerState, LedgerError> {
    let checkpoint = ledger.checkpoint().await?;
    let mut jobs = Vec::new();
    let mut after: Option<JobId> = None;
    loop {
        let page = ledger.live_jobs(after, PAGE).await?;
        let Some(last) = page.last() else { break };
        after = Some(last.id);
        jobs.extend(page);
    }
    let dependencies: HashSet<JobId> =
        jobs.iter().flat_map(|job| job.status.waiting_for.iter().copied()).collect();
    // Most directories have no job that waits for another: do not hash a million ids then.
    if !dependencies.is_empty() {
        let live: HashSet<JobId> = jobs.iter().map(|job| job.id).collect();
        let terminal_parents: Vec<JobId> = dependencies.difference(&live).copied().collect();
        for ids in terminal_parents.chunks(PAGE) {
            for (id, parent) in ids.iter().zip(ledger.get(ids.to_vec()).await?) {
                let waits = |job: &&Job| job.status.waiting_for.contains(id);
                let dependent = jobs.iter().find(waits).expect("the id is a dependency of a job");
                let parent =
                    parent.unwrap_or_else(|| missing_parent_tombstone(*id, dependent, now));
                jobs.push(parent);
            }
        }
    }
    let (queues, keys) = (ledger.queues().await?, ledger.held_unique_keys(now).await?);
    Ok(LedgerState {
        checkpoint,
        jobs,
        queues,
        keys,
        producers: ledger.producer_records(now).await?,
    })
}

/// The total size of the files below a directory. Skips the ballast and whatever cannot be
/// read.
pub(crate) fn bytes_below(dir: &Path) -> u64 {
    let Ok(entries) = std::fs::read_dir(dir) else { return 0 };
    let sizes = entries.flatten().map(|entry| match entry.metadata() {
        Ok(meta) if meta.is_dir() => bytes_below(&entry.path()),
        Ok(_) if entry.file_name() == BALLAST => 0,
        Ok(meta) => meta.len(),
        Err(_) => 0,
    });
    sizes.sum()
}
