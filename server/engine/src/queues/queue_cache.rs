//! The declared queues, as of the last read or change.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use sentinel_domain::{Name, Queue};
use sentinel_store::{Store, StoreError};
use tokio::sync::Mutex;
use tokio::time::Instant;

/// The least time between two reads of all queues.
const READ_EVERY: Duration = Duration::from_millis(50);

/// The declared queues by name.
pub(crate) struct QueueCache {
    store: Arc<dyn Store>,
    by_name: RwLock<BTreeMap<Name, Arc<Queue>>>,
    /// The number of reads that have begun.
    reads_begun: AtomicU64,
    last_read: Mutex<LastRead>,
}

struct LastRead {
    number: u64,
    next_allowed_at: Instant,
}

impl QueueCache {
    pub(crate) async fn load(store: Arc<dyn Store>) -> Result<Self, StoreError> {
        let cache = Self {
            store,
            by_name: RwLock::default(),
            reads_begun: AtomicU64::new(0),
            last_read: Mutex::new(LastRead { number: 0, next_allowed_at: Instant::now() }),
        };
        cache.refresh().await?;
        Ok(cache)
    }

    /// Reads all queues from the store.
    ///
    /// Concurrent callers share one read, and two reads are at least [`READ_EVERY`] apart. So
    /// requests for unknown names put no load on the store.
    pub(crate) async fn refresh(&self) -> Result<(), StoreError> {
        let begun_before = self.reads_begun.load(Ordering::SeqCst);
        let mut last_read = self.last_read.lock().await;
        if last_read.number > begun_before {
            return Ok(());
        }
        tokio::time::sleep_until(last_read.next_allowed_at).await;
        last_read.next_allowed_at = Instant::now() + READ_EVERY;
        let number = self.reads_begun.fetch_add(1, Ordering::SeqCst) + 1;
        for queue in self.store.queues().await? {
            self.put(queue);
        }
        last_read.number = number;
        Ok(())
    }

    /// Returns a queue, reading the store if it is not cached: a peer may have created it.
    pub(crate) async fn get(&self, name: &str) -> Result<Option<Arc<Queue>>, StoreError> {
        if let Some(queue) = self.cached(name) {
            return Ok(Some(queue));
        }
        self.refresh().await?;
        Ok(self.cached(name))
    }

    pub(crate) fn cached(&self, name: &str) -> Option<Arc<Queue>> {
        self.by_name.read().unwrap_or_else(PoisonError::into_inner).get(name).cloned()
    }

    pub(crate) fn put(&self, queue: Queue) -> Arc<Queue> {
        let queue = Arc::new(queue);
        let mut by_name = self.by_name.write().unwrap_or_else(PoisonError::into_inner);
        by_name.insert(queue.name.clone(), queue.clone());
        queue
    }

    pub(crate) fn names(&self) -> BTreeSet<Name> {
        self.by_name.read().unwrap_or_else(PoisonError::into_inner).keys().cloned().collect()
    }

    pub(crate) fn len(&self) -> usize {
        self.by_name.read().unwrap_or_else(PoisonError::into_inner).len()
    }
}
