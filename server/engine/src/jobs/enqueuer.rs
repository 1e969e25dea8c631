//! Creates jobs: checks and drafts them, and commits all drafts of a batch in one transaction.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use sentinel_domain::{Ack, JobId, Name, NewJob, Spec, UniqueKey};
use sentinel_store::{Conflict, Transaction, TransactionResult};

use super::draft::{Draft, DraftResolver, Enqueued};
use super::{JobReader, Submitter};
use crate::commit::{
    Committer, DECISION_ATTEMPTS, Durability, Idempotency, IdempotencyKey, ProducerState,
    RecordedItem, decode_response,
};
use crate::error::ItemError;
use crate::queues::{Queues, add_labels};
use crate::{Clock, EngineError, Observer, Rng, Settings};

/// The result of one item of a batch.
pub type BatchItemResult = Result<Enqueued, ItemError>;

type DraftResult = Result<Draft, ItemError>;

/// The drafts of a batch.
pub(crate) struct Drafts(Vec<DraftResult>);

/// What a batch records in the transaction that creates its jobs.
#[derive(Clone, Copy)]
pub(crate) enum BatchRecord<'a> {
    /// The response of a request with a single job.
    Single(Option<&'a IdempotencyKey>),
    /// The response of a request with many jobs.
    Batch(Option<&'a IdempotencyKey>),
    /// The new offset of a producer.
    Producer(&'a ProducerState),
}

impl<'a> BatchRecord<'a> {
    pub(super) fn key(self) -> Option<&'a IdempotencyKey> {
        match self {
            Self::Single(key) | Self::Batch(key) => key,
            Self::Producer(_) => None,
        }
    }

    /// The path of an item in the request.
    fn path(self, at: usize) -> String {
        match self {
            Self::Single(_) | Self::Producer(_) => "spec".to_owned(),
            Self::Batch(_) => format!("specs[{at}]"),
        }
    }

    fn min_level(self) -> Ack {
        match self {
            Self::Single(_) | Self::Batch(_) => Ack::Store,
            Self::Producer(state) => state.min_level,
        }
    }
}

/// Creates jobs. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Enqueuer {
    pub(crate) reader: JobReader,
    pub(crate) resolver: DraftResolver,
    pub(crate) queues: Queues,
    pub(crate) committer: Committer,
    pub(crate) durability: Durability,
    pub(crate) idempotency: Idempotency,
    pub(crate) clock: Clock,
    pub(crate) rng: Rng,
    pub(crate) observer: Arc<dyn Observer>,
    pub(crate) settings: Settings,
}

impl Enqueuer {
    /// Sheds load: refuses new jobs while too many changes wait. Reports and cancels still pass.
    pub(crate) fn check_load(&self) -> Result<(), EngineError> {
        if self.committer.accepts_jobs() {
            return Ok(());
        }
        self.observer.overloaded();
        Err(EngineError::Overloaded)
    }

    /// Checks and drafts every item. With `atomic`, an error of one item is one of the batch; all
    /// violations are returned together.
    pub(crate) async fn draft(
        &self,
        items: Vec<Result<NewJob, ItemError>>,
        atomic: bool,
        submitter: Submitter<'_>,
        record: BatchRecord<'_>,
    ) -> Result<Drafts, EngineError> {
        let mut drafts = Vec::with_capacity(items.len());
        let mut violations = Vec::new();
        let mut keys: HashMap<UniqueKey, usize> = HashMap::new();
        // A lookup of a queue that does not exist reads all queues of the store.
        let mut missing_queues: HashSet<Name> = HashSet::new();
        for (at, item) in items.into_iter().enumerate() {
            let path = record.path(at);
            let new = match item {
                Ok(new) => new,
                Err(error) => {
                    drafts.push(Err(error));
                    continue;
                }
            };
            let drafted = match self.draft_one(new, path, submitter, &missing_queues).await {
                Ok(draft) => check_unique_in_batch(draft, at, &mut keys),
                error => error,
            };
            match drafted {
                Ok(draft) => drafts.push(Ok(draft)),
                Err(EngineError::Invalid(found)) if atomic => violations.extend(found),
                Err(error) if atomic => return Err(error),
                Err(error) => {
                    if let EngineError::QueueNotFound(name) = &error {
                        missing_queues.insert(name.clone());
                    }
                    drafts.push(Err(ItemError::try_from(error)?));
                }
            }
        }
        let mut drafts = Drafts(drafts);
        match self.resolve(&mut drafts, atomic, submitter).await {
            Err(EngineError::Invalid(found)) => violations.extend(found),
            resolved => resolved?,
        }
        if violations.is_empty() { Ok(drafts) } else { Err(EngineError::Invalid(violations)) }
    }

    async fn draft_one(
        &self,
        new: NewJob,
        path: String,
        submitter: Submitter<'_>,
        missing_queues: &HashSet<Name>,
    ) -> Result<Draft, EngineError> {
        let mut spec = self.check_spec(new, &path, submitter.actor)?;
        if missing_queues.contains(&spec.queue) {
            return Err(EngineError::QueueNotFound(spec.queue));
        }
        let queue = self.queues.get_for_enqueue(&spec.queue).await?;
        add_labels(&mut spec, &queue);
        Ok(Draft::new(path, spec))
    }

    fn check_spec(&self, new: NewJob, path: &str, actor: &str) -> Result<Spec, EngineError> {
        let level = new.ack;
        let spec = new.into_spec(path, actor, self.clock.now(), self.settings.payload_max_bytes);
        self.durability.check_level(&format!("{path}.ack"), level)?;
        spec.map_err(EngineError::Invalid)
    }

    /// Reads the parents and key holders of all drafts.
    async fn resolve(
        &self,
        drafts: &mut Drafts,
        atomic: bool,
        submitter: Submitter<'_>,
    ) -> Result<(), EngineError> {
        let (indexes, mut resolved): (Vec<usize>, Vec<&mut Draft>) = drafts
            .0
            .iter_mut()
            .enumerate()
            .filter_map(|(at, draft)| Some((at, draft.as_mut().ok()?)))
            .unzip();
        let violations = self.resolver.resolve(&mut resolved, submitter.scopes).await?;
        if atomic && !violations.is_empty() {
            let found = violations.into_iter().map(|(_, violation)| violation);
            return Err(EngineError::Invalid(found.collect()));
        }
        for (at, violation) in violations {
            drafts.0[indexes[at]] = Err(violation.into());
        }
        Ok(())
    }

    /// Commits drafts in one transaction. After a conflict they are resolved and committed again,
    /// at most [`DECISION_ATTEMPTS`] times.
    pub(crate) async fn commit(
        &self,
        drafts: &mut Drafts,
        atomic: bool,
        submitter: Submitter<'_>,
        record: BatchRecord<'_>,
    ) -> Result<Vec<BatchItemResult>, EngineError> {
        for _ in 0..DECISION_ATTEMPTS {
            let (mut transaction, items) = self.transaction(drafts, atomic)?;
            let level = self.level_of(drafts, &items).max(record.min_level());
            match record {
                BatchRecord::Single(key) | BatchRecord::Batch(key) => {
                    transaction.idempotency =
                        key.map(|key| self.idempotency.record(key, &recorded(&items)));
                }
                BatchRecord::Producer(state) => {
                    let offset = state.after(&items, level);
                    state.advance(&mut transaction, &offset, self.clock.now());
                }
            }
            if transaction.mutations.is_empty() && transaction.idempotency.is_none() {
                self.durability.wait_for_committed(level).await?;
                return Ok(items);
            }
            match self.durability.commit(transaction, level).await? {
                TransactionResult::Committed => {
                    for enqueued in items.iter().flatten().filter(|one| !one.deduplicated) {
                        self.observer.enqueued(&enqueued.job);
                    }
                    return Ok(items);
                }
                TransactionResult::Replayed(response) => return self.replay(&response).await,
                TransactionResult::IdempotencyKeyReused => {
                    return Err(EngineError::RequestIdReused);
                }
                TransactionResult::Conflict(Conflict::IdempotencyRecord { .. }) => {
                    return Err(EngineError::ProducerTakenOver);
                }
                TransactionResult::Conflict(Conflict::TooManyKinds { queue, .. }) if atomic => {
                    return Err(EngineError::too_many_kinds(queue));
                }
                TransactionResult::Conflict(Conflict::TooManyKinds { queue, kinds }) => {
                    drafts.refuse_kinds(&queue, &kinds)?;
                }
                // The store reports the first of possibly many conflicts.
                TransactionResult::Conflict(_) => self.resolve(drafts, atomic, submitter).await?,
            }
        }
        Err(EngineError::Contended)
    }

    fn transaction(
        &self,
        drafts: &Drafts,
        atomic: bool,
    ) -> Result<(Transaction, Vec<BatchItemResult>), EngineError> {
        let mut all = Transaction::default();
        let mut items = Vec::with_capacity(drafts.0.len());
        for draft in &drafts.0 {
            let draft = match draft {
                Ok(draft) => draft,
                Err(error) => {
                    items.push(Err(error.clone()));
                    continue;
                }
            };
            let now = self.clock.now();
            match draft.transaction(JobId::new(now, 0, self.rng.next_u64()), now) {
                Ok((transaction, enqueued)) => {
                    all.preconditions.extend(transaction.preconditions);
                    all.mutations.extend(transaction.mutations);
                    items.push(Ok(enqueued));
                }
                Err(error) if atomic => return Err(error),
                Err(error) => items.push(Err(ItemError::try_from(error)?)),
            }
        }
        Ok((all, items))
    }

    /// Returns the highest durability level of the jobs, and of the specs whose job existed before.
    fn level_of(&self, drafts: &Drafts, items: &[BatchItemResult]) -> Ack {
        let drafted = drafts.0.iter().flatten().map(|draft| &draft.spec);
        let enqueued = items.iter().flatten().map(|enqueued| &enqueued.job.spec);
        let levels = drafted.chain(enqueued).map(|spec| self.durability.level_of(spec));
        levels.max().unwrap_or_default()
    }

    /// Returns the durability level of a committed batch of a producer.
    pub(crate) fn producer_level(
        &self,
        drafts: &Drafts,
        items: &[BatchItemResult],
        state: &ProducerState,
    ) -> Ack {
        self.level_of(drafts, items).max(state.min_level)
    }

    /// Returns the results of a request that was carried out before, once its jobs are durable.
    pub(crate) async fn replay(
        &self,
        response: &[u8],
    ) -> Result<Vec<BatchItemResult>, EngineError> {
        let items = decode_response(response).ok_or(EngineError::RequestIdReused)?;
        let ids: Vec<JobId> = items.iter().flatten().map(|(id, _)| *id).collect();
        let jobs = self.reader.get_many(&ids).await?;
        let level = jobs.iter().flatten().map(|job| self.durability.level_of(&job.spec)).max();
        self.durability.wait_for_committed(level.unwrap_or_default()).await?;
        let mut jobs = jobs.into_iter();
        let replayed = |item: RecordedItem| match item {
            Err(error) => Ok(Err(error)),
            Ok((id, _)) => {
                let job = jobs.next().flatten().ok_or(EngineError::JobNotFound(id))?;
                Ok(Ok(Enqueued { job, deduplicated: true }))
            }
        };
        items.into_iter().map(replayed).collect()
    }
}

impl Drafts {
    /// Refuses the drafts of kinds for which a queue has no space.
    fn refuse_kinds(&mut self, queue: &Name, kinds: &[Name]) -> Result<(), EngineError> {
        for slot in &mut self.0 {
            let Ok(Draft { spec, .. }) = slot else { continue };
            if spec.queue == *queue && kinds.contains(&spec.kind) {
                *slot = Err(ItemError::try_from(EngineError::too_many_kinds(queue.clone()))?);
            }
        }
        Ok(())
    }
}

fn check_unique_in_batch(
    draft: Draft,
    at: usize,
    keys: &mut HashMap<UniqueKey, usize>,
) -> Result<Draft, EngineError> {
    let Some(key) = draft.key.clone() else { return Ok(draft) };
    match keys.insert(key, at) {
        None => Ok(draft),
        Some(other) => Err(EngineError::invalid(
            format!("{}.unique.key", draft.path),
            format!("specs[{other}] of this batch has the same key"),
        )),
    }
}

fn recorded(items: &[BatchItemResult]) -> Vec<RecordedItem> {
    let item = |item: &BatchItemResult| match item {
        Ok(enqueued) => Ok((enqueued.job.id, enqueued.deduplicated)),
        Err(error) => Err(error.clone()),
    };
    items.iter().map(item).collect()
}
