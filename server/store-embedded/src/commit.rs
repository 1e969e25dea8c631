//! The changes of one commit, with an undo log in case the journal can not store them.

use std::sync::Arc;

use bytes::Bytes;
use foldhash::HashSet;
use sentinel_domain::{
    AttemptEnd, Job, JobId, Millis, Name, Progress, Queue, SessionId, State, UniqueKey, limits,
    promote, unique_key,
};
use sentinel_store::{
    Conflict, IdempotencyRecord, JobEvent, Mutation, Precondition, ServerId, SessionRow,
    Transaction, TransactionResult, codec,
};

use crate::epoch;
use crate::idempotency::{IdempotencyRecords, Lookup};
use crate::sessions::SessionDetails;
use crate::state::{MemoryState, QueueIndex};

const KINDS_MAX: usize = limits::KINDS_PER_QUEUE as usize;

/// The previous value of a change.
enum Undo {
    Job(JobId, Option<Arc<Job>>),
    Queue(Name, Option<Queue>),
    Session(SessionId, Option<SessionRow>),
    SessionDetails(SessionId, SessionDetails),
    IdempotencyRecord(Box<str>, Option<IdempotencyRecord>),
    UniqueKey(UniqueKey, JobId, Option<Millis>),
}

/// A commit before its journal entry is written.
pub(crate) struct PendingCommit<'a> {
    pub(crate) state: &'a mut MemoryState,
    pub(crate) records: &'a mut IdempotencyRecords,
    pub(crate) writer: ServerId,
    pub(crate) now: Millis,
    /// See [`epoch::with_raised_epoch`].
    pub(crate) epoch_floor: u64,
    undo: Vec<Undo>,
    ready: HashSet<(Name, Name)>,
    pub(crate) jobs: Vec<JobEvent>,
    pub(crate) queues: Vec<Queue>,
    pub(crate) idempotency_records: Vec<IdempotencyRecord>,
}

impl<'a> PendingCommit<'a> {
    pub(crate) fn new(
        state: &'a mut MemoryState,
        records: &'a mut IdempotencyRecords,
        writer: ServerId,
        now: Millis,
    ) -> Self {
        Self {
            state,
            records,
            writer,
            now,
            epoch_floor: 0,
            undo: Vec::new(),
            ready: HashSet::default(),
            jobs: Vec::new(),
            queues: Vec::new(),
            idempotency_records: Vec::new(),
        }
    }

    /// Returns whether the commit needs a journal entry.
    pub(crate) fn has_durable_changes(&self) -> bool {
        !(self.jobs.is_empty() && self.queues.is_empty() && self.idempotency_records.is_empty())
    }

    /// Undoes every change, the last one first.
    pub(crate) fn roll_back(self) {
        for undo in self.undo.into_iter().rev() {
            match undo {
                Undo::Job(id, old) => {
                    self.state.set(id, old);
                }
                Undo::Queue(name, old) => {
                    self.state.set_queue(&name, old);
                }
                Undo::Session(id, old) => {
                    self.state.sessions.set_row(id, old);
                }
                Undo::SessionDetails(id, old) => {
                    self.state.sessions.update_details(id, |details| *details = old);
                }
                Undo::IdempotencyRecord(id, old) => {
                    self.records.remove(&id);
                    old.map(|old| self.records.put(&old));
                }
                Undo::UniqueKey(key, id, until) => self.state.keys.hold(key, id, until),
            }
        }
    }

    /// Returns the queues and kinds whose jobs became ready and were not all claimed.
    pub(crate) fn still_ready(&mut self) -> Vec<(Name, Name)> {
        let state = &self.state;
        let mut ready: Vec<_> = self
            .ready
            .drain()
            .filter(|(queue, kind)| state.queues.get(queue).is_some_and(|q| q.has_ready(kind)))
            .collect();
        ready.sort();
        ready
    }

    pub(crate) fn apply(&mut self, transaction: Transaction) -> TransactionResult {
        if let Some(record) = &transaction.idempotency {
            match self.records.lookup(record, self.now) {
                Lookup::Replay(response) => return TransactionResult::Replayed(response),
                Lookup::OtherContent => return TransactionResult::IdempotencyKeyReused,
                Lookup::Missing => {}
            }
        }
        if let Some(conflict) = transaction.preconditions.iter().find_map(|p| self.violated(p)) {
            return TransactionResult::Conflict(conflict);
        }
        if let Some((queue, kinds)) = self.too_many_kinds(&transaction.mutations) {
            return TransactionResult::Conflict(Conflict::TooManyKinds { queue, kinds });
        }
        for mutation in transaction.mutations {
            self.mutate(mutation);
        }
        if let Some(request) = transaction.idempotency {
            self.put_record(request);
        }
        TransactionResult::Committed
    }

    fn put_record(&mut self, record: IdempotencyRecord) {
        let old = self.records.put(&record);
        self.undo.push(Undo::IdempotencyRecord(record.id.clone(), old));
        self.idempotency_records.push(record);
    }

    /// Returns the conflict of a precondition that does not hold.
    fn violated(&self, precondition: &Precondition) -> Option<Conflict> {
        match precondition {
            Precondition::JobVersion { id, version } => {
                let current = self.state.jobs.get(id);
                let holds = current.is_some_and(|job| job.status.version == *version);
                (!holds).then(|| Conflict::Job { id: *id, current: current.cloned() })
            }
            Precondition::JobAbsent { id } => {
                let current = self.state.jobs.get(id)?;
                Some(Conflict::Job { id: *id, current: Some(current.clone()) })
            }
            Precondition::KeyFree { key } => {
                let holder = self.state.keys.holder(key, self.now)?;
                Some(Conflict::Key { key: key.clone(), holder: Some(holder) })
            }
            Precondition::KeyHeldBy { key, id } => {
                let holder = self.state.keys.holder(key, self.now);
                (holder != Some(*id)).then(|| Conflict::Key { key: key.clone(), holder })
            }
            Precondition::SessionOwner { session, owner } => {
                let current = self.state.sessions.row(*session).map(|row| row.owner);
                (current != Some(*owner))
                    .then_some(Conflict::Session { session: *session, owner: current })
            }
            Precondition::SessionRow(known) => {
                let current = self.state.sessions.row(known.id);
                (current != Some(known)).then_some(Conflict::Session {
                    session: known.id,
                    owner: current.map(|row| row.owner),
                })
            }
            Precondition::QueueAbsent { name } => {
                let queue = self.state.queues.get(name)?.declared()?;
                Some(Conflict::Queue(Some(queue.clone())))
            }
            Precondition::QueueIs(known) => {
                let current = self.state.queues.get(&known.name).and_then(QueueIndex::declared);
                (current != Some(known)).then(|| Conflict::Queue(current.cloned()))
            }
            Precondition::IdempotencyRecord { id, response } => {
                let current = self.records.response(id, self.now);
                (current != response.as_ref()).then(|| Conflict::IdempotencyRecord {
                    id: id.clone(),
                    response: current.cloned(),
                })
            }
        }
    }

    /// Returns the queue and the kinds that exceed the limit. Only new jobs count: a job must
    /// always be able to return to its queue after an attempt.
    fn too_many_kinds(&self, mutations: &[Mutation]) -> Option<(Name, Vec<Name>)> {
        let mut added: Vec<(&Name, &Name)> = Vec::new();
        let mut over: Option<(Name, Vec<Name>)> = None;
        for mutation in mutations {
            let Mutation::Create { job, .. } = mutation else { continue };
            if !job.status.state.is_waiting() {
                continue;
            }
            let (queue, kind) = (&job.spec.queue, &job.spec.kind);
            let current = self.state.queues.get(queue);
            if current.is_some_and(|q| q.has_kind(kind)) || added.contains(&(queue, kind)) {
                continue;
            }
            added.push((queue, kind));
            let of_queue = added.iter().filter(|(q, _)| *q == queue).count();
            if of_queue + current.map_or(0, QueueIndex::kind_count) > KINDS_MAX {
                let (first, kinds) = over.get_or_insert_with(|| (queue.clone(), Vec::new()));
                if first == queue {
                    kinds.push(kind.clone());
                }
            }
        }
        over
    }

    fn mutate(&mut self, mutation: Mutation) {
        match mutation {
            Mutation::Create { job, spec } | Mutation::ReplaceSpec { job, spec } => {
                self.put(job, Some(spec), None);
            }
            Mutation::Update { job, attempt_end } => self.put(job, None, attempt_end),
            Mutation::Progress { id, epoch, progress } => self.progress(id, epoch, progress),
            Mutation::PutQueue(queue) => {
                let old = self.state.set_queue(&queue.name, Some(queue.clone()));
                self.undo.push(Undo::Queue(queue.name.clone(), old));
                self.queues.push(queue);
            }
            Mutation::PutSession(row) => {
                let old = self.state.sessions.set_row(row.id, Some(row));
                self.undo.push(Undo::Session(row.id, old));
            }
            Mutation::DropSession(id) => {
                let (row, details) = self.state.sessions.drop_row(id);
                // The undo log runs in reverse, and details need a row.
                self.undo.push(Undo::SessionDetails(id, details));
                self.undo.push(Undo::Session(id, row));
            }
            Mutation::PutWorkerInfo { session, worker_info } => {
                self.update_details(session, |details| details.worker_info = worker_info);
            }
            Mutation::DrainSession(id) => {
                self.update_details(id, |details| details.is_drained = true)
            }
            Mutation::PutIdempotencyRecord(record) => self.put_record(record),
        }
    }

    fn update_details(&mut self, session: SessionId, note: impl FnOnce(&mut SessionDetails)) {
        let old = self.state.sessions.update_details(session, note);
        self.undo.extend(old.map(|old| Undo::SessionDetails(session, old)));
    }

    /// Stores the new version of a job and its journal event.
    pub(crate) fn put(&mut self, job: Arc<Job>, spec: Option<Bytes>, end: Option<AttemptEnd>) {
        let job = epoch::with_raised_epoch(job, self.epoch_floor);
        if job.is_deleted() && !self.state.jobs.contains_key(&job.id) {
            self.remove_key(&job);
        }
        let old = self.state.set(job.id, Some(job.clone()));
        let was = old.as_ref().map(|old| old.status.state);
        if job.status.state == State::Ready && was != Some(State::Ready) {
            self.note_ready(&job);
        }
        // A retried or deleted job is journaled with its spec; see `JobEvent::encoded_spec`.
        let is_back = was.is_none_or(State::is_terminal) && !job.status.state.is_terminal();
        let new = match spec {
            None if is_back || was.is_none() || job.is_deleted() => {
                Some(codec::encode_spec(&job.spec))
            }
            spec => spec,
        };
        self.undo.push(Undo::Job(job.id, old));
        self.jobs.push(JobEvent {
            id: job.id,
            status: job.status.clone(),
            spec: Some(job.spec.clone()),
            encoded_spec: new,
            attempt_end: end,
        });
    }

    /// Removes the unique key of a deleted job that was evicted before.
    fn remove_key(&mut self, job: &Job) {
        let Some(key) = unique_key(&job.spec) else { return };
        if let Some(until) = self.state.keys.remove(&key, job.id) {
            self.undo.push(Undo::UniqueKey(key, job.id, until));
        }
    }

    fn note_ready(&mut self, job: &Job) {
        let pair = (job.spec.queue.clone(), job.spec.kind.clone());
        self.ready.insert(pair);
    }

    fn progress(&mut self, id: JobId, epoch: u64, progress: Progress) {
        let Some(job) = self.state.jobs.get(&id) else { return };
        let status = &job.status;
        let is_live = status.lease.is_some_and(|lease| lease.id.epoch == epoch);
        let is_newer = status.progress.as_ref().is_none_or(|kept| kept.seq < progress.seq);
        if is_live && is_newer {
            let mut job = Job::clone(job);
            job.status.progress = Some(Box::new(progress));
            self.put(Arc::new(job), None, None);
        }
    }

    /// Promotes at most `limit` due jobs.
    pub(crate) fn promote(&mut self, limit: usize) {
        for _ in 0..limit {
            let Some((at, id)) = self.state.due.first().copied() else { return };
            if at > self.now {
                return;
            }
            let job = self.state.jobs.get(&id).expect("an index contains only stored jobs");
            let job = promote(job, self.now).expect("the index contains only SCHEDULED jobs");
            self.put(Arc::new(job), None, None);
        }
    }
}
