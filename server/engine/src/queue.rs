//! Queues: declared once, then known to every enqueue without a look at the store.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use sentinel_domain::limits::QUEUES_MAX;
use sentinel_domain::{Name, Queue, QueueMode, Scopes};
use sentinel_store::{Conflict, Mutation, Precondition, Store, Transaction, TransactionResult};
use tokio::sync::Mutex;
use tokio::time::Instant;

use crate::{Engine, EngineError, TRIES};

/// The least time between two reads of all queues.
const READ_EVERY: Duration = Duration::from_millis(50);

/// The declared queues by name.
pub(crate) struct Queues {
    by_name: RwLock<BTreeMap<Name, Arc<Queue>>>,
    /// Reads of the store that have begun.
    begun: AtomicU64,
    reading: Mutex<Reading>,
}

struct Reading {
    not_before: Instant,
    /// Which read brought what is known.
    done: u64,
}

impl Queues {
    pub(crate) async fn load(store: &dyn Store) -> Result<Self, EngineError> {
        let queues = Self {
            by_name: RwLock::default(),
            begun: AtomicU64::new(0),
            reading: Mutex::new(Reading { not_before: Instant::now(), done: 0 }),
        };
        queues.refresh(store).await?;
        Ok(queues)
    }

    /// Takes in what other servers have declared by now. Those who ask at the same time share
    /// one read, and the next one waits a little: names that nobody knows cost the store
    /// nothing, however often they are asked for.
    pub(crate) async fn refresh(&self, store: &dyn Store) -> Result<(), EngineError> {
        let asked = self.begun.load(Ordering::SeqCst);
        let mut reading = self.reading.lock().await;
        if reading.done > asked {
            return Ok(());
        }
        tokio::time::sleep_until(reading.not_before).await;
        reading.not_before = Instant::now() + READ_EVERY;
        let nth = self.begun.fetch_add(1, Ordering::SeqCst) + 1;
        for queue in store.queues().await? {
            self.put(queue);
        }
        reading.done = nth;
        Ok(())
    }

    fn get(&self, name: &str) -> Option<Arc<Queue>> {
        self.by_name.read().unwrap_or_else(PoisonError::into_inner).get(name).cloned()
    }

    pub(crate) fn names(&self) -> BTreeSet<Name> {
        self.by_name.read().unwrap_or_else(PoisonError::into_inner).keys().cloned().collect()
    }

    pub(crate) fn put(&self, queue: Queue) -> Arc<Queue> {
        let queue = Arc::new(queue);
        let mut by_name = self.by_name.write().unwrap_or_else(PoisonError::into_inner);
        by_name.insert(queue.name.clone(), queue.clone());
        queue
    }

    fn len(&self) -> usize {
        self.by_name.read().unwrap_or_else(PoisonError::into_inner).len()
    }
}

impl Engine {
    /// Declares a queue; true when it existed with the same settings.
    pub async fn create_queue(&self, mut queue: Queue) -> Result<(Arc<Queue>, bool), EngineError> {
        queue.created_at = self.now();
        let violations = queue.violations();
        if !violations.is_empty() {
            return Err(EngineError::Invalid(violations));
        }
        let is_new = self.queues.get(&queue.name).is_none();
        if is_new && self.queues.len() as u64 >= QUEUES_MAX {
            return Err(EngineError::TooManyQueues { max: QUEUES_MAX });
        }
        let group = Transaction {
            request: None,
            guards: vec![Precondition::QueueAbsent { name: queue.name.clone() }],
            changes: vec![Mutation::PutQueue(queue.clone())],
        };
        match self.acknowledge(group, self.settings.ack).await? {
            TransactionResult::Conflict(Conflict::Queue(Some(current)))
                if current.same_settings(&queue) =>
            {
                self.acknowledge_all_known(self.settings.ack).await?;
                Ok((self.queues.put(current), true))
            }
            TransactionResult::Conflict(_) => Err(EngineError::QueueExists(queue.name)),
            _ => Ok((Arc::new(queue), false)),
        }
    }

    /// Changes a declared queue. What runs goes on whatever it becomes.
    pub async fn update_queue(
        &self,
        name: &str,
        change: impl Fn(&mut Queue),
    ) -> Result<Arc<Queue>, EngineError> {
        let mut known = Queue::clone(&*self.get_queue(name).await?);
        for _ in 0..TRIES {
            let mut queue = known.clone();
            change(&mut queue);
            let violations = queue.violations();
            if !violations.is_empty() {
                return Err(EngineError::Invalid(violations));
            }
            let group = Transaction {
                request: None,
                guards: vec![Precondition::QueueIs(known)],
                changes: vec![Mutation::PutQueue(queue.clone())],
            };
            match self.acknowledge(group, self.settings.ack).await? {
                TransactionResult::Committed => return Ok(Arc::new(queue)),
                TransactionResult::Conflict(Conflict::Queue(Some(current))) => known = current,
                _ => return Err(EngineError::QueueNotFound(name.into())),
            }
        }
        Err(EngineError::Contended)
    }

    /// A declared queue.
    pub async fn get_queue(&self, name: &str) -> Result<Arc<Queue>, EngineError> {
        if let Some(queue) = self.queues.get(name) {
            return Ok(queue);
        }
        // Another server may have created it.
        self.queues.refresh(self.store.as_ref()).await?;
        self.queues.get(name).ok_or_else(|| EngineError::QueueNotFound(name.into()))
    }

    /// Queues by name within some, after one, at most `limit`.
    pub async fn list_queues(
        &self,
        within: &Scopes,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<Queue>, EngineError> {
        let mut queues = self.store.queues().await?;
        queues.retain(|q| within.has(&q.name) && after.is_none_or(|after| *q.name > *after));
        queues.sort_by(|a, b| a.name.cmp(&b.name));
        queues.truncate(limit);
        Ok(queues)
    }

    /// A job's queue, which is declared and takes jobs.
    pub(crate) async fn know_queue(&self, name: &Name) -> Result<Arc<Queue>, EngineError> {
        match self.get_queue(name).await {
            Ok(queue) if queue.mode == QueueMode::Draining => {
                Err(EngineError::QueueDraining(name.clone()))
            }
            Err(EngineError::QueueNotFound(_)) if self.settings.auto_create_queues => {
                match self.create_queue(Queue::with_defaults(name.clone(), self.now())).await {
                    // Somebody created it meanwhile, with settings of their own.
                    Ok((queue, _)) => Ok(queue),
                    Err(EngineError::QueueExists(_)) => self.get_queue(name).await,
                    Err(error) => Err(error),
                }
            }
            found => found,
        }
    }
}
