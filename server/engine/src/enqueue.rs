//! Enqueue: one job, durable when the call returns.

use std::sync::Arc;

use sentinel_domain::limits::{CLASSES_PER_QUEUE, REQUEST_TTL_MS};
use sentinel_domain::{
    Command, Dependency, Job, KeyClash, NewJob, Spec, UniqueKey, UniqueMode, decide, initial_state,
    on_clash, unique_key,
};
use sentinel_store::{
    Conflict, IdempotencyRecord, Mutation, Precondition, Transaction, TransactionResult, codec,
};

use crate::{Engine, EngineError, TRIES, answer, index};

/// Makes a repeat of a request safe.
#[derive(Clone, Debug)]
pub struct RequestKey {
    pub id: String,
    /// By [`sentinel_store::content_hash`].
    pub content_hash: u64,
}

/// The job that stands for a request.
#[derive(Clone, Debug)]
pub struct Enqueued {
    pub job: Arc<Job>,
    /// It existed before.
    pub deduplicated: bool,
}

/// A job about to be committed, with what its commit depends on.
pub(crate) struct Draft {
    pub(crate) spec: Arc<Spec>,
    pub(crate) key: Option<UniqueKey>,
    /// Who holds the key, and what is to be done about it.
    holder: Option<(Arc<Job>, KeyClash)>,
    parents: Vec<Arc<Job>>,
}

impl Engine {
    /// Enqueues one job.
    pub async fn enqueue(
        &self,
        new: NewJob,
        actor: &str,
        request: Option<RequestKey>,
    ) -> Result<Enqueued, EngineError> {
        self.admit_load()?;
        match self.enqueue_new(new, actor, request.as_ref()).await {
            // What was right the first time may look wrong now, because of the job it made.
            Err(error) if error.is_refusal() => match self.recall(request.as_ref()).await? {
                Some(bytes) => self.repeated(&bytes).await,
                None => Err(error),
            },
            done => done,
        }
    }

    async fn enqueue_new(
        &self,
        new: NewJob,
        actor: &str,
        request: Option<&RequestKey>,
    ) -> Result<Enqueued, EngineError> {
        let mut spec = self.admit(new, "spec", actor)?;
        let queue = self.know_queue(&spec.queue).await?;
        index::add_labels(&mut spec, &queue);
        let mut draft = self.draft(spec).await?;
        for _ in 0..TRIES {
            let (mut group, enqueued) = self.group_for(&draft)?;
            group.request =
                request.map(|r| self.memory(r, &[Ok((enqueued.job.id, enqueued.deduplicated))]));
            let level = self.level_of(&draft.spec).max(self.level_of(&enqueued.job.spec));
            if enqueued.deduplicated && group.request.is_none() {
                self.acknowledge_all_known(level).await?;
                return Ok(enqueued);
            }
            match self.acknowledge(group, level).await? {
                TransactionResult::Committed => {
                    if !enqueued.deduplicated {
                        self.observer.enqueued(&enqueued.job);
                    }
                    return Ok(enqueued);
                }
                TransactionResult::Repeated(bytes) => return self.repeated(&bytes).await,
                TransactionResult::RequestReused => return Err(EngineError::RequestReused),
                TransactionResult::Conflict(conflict) => self.redraft(&mut draft, conflict).await?,
            }
        }
        Err(EngineError::Contended)
    }

    /// Turns new work away while too much waits; reports and cancels still pass.
    pub(crate) fn admit_load(&self) -> Result<(), EngineError> {
        if self.commits.has_room() {
            return Ok(());
        }
        self.observer.shed();
        Err(EngineError::Overloaded)
    }

    pub(crate) fn memory(
        &self,
        request: &RequestKey,
        answers: &[answer::Answer],
    ) -> IdempotencyRecord {
        IdempotencyRecord {
            id: request.id.as_str().into(),
            content_hash: request.content_hash,
            answer: answer::encode(answers),
            until: self.now() + REQUEST_TTL_MS.cast_signed(),
        }
    }

    /// The answer that this request had before, if any: asked by a group that never holds.
    pub(crate) async fn recall(
        &self,
        request: Option<&RequestKey>,
    ) -> Result<Option<bytes::Bytes>, EngineError> {
        let Some(request) = request else { return Ok(None) };
        let never = Precondition::JobVersion { id: self.new_id(), version: 0 };
        let memory = Some(self.memory(request, &[]));
        let group = Transaction { request: memory, guards: vec![never], changes: Vec::new() };
        match self.commits.group(group).await? {
            TransactionResult::Repeated(bytes) => Ok(Some(bytes)),
            TransactionResult::RequestReused => Err(EngineError::RequestReused),
            TransactionResult::Committed | TransactionResult::Conflict(_) => Ok(None),
        }
    }

    /// The newer truth about everything that some drafts rest on.
    pub(crate) async fn refresh(&self, drafts: Vec<&mut Draft>) -> Result<(), EngineError> {
        let keys: Vec<_> = drafts.iter().filter_map(|draft| draft.key.clone()).collect();
        let parents = drafts.iter().flat_map(|draft| draft.parents.iter().map(|p| p.id));
        let parents: Vec<_> = parents.collect();
        let mut holders = match keys.is_empty() {
            true => Vec::new(),
            false => self.store.holders(keys, self.now()).await?,
        }
        .into_iter();
        let mut found = match parents.is_empty() {
            true => Vec::new(),
            false => self.get_many(&parents).await?,
        }
        .into_iter();
        for draft in drafts {
            for parent in &mut draft.parents {
                if let Some(current) = found.next().flatten() {
                    *parent = current;
                }
            }
            if draft.key.is_none() {
                continue;
            }
            match holders.next().flatten() {
                Some(holder) => self.clash(draft, holder).await?,
                None => draft.holder = None,
            }
        }
        Ok(())
    }

    /// Looks up what the job depends on and who holds its key.
    pub(crate) async fn draft(&self, spec: Spec) -> Result<Draft, EngineError> {
        let mut parents = Vec::new();
        if !spec.depends_on.is_empty() {
            let found = self.get_many(&spec.depends_on).await?;
            for (id, parent) in spec.depends_on.iter().zip(found) {
                parents.push(parent.ok_or_else(|| {
                    EngineError::invalid("spec.depends_on", format!("no job has the id {id}"))
                })?);
            }
        }
        let key = unique_key(&spec);
        let mut draft = Draft { spec: Arc::new(spec), key, holder: None, parents };
        if let Some(key) = draft.key.clone() {
            let holder = self.store.holders(vec![key], self.now()).await?.pop().flatten();
            if let Some(holder) = holder {
                self.clash(&mut draft, holder).await?;
            }
        }
        Ok(draft)
    }

    async fn clash(
        &self,
        draft: &mut Draft,
        holder: sentinel_domain::JobId,
    ) -> Result<(), EngineError> {
        let holder = match self.get(holder).await {
            // It was deleted meanwhile, and its key is free.
            Err(EngineError::JobNotFound(_)) => {
                draft.holder = None;
                return Ok(());
            }
            holder => holder?,
        };
        let mode = draft.spec.unique.as_deref().map_or(UniqueMode::ReturnExisting, |u| u.mode);
        let clash = on_clash(mode, &holder);
        draft.holder = Some((holder, clash));
        Ok(())
    }

    /// The newer truth after a conflict.
    pub(crate) async fn redraft(
        &self,
        draft: &mut Draft,
        conflict: Conflict,
    ) -> Result<(), EngineError> {
        match conflict {
            Conflict::Key { holder: Some(holder), .. } => self.clash(draft, holder).await,
            Conflict::Key { holder: None, .. } => {
                draft.holder = None;
                Ok(())
            }
            Conflict::Job { id, current } => {
                let current = match current {
                    Some(current) => current,
                    None => self.get(id).await?,
                };
                if draft.holder.as_ref().is_some_and(|(holder, _)| holder.id == id) {
                    return self.clash(draft, id).await;
                }
                for parent in draft.parents.iter_mut().filter(|p| p.id == id) {
                    *parent = current.clone();
                }
                Ok(())
            }
            Conflict::TooManyKinds { queue, .. } => {
                Err(EngineError::TooManyKinds { queue, max: CLASSES_PER_QUEUE })
            }
            Conflict::Session { .. } | Conflict::Queue(_) | Conflict::Remembered { .. } => {
                Err(EngineError::Contended)
            }
        }
    }

    /// The group that makes the draft a job, or that only remembers the holder as the answer.
    pub(crate) fn group_for(&self, draft: &Draft) -> Result<(Transaction, Enqueued), EngineError> {
        let now = self.now();
        let mut group = Transaction::default();
        let mut spec = draft.spec.clone();
        match (&draft.key, &draft.holder) {
            (None, _) => {}
            (Some(key), None) => group.guards.push(Precondition::KeyFree { key: key.clone() }),
            (Some(_), Some((holder, KeyClash::Reject))) => {
                return Err(EngineError::KeyHeld { holder: holder.id });
            }
            (Some(_), Some((holder, KeyClash::ReturnExisting))) => {
                return Ok((group, Enqueued { job: holder.clone(), deduplicated: true }));
            }
            (Some(key), Some((holder, KeyClash::Replace { due }))) => {
                let replaced =
                    decide(holder, &Command::Replace, now).map_err(|_| EngineError::Contended)?;
                let (id, version) = (holder.id, holder.status.version);
                group.guards.push(Precondition::KeyHeldBy { key: key.clone(), id });
                group.guards.push(Precondition::JobVersion { id, version });
                let job = Arc::new(replaced.job);
                group.changes.push(Mutation::Update { job, end: replaced.end });
                if let Some(due) = due {
                    Arc::make_mut(&mut spec).run_at = *due;
                }
            }
        }
        let mut dependencies = Vec::with_capacity(draft.parents.len());
        for parent in &draft.parents {
            let (id, state) = (parent.id, parent.status.state);
            if !state.is_terminal() {
                group.guards.push(Precondition::JobVersion { id, version: parent.status.version });
            }
            dependencies.push(Dependency { id, state });
        }
        let bytes = codec::encode_spec(&spec);
        let job = Arc::new(initial_state(self.new_id(), spec, &dependencies, now));
        group.guards.push(Precondition::JobAbsent { id: job.id });
        group.changes.push(Mutation::Create { job: job.clone(), spec: bytes });
        Ok((group, Enqueued { job, deduplicated: false }))
    }

    async fn repeated(&self, bytes: &[u8]) -> Result<Enqueued, EngineError> {
        match answer::decode(bytes).and_then(|mut a| a.pop()) {
            Some(Ok((id, _))) => {
                let job = self.get(id).await?;
                // The answer may have been kept from its caller until it was safe.
                self.acknowledge_known(&job).await?;
                Ok(Enqueued { job, deduplicated: true })
            }
            _ => Err(EngineError::RequestReused),
        }
    }
}
