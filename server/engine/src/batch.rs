//! EnqueueBatch: many jobs in one commit.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use sentinel_domain::limits::{BATCH_BYTES, BATCH_JOBS, CLASSES_PER_QUEUE};
use sentinel_domain::{Ack, Job, Name, NewJob, UniqueKey, Violation};
use sentinel_store::{Conflict, Transaction, TransactionResult};

use crate::answer::{self, Answer};
use crate::enqueue::Draft;
use crate::ingest::Standing;
use crate::{Engine, EngineError, RequestKey, TRIES, index};

/// What became of one item.
pub type BatchItem = Result<(Arc<Job>, bool), ItemRefused>;

/// Why an item of a batch that is not atomic was refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ItemRefused {
    /// As in the error catalogue.
    pub reason: String,
    pub message: String,
    /// Empty when no single field is at fault.
    pub field: String,
}

impl From<Violation> for ItemRefused {
    fn from(violation: Violation) -> Self {
        Self {
            reason: "INVALID_FIELD".into(),
            message: violation.description,
            field: violation.field,
        }
    }
}

/// An item of a batch on its way to be a job.
pub(crate) type Drafted = Result<Draft, ItemRefused>;

/// What is remembered of a batch with its jobs.
#[derive(Clone, Copy)]
pub(crate) enum Trace<'a> {
    /// What its request was answered, if there is a request_id.
    Answer(Option<&'a RequestKey>),
    /// That its producer has come so much further.
    Position(&'a Standing),
}

impl Trace<'_> {
    /// Where an item stands in what its caller sent.
    fn path(self, at: usize) -> String {
        match self {
            Self::Answer(_) => format!("specs[{at}]"),
            Self::Position(_) => "spec".to_owned(),
        }
    }

    /// The least level that its caller asks for.
    fn least(self) -> Ack {
        match self {
            Self::Answer(_) => Ack::Store,
            Self::Position(standing) => standing.least,
        }
    }
}

impl Engine {
    /// Enqueues up to 1,000 jobs. With `atomic`, one bad item refuses all.
    pub async fn enqueue_batch(
        &self,
        items: Vec<NewJob>,
        atomic: bool,
        actor: &str,
        request: Option<RequestKey>,
    ) -> Result<Vec<BatchItem>, EngineError> {
        self.admit_load()?;
        check_size(&items)?;
        match self.enqueue_all(items, atomic, actor, request.as_ref()).await {
            Err(error) if error.is_refusal() => match self.recall(request.as_ref()).await? {
                Some(bytes) => self.repeated_batch(&bytes).await,
                None => Err(error),
            },
            done => done,
        }
    }

    async fn enqueue_all(
        &self,
        items: Vec<NewJob>,
        atomic: bool,
        actor: &str,
        request: Option<&RequestKey>,
    ) -> Result<Vec<BatchItem>, EngineError> {
        let trace = Trace::Answer(request);
        let items = items.into_iter().map(Ok).collect();
        let mut drafts = self.drafts(items, atomic, actor, trace).await?;
        self.commit_drafts(&mut drafts, atomic, trace).await
    }

    /// Makes jobs of what was drafted, and looks at it anew as long as others are in the way.
    pub(crate) async fn commit_drafts(
        &self,
        drafts: &mut [Drafted],
        atomic: bool,
        trace: Trace<'_>,
    ) -> Result<Vec<BatchItem>, EngineError> {
        for _ in 0..TRIES {
            let (mut group, items) = self.group_for_all(drafts, atomic)?;
            let level = self.level_of_items(&items).max(trace.least());
            match trace {
                Trace::Answer(request) => {
                    group.request = request.map(|r| self.memory(r, &answers(&items)));
                }
                Trace::Position(standing) => {
                    standing.advance(&mut group, &standing.after(&items, level), self.now());
                }
            }
            if group.changes.is_empty() && group.request.is_none() {
                self.acknowledge_all_known(level).await?;
                return Ok(items);
            }
            match self.acknowledge(group, level).await? {
                TransactionResult::Committed => {
                    for (job, _) in items.iter().flatten().filter(|(_, dedup)| !dedup) {
                        self.observer.enqueued(job);
                    }
                    return Ok(items);
                }
                TransactionResult::Repeated(bytes) => return self.repeated_batch(&bytes).await,
                TransactionResult::RequestReused => return Err(EngineError::RequestReused),
                TransactionResult::Conflict(Conflict::Remembered { .. }) => {
                    return Err(EngineError::ProducerMoved);
                }
                TransactionResult::Conflict(Conflict::TooManyKinds { queue, kinds }) => {
                    let refusal = || EngineError::TooManyKinds {
                        queue: queue.clone(),
                        max: CLASSES_PER_QUEUE,
                    };
                    if atomic {
                        return Err(refusal());
                    }
                    let has_no_place = |d: &&mut Drafted| {
                        d.as_ref().is_ok_and(|Draft { spec, .. }| {
                            spec.queue == queue && kinds.contains(&spec.kind)
                        })
                    };
                    for draft in drafts.iter_mut().filter(has_no_place) {
                        *draft = Err(refused(refusal())?);
                    }
                }
                // The first conflict of many: all are looked at anew.
                TransactionResult::Conflict(_) => {
                    self.refresh(drafts.iter_mut().flatten().collect()).await?;
                }
            }
        }
        Err(EngineError::Contended)
    }

    /// How safe the most careful job of a batch must be.
    pub(crate) fn level_of_items(&self, items: &[BatchItem]) -> Ack {
        let levels = items.iter().flatten().map(|(job, _)| self.level_of(&job.spec));
        levels.max().unwrap_or_default()
    }

    /// Checks every item; all that is wrong with an atomic batch is told at once.
    pub(crate) async fn drafts(
        &self,
        items: Vec<Result<NewJob, ItemRefused>>,
        atomic: bool,
        actor: &str,
        trace: Trace<'_>,
    ) -> Result<Vec<Drafted>, EngineError> {
        let mut drafts = Vec::with_capacity(items.len());
        let mut violations = Vec::new();
        let mut keys: HashMap<UniqueKey, usize> = HashMap::new();
        // Each look for a queue that is not there reads all queues of the store.
        let mut missing: HashSet<Name> = HashSet::new();
        for (at, item) in items.into_iter().enumerate() {
            let path = trace.path(at);
            let item = match item {
                Ok(item) => item,
                Err(refused) => {
                    drafts.push(Err(refused));
                    continue;
                }
            };
            let drafted = match self.admit(item, &path, actor) {
                Err(error) => Err(error),
                Ok(spec) if missing.contains(&spec.queue) => {
                    Err(EngineError::QueueNotFound(spec.queue))
                }
                Ok(mut spec) => match self.know_queue(&spec.queue).await {
                    Ok(queue) => {
                        index::add_labels(&mut spec, &queue);
                        self.draft(spec).await
                    }
                    Err(error) => Err(error),
                },
            };
            if let Err(EngineError::QueueNotFound(name)) = &drafted {
                missing.insert(name.clone());
            }
            let drafted = drafted.and_then(|draft| {
                let Some(key) = draft.key.clone() else { return Ok(draft) };
                match keys.insert(key, at) {
                    None => Ok(draft),
                    Some(other) => Err(EngineError::invalid(
                        format!("{path}.unique.key"),
                        format!("specs[{other}] of this batch has it too"),
                    )),
                }
            });
            match drafted {
                Ok(draft) => drafts.push(Ok(draft)),
                Err(EngineError::Invalid(found)) if atomic => violations.extend(found),
                Err(error) if atomic => return Err(error),
                Err(error) => drafts.push(Err(refused(error)?)),
            }
        }
        if violations.is_empty() { Ok(drafts) } else { Err(EngineError::Invalid(violations)) }
    }

    fn group_for_all(
        &self,
        drafts: &mut [Drafted],
        atomic: bool,
    ) -> Result<(Transaction, Vec<BatchItem>), EngineError> {
        let mut all = Transaction::default();
        let mut items = Vec::with_capacity(drafts.len());
        for draft in drafts {
            let drafted = match draft {
                Ok(draft) => self.group_for(draft),
                Err(refused) => {
                    items.push(Err(refused.clone()));
                    continue;
                }
            };
            match drafted {
                Ok((group, enqueued)) => {
                    all.guards.extend(group.guards);
                    all.changes.extend(group.changes);
                    items.push(Ok((enqueued.job, enqueued.deduplicated)));
                }
                Err(error) if atomic => return Err(error),
                Err(error) => items.push(Err(refused(error)?)),
            }
        }
        Ok((all, items))
    }

    async fn repeated_batch(&self, bytes: &[u8]) -> Result<Vec<BatchItem>, EngineError> {
        let answers = answer::decode(bytes).ok_or(EngineError::RequestReused)?;
        let ids: Vec<_> = answers.iter().flatten().map(|(id, _)| *id).collect();
        let jobs = self.get_many(&ids).await?;
        let level = jobs.iter().flatten().map(|job| self.level_of(&job.spec)).max();
        self.acknowledge_all_known(level.unwrap_or_default()).await?;
        let mut jobs = jobs.into_iter();
        answers
            .into_iter()
            .map(|answer| match answer {
                Err(refused) => Ok(Err(refused)),
                Ok((id, _)) => {
                    let job = jobs.next().flatten().ok_or(EngineError::JobNotFound(id))?;
                    Ok(Ok((job, true)))
                }
            })
            .collect()
    }
}

fn check_size(items: &[NewJob]) -> Result<(), EngineError> {
    let count = items.len();
    if count == 0 || count as u64 > BATCH_JOBS {
        let description = format!("{count} jobs is out of range: 1..={BATCH_JOBS}");
        return Err(EngineError::invalid("specs", description));
    }
    let bytes: usize = items.iter().map(|item| item.payload.len()).sum();
    if bytes as u64 > BATCH_BYTES {
        let description = format!("payloads of {bytes} bytes: at most {BATCH_BYTES} in all");
        return Err(EngineError::invalid("specs", description));
    }
    Ok(())
}

fn answers(items: &[BatchItem]) -> Vec<Answer> {
    items
        .iter()
        .map(|item| match item {
            Ok((job, deduplicated)) => Ok((job.id, *deduplicated)),
            Err(refused) => Err(refused.clone()),
        })
        .collect()
}

/// The refusal of one item, or the error that concerns the whole call.
pub(crate) fn refused(error: EngineError) -> Result<ItemRefused, EngineError> {
    let message = error.to_string();
    let item = |reason: &str| ItemRefused { reason: reason.into(), message, field: String::new() };
    match error {
        EngineError::Invalid(mut found) if !found.is_empty() => Ok(found.swap_remove(0).into()),
        EngineError::QueueNotFound(_) => Ok(item("QUEUE_NOT_FOUND")),
        EngineError::QueueDraining(_) => Ok(item("QUEUE_DRAINING")),
        EngineError::KeyHeld { .. } => Ok(item("UNIQUE_KEY_HELD")),
        EngineError::TooManyKinds { .. } => Ok(item("TOO_MANY_KINDS")),
        error => Err(error),
    }
}
