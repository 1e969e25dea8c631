//! Opens the streams of producers.

use std::sync::Arc;

use sentinel_domain::limits::{INGEST_BYTES, INGEST_STREAMS};
use sentinel_domain::{Ack, Scopes, check_name};
use sentinel_store::{Conflict, PRODUCER_OFFSET_PREFIX, Transaction, TransactionResult};
use tokio::sync::Semaphore;

use super::stream::{IngestStream, StreamContext};
use crate::EngineError;
use crate::cluster::StoreHealth;
use crate::commit::{DECISION_ATTEMPTS, ProducerOffset, ProducerState};
use crate::jobs::Enqueuer;

/// The owner of a stream of items.
#[derive(Clone, Debug)]
pub struct Producer {
    /// The id that the producer chooses.
    pub id: String,
    /// Separates producers of the same id whose API keys reach different queues.
    pub namespace: Option<u64>,
    /// The least durability level of an item before it counts as committed.
    pub ack: Option<Ack>,
    pub actor: String,
    /// The queues that the items may use.
    pub scopes: Scopes,
}

/// The producers of this server, and the limits that their streams share.
pub struct Producers {
    context: Arc<StreamContext>,
    health: Arc<StoreHealth>,
    streams: Arc<Semaphore>,
}

impl Producers {
    pub(crate) fn new(enqueuer: Enqueuer, health: Arc<StoreHealth>) -> Self {
        let bytes = Arc::new(Semaphore::new(INGEST_BYTES as usize));
        let streams = Arc::new(Semaphore::new(INGEST_STREAMS as usize));
        Self { context: Arc::new(StreamContext { enqueuer, bytes }), health, streams }
    }

    /// Opens the stream of a producer. An older stream of the producer commits nothing more.
    pub async fn open(&self, producer: Producer) -> Result<IngestStream, EngineError> {
        let Producer { id, namespace, ack, actor, scopes } = producer;
        let mut violations = Vec::new();
        check_name(&mut violations, "start.producer_id", &id);
        if !violations.is_empty() {
            return Err(EngineError::Invalid(violations));
        }
        let enqueuer = &self.context.enqueuer;
        enqueuer.durability.check_level("start.ack", ack)?;
        self.health.check()?;
        let streams = self.streams.clone();
        let permit = streams.try_acquire_owned().map_err(|_| EngineError::TooManyProducers)?;
        let namespace =
            namespace.map_or_else(String::new, |namespace| format!("/{namespace:016x}"));
        let mut state = ProducerState {
            id: format!("{PRODUCER_OFFSET_PREFIX}{id}{namespace}").into(),
            offset: ProducerOffset::default(),
            stored: None,
            min_level: ack.unwrap_or(enqueuer.durability.default_level()),
        };
        for _ in 0..DECISION_ATTEMPTS {
            let offset = ProducerOffset { stream: enqueuer.rng.next_u64(), ..state.offset.clone() };
            let mut transaction = Transaction::default();
            state.advance(&mut transaction, &offset, enqueuer.clock.now());
            // The offset may be of a commit that was not acknowledged at its level yet.
            let level = state.min_level.max(offset.level);
            match enqueuer.durability.commit(transaction, level).await? {
                TransactionResult::Committed => {
                    let state = state.moved_to(offset);
                    let context = self.context.clone();
                    return Ok(IngestStream::new(context, permit, state, &actor, scopes));
                }
                TransactionResult::Conflict(Conflict::IdempotencyRecord { response, .. }) => {
                    let offset = response.as_deref().map(ProducerOffset::decode).transpose()?;
                    state.offset = offset.unwrap_or_default();
                    state.stored = response;
                }
                _ => break,
            }
        }
        Err(EngineError::Contended)
    }
}
