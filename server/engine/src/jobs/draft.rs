//! Drafts: jobs that are about to be created, with the jobs that their creation depends on.

use std::collections::HashMap;
use std::sync::Arc;

use sentinel_domain::{
    Command, Dependency, FieldViolation, Job, JobId, Millis, Scopes, Spec, UniqueConflictAction,
    UniqueKey, UniqueMode, decide, initial_state, on_unique_conflict, unique_key,
};
use sentinel_store::{Mutation, Precondition, Store, Transaction, codec};

use super::JobReader;
use crate::{Clock, EngineError};

/// The most jobs of one read.
const READ_MAX: usize = 500;

/// The job of an enqueue.
#[derive(Clone, Debug)]
pub struct Enqueued {
    pub job: Arc<Job>,
    /// The job existed before.
    pub deduplicated: bool,
}

/// A job that is about to be created.
pub(crate) struct Draft {
    /// The path of the spec in the request, for errors.
    pub(super) path: String,
    pub(crate) spec: Arc<Spec>,
    pub(crate) key: Option<UniqueKey>,
    /// The holder of the unique key, and what the unique mode does about it.
    holder: Option<(Arc<Job>, UniqueConflictAction)>,
    parents: Vec<Arc<Job>>,
}

impl Draft {
    pub(crate) fn new(path: String, spec: Spec) -> Self {
        let key = unique_key(&spec);
        Self { path, spec: Arc::new(spec), key, holder: None, parents: Vec::new() }
    }

    /// Returns the transaction that creates the job under `id`. It is empty when the unique key is
    /// held by a job that is the answer.
    pub(crate) fn transaction(
        &self,
        id: JobId,
        now: Millis,
    ) -> Result<(Transaction, Enqueued), EngineError> {
        let mut transaction = Transaction::default();
        let mut spec = self.spec.clone();
        match (&self.key, &self.holder) {
            (None, _) => {}
            (Some(key), None) => {
                transaction.preconditions.push(Precondition::KeyFree { key: key.clone() });
            }
            (Some(_), Some((holder, UniqueConflictAction::Reject))) => {
                return Err(EngineError::KeyHeld { holder: holder.id });
            }
            (Some(_), Some((holder, UniqueConflictAction::ReturnExisting))) => {
                return Ok((transaction, Enqueued { job: holder.clone(), deduplicated: true }));
            }
            (Some(key), Some((holder, UniqueConflictAction::Replace { due }))) => {
                replace_holder(&mut transaction, key, holder, now)?;
                if let Some(due) = due {
                    Arc::make_mut(&mut spec).run_at = *due;
                }
            }
        }
        let mut dependencies = Vec::with_capacity(self.parents.len());
        for parent in &self.parents {
            let (id, state, version) = (parent.id, parent.status.state, parent.status.version);
            if !state.is_terminal() {
                transaction.preconditions.push(Precondition::JobVersion { id, version });
            }
            dependencies.push(Dependency { id, state });
        }
        let encoded = codec::encode_spec(&spec);
        let job = Arc::new(initial_state(id, spec, &dependencies, now));
        transaction.preconditions.push(Precondition::JobAbsent { id });
        transaction.mutations.push(Mutation::Create { job: job.clone(), spec: encoded });
        Ok((transaction, Enqueued { job, deduplicated: false }))
    }
}

fn replace_holder(
    transaction: &mut Transaction,
    key: &UniqueKey,
    holder: &Job,
    now: Millis,
) -> Result<(), EngineError> {
    let decision = decide(holder, &Command::Replace, now).map_err(|_| EngineError::Contended)?;
    let (id, version) = (holder.id, holder.status.version);
    transaction.preconditions.push(Precondition::KeyHeldBy { key: key.clone(), id });
    transaction.preconditions.push(Precondition::JobVersion { id, version });
    let (job, attempt_end) = (Arc::new(decision.job), decision.attempt_end);
    transaction.mutations.push(Mutation::Update { job, attempt_end });
    Ok(())
}

/// Reads the parents and the key holders of drafts. Cheap to clone.
#[derive(Clone)]
pub(crate) struct DraftResolver {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) reader: JobReader,
    pub(crate) clock: Clock,
}

impl DraftResolver {
    /// Reads the current parents and key holders of all drafts at once. Returns the violations of
    /// those whose parents do not exist or are out of scope, by the index of the draft.
    pub(crate) async fn resolve(
        &self,
        drafts: &mut [&mut Draft],
        scopes: &Scopes,
    ) -> Result<Vec<(usize, FieldViolation)>, EngineError> {
        self.resolve_holders(drafts).await?;
        self.resolve_parents(drafts, scopes).await
    }

    async fn resolve_parents(
        &self,
        drafts: &mut [&mut Draft],
        scopes: &Scopes,
    ) -> Result<Vec<(usize, FieldViolation)>, EngineError> {
        let ids = drafts.iter().flat_map(|draft| draft.spec.depends_on.iter().copied());
        let jobs = self.read(ids.collect()).await?;
        let mut violations = Vec::new();
        for (at, draft) in drafts.iter_mut().enumerate() {
            draft.parents.clear();
            for id in &draft.spec.depends_on {
                match jobs.get(id).filter(|parent| scopes.contains(&parent.spec.queue)) {
                    Some(parent) => draft.parents.push(parent.clone()),
                    None => {
                        let field = format!("{}.depends_on", draft.path);
                        let text = format!("no job has the id {id}");
                        violations.push((at, FieldViolation::new(field, text)));
                        break;
                    }
                }
            }
        }
        Ok(violations)
    }

    async fn resolve_holders(&self, drafts: &mut [&mut Draft]) -> Result<(), EngineError> {
        let keys: Vec<UniqueKey> = drafts.iter().filter_map(|draft| draft.key.clone()).collect();
        if keys.is_empty() {
            return Ok(());
        }
        let holders = self.store.holders(keys, self.clock.now()).await?;
        let jobs = self.read(holders.iter().flatten().copied().collect()).await?;
        let mut holders = holders.into_iter();
        for draft in drafts.iter_mut().filter(|draft| draft.key.is_some()) {
            // A holder that was deleted meanwhile has freed the key.
            let holder = holders.next().flatten().and_then(|id| jobs.get(&id)).cloned();
            let mode = draft.spec.unique.as_deref().map(|unique| unique.mode);
            let mode = mode.unwrap_or(UniqueMode::ReturnExisting);
            draft.holder = holder.map(|holder| {
                let action = on_unique_conflict(mode, &holder);
                (holder, action)
            });
        }
        Ok(())
    }

    async fn read(&self, mut ids: Vec<JobId>) -> Result<HashMap<JobId, Arc<Job>>, EngineError> {
        ids.sort_unstable();
        ids.dedup();
        let mut jobs = HashMap::with_capacity(ids.len());
        for ids in ids.chunks(READ_MAX) {
            let found = self.reader.get_many(ids).await?;
            jobs.extend(found.into_iter().flatten().map(|job| (job.id, job)));
        }
        Ok(jobs)
    }
}
