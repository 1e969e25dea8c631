//! Opens the stores of a server: a data directory with the embedded store and a SQLite ledger,
//! or Redis and a database that several servers share.

use std::sync::Arc;

use anyhow::{Context, Result};
use sentinel_domain::Millis;
use sentinel_engine::{Clock, Settings};
use sentinel_ledger::{Ledger, LedgerOptions};
use sentinel_store::{Position, Store};
use sentinel_store_embedded::{DirLock, OpenOptions};
use sentinel_store_redis::{RedisStore, ReplicationOptions, StoreHealth};
use tokio::sync::watch;

use crate::config::{AckLevel, Config, SecretUrl};
use crate::{backup, data_dir, import};

/// The store and the ledger of one server.
pub(super) struct Stores {
    pub(super) store: Arc<dyn Store>,
    pub(super) ledger: Ledger,
    /// The clock that the server uses.
    pub(super) clock: Clock,
    /// Health of a store that other processes can replace; none for the embedded store.
    pub(super) health: Option<watch::Receiver<StoreHealth>>,
}

impl Stores {
    /// Whether nothing was ever committed to the store.
    pub(super) fn is_new(&self) -> bool {
        self.store.head().borrow().seq == 0
    }
}

/// Opens the stores that the configuration names.
pub(super) async fn open(config: &Config, settings: &Settings, clock: Clock) -> Result<Stores> {
    let now = clock.now();
    if let (Some(store), Some(ledger)) = (&config.store_url, &config.ledger_url) {
        return open_shared(config, store, ledger, now).await;
    }
    let dir = config.data_dir.clone();
    std::fs::create_dir_all(&dir).with_context(|| format!("create data_dir {}", dir.display()))?;
    let lock = Arc::new(DirLock::acquire(&dir)?);
    backup::check_servable(&dir)?;
    import::check_servable(&dir)?;
    let options = OpenOptions {
        sessions_expire_at: now + settings.session_ttl_ms,
        journal_max_bytes: config.journal_max_bytes,
        ..OpenOptions::new(lock, now)
    };
    let (store, ledger) = data_dir::open(options).await?;
    let head = *store.head().borrow();
    let checkpoint = ledger.checkpoint().await?;
    tracing::info!(dir = %dir.display(), %checkpoint, %head, "opened data directory");
    Ok(Stores { store: Arc::new(store), ledger, health: None, clock })
}

/// Opens Redis and the database. Refuses a store whose journal is behind the ledger: it is not
/// the store that the ledger was written from, or it lost data.
async fn open_shared(
    config: &Config,
    store_url: &SecretUrl,
    ledger_url: &SecretUrl,
    now: Millis,
) -> Result<Stores> {
    let options = LedgerOptions::new(config.payload_max_bytes);
    let ledger = Ledger::connect(ledger_url.reveal(), options).await;
    let ledger = ledger.context("ledger_url")?;
    let checkpoint = ledger.checkpoint().await?;
    let options = sentinel_store_redis::OpenOptions {
        min_position: (checkpoint != Position::default()).then_some(checkpoint),
        journal_max_bytes: config.journal_max_bytes,
        replication: ReplicationOptions {
            min_replicas: u32::try_from(config.ack_replicas).unwrap_or(u32::MAX),
            timeout: config.ack_timeout,
            show_only_replicated: config.ack == AckLevel::Replicated,
        },
        ..sentinel_store_redis::OpenOptions::new(store_url.reveal(), now)
    };
    let store = RedisStore::open(options).await.context("store_url")?;
    let head = *store.head().borrow();
    tracing::info!(%store_url, %ledger_url, %checkpoint, %head, "opened shared stores");
    // Servers that share a store use the clock of the store, so that they agree on deadlines.
    let (health, clock) = (Some(store.health()), Clock::new(store.clock()));
    Ok(Stores { store: Arc::new(store), ledger, health, clock })
}
