//! EnqueueBatch: many jobs in one commit.

use std::collections::HashMap;
use std::sync::Arc;

use sentinel_broker::{Conflict, Group, Verdict};
use sentinel_domain::limits::{BATCH_BYTES, BATCH_JOBS, CLASSES_PER_QUEUE};
use sentinel_domain::{Job, NewJob, UniqueKey, Violation};

use crate::answer::{self, Answer};
use crate::enqueue::Draft;
use crate::{Engine, EngineError, RequestKey, TRIES};

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
        let mut drafts = self.drafts(items, atomic, actor).await?;
        for _ in 0..TRIES {
            let (mut group, items) = self.group_for_all(&mut drafts, atomic)?;
            if let Some(request) = request {
                group.request = Some(self.memory(request, &answers(&items)));
            }
            let of_items = items.iter().flatten().map(|(job, _)| self.level_of(&job.spec));
            let level = of_items.max().unwrap_or_default();
            if group.changes.is_empty() && group.request.is_none() {
                self.acknowledge_all_known(level).await?;
                return Ok(items);
            }
            match self.acknowledge(group, level).await? {
                Verdict::Committed => {
                    for (job, _) in items.iter().flatten().filter(|(_, dedup)| !dedup) {
                        self.observer.enqueued(job);
                    }
                    return Ok(items);
                }
                Verdict::Repeated(bytes) => return self.repeated_batch(&bytes).await,
                Verdict::RequestReused => return Err(EngineError::RequestReused),
                Verdict::Conflict(Conflict::TooManyKinds { queue, kinds }) => {
                    let refusal = || EngineError::TooManyKinds {
                        queue: queue.clone(),
                        max: CLASSES_PER_QUEUE,
                    };
                    if atomic {
                        return Err(refusal());
                    }
                    let has_no_place = |d: &&mut Result<Draft, _>| {
                        d.as_ref().is_ok_and(|Draft { spec, .. }| {
                            spec.queue == queue && kinds.contains(&spec.kind)
                        })
                    };
                    for draft in drafts.iter_mut().filter(has_no_place) {
                        *draft = Err(refused(refusal())?);
                    }
                }
                // The first conflict of many: all are looked at anew.
                Verdict::Conflict(_) => {
                    self.refresh(drafts.iter_mut().flatten().collect()).await?;
                }
            }
        }
        Err(EngineError::Contended)
    }

    /// Checks every item; all that is wrong with an atomic batch is told at once.
    async fn drafts(
        &self,
        items: Vec<NewJob>,
        atomic: bool,
        actor: &str,
    ) -> Result<Vec<Result<Draft, ItemRefused>>, EngineError> {
        let mut drafts = Vec::with_capacity(items.len());
        let mut violations = Vec::new();
        let mut keys: HashMap<UniqueKey, usize> = HashMap::new();
        for (at, item) in items.into_iter().enumerate() {
            let path = format!("specs[{at}]");
            let drafted = match self.admit(item, &path, actor) {
                Err(error) => Err(error),
                Ok(spec) => match self.know_queue(&spec.queue).await {
                    Ok(()) => self.draft(spec).await,
                    Err(error) => Err(error),
                },
            };
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
        drafts: &mut [Result<Draft, ItemRefused>],
        atomic: bool,
    ) -> Result<(Group, Vec<BatchItem>), EngineError> {
        let mut all = Group::default();
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
