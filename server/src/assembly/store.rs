//! The stores of a server. In a data directory: a lock, a ledger, and the hot truth rebuilt
//! from the ledger's live jobs and the journal after them. Shared: a Redis and a database.

use std::collections::HashSet;
use std::sync::Arc;

use anyhow::{Context, Result};
use sentinel_domain::{Job, JobId, Millis, stand_in};
use sentinel_engine::{Clock, Settings};
use sentinel_ledger::{Ledger, LedgerError, LedgerOptions};
use sentinel_store::{Position, Store};
use sentinel_store_embedded::{DirLock, Embedded, OpenOptions, Seed};
use sentinel_store_redis::{Condition, Redis, Replicas};
use tokio::sync::watch;

use crate::backup::{self, BackupError};
use crate::config::{AckLevel, Config, StoreUrl};
use crate::moving;

/// Live jobs of one read.
const PAGE: usize = 5_000;

/// What a server runs on.
pub(super) struct Stores {
    pub(super) store: Arc<dyn Store>,
    pub(super) ledger: Ledger,
    /// By which the server goes.
    pub(super) clock: Clock,
    /// Of a hot store that others can take away.
    pub(super) condition: Option<watch::Receiver<Condition>>,
}

impl Stores {
    /// Nothing was ever committed there.
    pub(super) fn is_new(&self) -> bool {
        self.store.head().borrow().seq == 0
    }
}

/// Opens what the configuration names.
pub(super) async fn open(config: &Config, settings: &Settings, clock: Clock) -> Result<Stores> {
    let now = clock.now();
    if let (Some(store), Some(ledger)) = (&config.store_url, &config.ledger_url) {
        return open_shared(config, store, ledger, now).await;
    }
    let dir = config.data_dir.clone();
    std::fs::create_dir_all(&dir).with_context(|| format!("create data_dir {}", dir.display()))?;
    let lock = Arc::new(DirLock::acquire(&dir)?);
    backup::refuse_to_serve(&dir)?;
    moving::refuse_to_serve(&dir)?;
    let options = OpenOptions {
        sessions_expire_at: now + settings.session_ttl_ms,
        journal_max_bytes: config.journal_max_bytes,
        ..OpenOptions::new(lock, now)
    };
    let (store, ledger) = open_stores(options).await?;
    let head = *store.head().borrow();
    let checkpoint = ledger.checkpoint().await?;
    tracing::info!(dir = %dir.display(), %checkpoint, %head, "data opened");
    Ok(Stores { store: Arc::new(store), ledger, condition: None, clock })
}

/// A store that is behind what the ledger has is not the one that the ledger belongs to.
async fn open_shared(
    config: &Config,
    store_url: &StoreUrl,
    ledger_url: &StoreUrl,
    now: Millis,
) -> Result<Stores> {
    let options =
        LedgerOptions { payload_bytes: config.payload_max_bytes, ..LedgerOptions::default() };
    let ledger = Ledger::connect(ledger_url.reveal(), options).await;
    let ledger = ledger.context("ledger_url")?;
    let checkpoint = ledger.checkpoint().await?;
    let options = sentinel_store_redis::OpenOptions {
        seen: (checkpoint != Position::default()).then_some(checkpoint),
        journal_max_bytes: config.journal_max_bytes,
        replicas: Replicas {
            wanted: u32::try_from(config.ack_replicas).unwrap_or(u32::MAX),
            timeout: config.ack_timeout,
            before_head: config.ack == AckLevel::Replicated,
        },
        ..sentinel_store_redis::OpenOptions::new(store_url.reveal(), now)
    };
    let store = Redis::open(options).await.context("store_url")?;
    let head = *store.head().borrow();
    tracing::info!(%store_url, %ledger_url, %checkpoint, %head, "stores opened");
    // Servers that share a store go by its time, and not each by its own.
    let (condition, clock) = (Some(store.condition()), Clock::new(store.clock()));
    Ok(Stores { store: Arc::new(store), ledger, condition, clock })
}

/// Opens the ledger in the directory of the lock, and the hot truth from it and the journal.
pub(crate) async fn open_stores(options: OpenOptions) -> Result<(Embedded, Ledger), BackupError> {
    let dir = options.lock.dir().to_owned();
    let ledger = Ledger::open(&dir.join(backup::LEDGER)).await?;
    let seed = seed(&ledger, options.now).await?;
    let store = tokio::task::spawn_blocking(move || Embedded::open(options, seed)).await;
    let store = store.expect("opening a store does not panic")?;
    Ok((store, ledger))
}

/// What the ledger knows of jobs that still live.
async fn seed(ledger: &Ledger, now: Millis) -> Result<Seed, LedgerError> {
    let checkpoint = ledger.checkpoint().await?;
    let mut jobs = Vec::new();
    let mut after: Option<JobId> = None;
    loop {
        let page = ledger.live(after, PAGE).await?;
        let Some(last) = page.last() else { break };
        after = Some(last.id);
        jobs.extend(page);
    }
    let waited_for: HashSet<JobId> =
        jobs.iter().flat_map(|job| job.status.waiting_for.iter().copied()).collect();
    // Most directories have no job that waits for another: no need to hash a million ids.
    if !waited_for.is_empty() {
        let live: HashSet<JobId> = jobs.iter().map(|job| job.id).collect();
        let final_parents: Vec<JobId> = waited_for.difference(&live).copied().collect();
        for ids in final_parents.chunks(PAGE) {
            for (id, parent) in ids.iter().zip(ledger.get(ids.to_vec()).await?) {
                let waits = |job: &&Job| job.status.waiting_for.contains(id);
                let child = jobs.iter().find(waits).expect("somebody waits for it");
                let parent = parent.unwrap_or_else(|| stand_in(*id, child, now));
                jobs.push(parent);
            }
        }
    }
    let (queues, keys) = (ledger.queues().await?, ledger.held_keys(now).await?);
    Ok(Seed { checkpoint, jobs, queues, keys, producers: ledger.producers(now).await? })
}
