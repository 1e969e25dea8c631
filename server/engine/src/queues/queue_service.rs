//! The operations on queues.

use std::sync::Arc;

use sentinel_domain::limits::QUEUES_MAX;
use sentinel_domain::{Name, Queue, QueueMode, Scopes};
use sentinel_store::{
    Conflict, Depth, Mutation, Precondition, Store, Transaction, TransactionResult,
};

use super::QueueCache;
use crate::commit::{DECISION_ATTEMPTS, Durability};
use crate::{Clock, EngineError, Settings};

/// The operations on queues. Cheap to clone.
#[derive(Clone)]
pub struct Queues {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) cache: Arc<QueueCache>,
    pub(crate) durability: Durability,
    pub(crate) clock: Clock,
    pub(crate) settings: Settings,
}

impl Queues {
    /// Declares a queue. Returns it, and whether it existed with the same settings.
    pub async fn create(&self, mut queue: Queue) -> Result<(Arc<Queue>, bool), EngineError> {
        queue.created_at = self.clock.now();
        check(&queue)?;
        let is_new = self.cache.cached(&queue.name).is_none();
        if is_new && self.cache.len() as u64 >= QUEUES_MAX {
            return Err(EngineError::TooManyQueues { max: QUEUES_MAX });
        }
        let transaction = Transaction {
            idempotency: None,
            preconditions: vec![Precondition::QueueAbsent { name: queue.name.clone() }],
            mutations: vec![Mutation::PutQueue(queue.clone())],
        };
        let level = self.durability.default_level();
        match self.durability.commit(transaction, level).await? {
            TransactionResult::Conflict(Conflict::Queue(Some(current)))
                if current.same_settings(&queue) =>
            {
                self.durability.wait_for_committed(level).await?;
                Ok((self.cache.put(current), true))
            }
            TransactionResult::Conflict(_) => Err(EngineError::QueueExists(queue.name)),
            _ => Ok((Arc::new(queue), false)),
        }
    }

    /// Changes a queue. Running jobs are not affected.
    pub async fn update(
        &self,
        name: &str,
        change: impl Fn(&mut Queue),
    ) -> Result<Arc<Queue>, EngineError> {
        let mut current = Queue::clone(&*self.get(name).await?);
        for _ in 0..DECISION_ATTEMPTS {
            let mut queue = current.clone();
            change(&mut queue);
            check(&queue)?;
            let transaction = Transaction {
                idempotency: None,
                preconditions: vec![Precondition::QueueIs(current)],
                mutations: vec![Mutation::PutQueue(queue.clone())],
            };
            let level = self.durability.default_level();
            match self.durability.commit(transaction, level).await? {
                TransactionResult::Committed => return Ok(Arc::new(queue)),
                TransactionResult::Conflict(Conflict::Queue(Some(newer))) => current = newer,
                _ => return Err(EngineError::QueueNotFound(name.into())),
            }
        }
        Err(EngineError::Contended)
    }

    /// Returns a queue.
    pub async fn get(&self, name: &str) -> Result<Arc<Queue>, EngineError> {
        let queue = self.cache.get(name).await?;
        queue.ok_or_else(|| EngineError::QueueNotFound(name.into()))
    }

    /// Returns the queues in `scopes`, sorted by name, after one name, at most `limit`.
    pub async fn list(
        &self,
        scopes: &Scopes,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<Queue>, EngineError> {
        let mut queues = self.store.queues().await?;
        queues.retain(|q| scopes.contains(&q.name) && after.is_none_or(|after| *q.name > *after));
        queues.sort_by(|a, b| a.name.cmp(&b.name));
        queues.truncate(limit);
        Ok(queues)
    }

    /// Returns the number of jobs in the store, per queue and state.
    pub async fn depths(&self) -> Result<Vec<Depth>, EngineError> {
        Ok(self.store.depths().await?)
    }

    /// Returns the queue of a new job, which must accept jobs. Creates it if the settings say so.
    pub(crate) async fn get_for_enqueue(&self, name: &Name) -> Result<Arc<Queue>, EngineError> {
        match self.get(name).await {
            Ok(queue) if queue.mode == QueueMode::Draining => {
                Err(EngineError::QueueDraining(name.clone()))
            }
            Err(EngineError::QueueNotFound(_)) if self.settings.auto_create_queues => {
                match self.create(Queue::with_defaults(name.clone(), self.clock.now())).await {
                    Ok((queue, _)) => Ok(queue),
                    // It was created meanwhile, with other settings.
                    Err(EngineError::QueueExists(_)) => self.get(name).await,
                    Err(error) => Err(error),
                }
            }
            result => result,
        }
    }
}

fn check(queue: &Queue) -> Result<(), EngineError> {
    let violations = queue.violations();
    if violations.is_empty() { Ok(()) } else { Err(EngineError::Invalid(violations)) }
}
