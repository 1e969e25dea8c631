//! The changes of one call, with what undoes them when the journal can not take them.

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
use crate::requests::{Recall, Requests};
use crate::sessions::Notes;
use crate::state::{Hot, QueueIndex};

const CLASSES_MAX: usize = limits::KINDS_PER_QUEUE as usize;

/// What was there before a change.
enum Undo {
    Job(JobId, Option<Arc<Job>>),
    Queue(Name, Option<Queue>),
    Session(SessionId, Option<SessionRow>),
    Notes(SessionId, Notes),
    Request(Box<str>, Option<IdempotencyRecord>),
    Key(UniqueKey, JobId, Option<Millis>),
}

/// A call in the making.
pub(crate) struct Work<'a> {
    pub(crate) hot: &'a mut Hot,
    pub(crate) requests: &'a mut Requests,
    pub(crate) writer: ServerId,
    pub(crate) now: Millis,
    /// See [`epoch::raised`].
    pub(crate) lease_floor: u64,
    undo: Vec<Undo>,
    ready: HashSet<(Name, Name)>,
    pub(crate) jobs: Vec<JobEvent>,
    pub(crate) queues: Vec<Queue>,
    pub(crate) memories: Vec<IdempotencyRecord>,
}

impl<'a> Work<'a> {
    pub(crate) fn new(
        hot: &'a mut Hot,
        requests: &'a mut Requests,
        writer: ServerId,
        now: Millis,
    ) -> Self {
        Self {
            hot,
            requests,
            writer,
            now,
            lease_floor: 0,
            undo: Vec::new(),
            ready: HashSet::default(),
            jobs: Vec::new(),
            queues: Vec::new(),
            memories: Vec::new(),
        }
    }

    /// Something belongs into the journal.
    pub(crate) fn is_durable(&self) -> bool {
        !(self.jobs.is_empty() && self.queues.is_empty() && self.memories.is_empty())
    }

    /// Takes every change back, the last one first.
    pub(crate) fn roll_back(self) {
        for undo in self.undo.into_iter().rev() {
            match undo {
                Undo::Job(id, old) => {
                    self.hot.set(id, old);
                }
                Undo::Queue(name, old) => {
                    self.hot.set_queue(&name, old);
                }
                Undo::Session(id, old) => {
                    self.hot.sessions.set_row(id, old);
                }
                Undo::Notes(id, old) => {
                    self.hot.sessions.note(id, |notes| *notes = old);
                }
                Undo::Request(id, old) => {
                    self.requests.forget(&id);
                    old.map(|old| self.requests.remember(&old));
                }
                Undo::Key(key, id, until) => self.hot.keys.hold(key, id, until),
            }
        }
    }

    /// Classes that got a ready job and still have one.
    pub(crate) fn still_ready(&mut self) -> Vec<(Name, Name)> {
        let hot = &self.hot;
        let mut ready: Vec<_> = self
            .ready
            .drain()
            .filter(|(queue, kind)| hot.queues.get(queue).is_some_and(|q| q.has_ready(kind)))
            .collect();
        ready.sort();
        ready
    }

    pub(crate) fn group(&mut self, group: Transaction) -> TransactionResult {
        if let Some(request) = &group.idempotency {
            match self.requests.recall(request, self.now) {
                Recall::Answered(answer) => return TransactionResult::Replayed(answer),
                Recall::OtherContent => return TransactionResult::IdempotencyKeyReused,
                Recall::Unknown => {}
            }
        }
        if let Some(conflict) = group.preconditions.iter().find_map(|guard| self.broken(guard)) {
            return TransactionResult::Conflict(conflict);
        }
        if let Some((queue, kinds)) = self.kinds_too_many(&group.mutations) {
            return TransactionResult::Conflict(Conflict::TooManyKinds { queue, kinds });
        }
        for change in group.mutations {
            self.change(change);
        }
        if let Some(request) = group.idempotency {
            self.remember(request);
        }
        TransactionResult::Committed
    }

    fn remember(&mut self, memory: IdempotencyRecord) {
        let old = self.requests.remember(&memory);
        self.undo.push(Undo::Request(memory.id.clone(), old));
        self.memories.push(memory);
    }

    /// What is there instead, where a guard does not hold.
    fn broken(&self, guard: &Precondition) -> Option<Conflict> {
        match guard {
            Precondition::JobVersion { id, version } => {
                let current = self.hot.jobs.get(id);
                let holds = current.is_some_and(|job| job.status.version == *version);
                (!holds).then(|| Conflict::Job { id: *id, current: current.cloned() })
            }
            Precondition::JobAbsent { id } => {
                let current = self.hot.jobs.get(id)?;
                Some(Conflict::Job { id: *id, current: Some(current.clone()) })
            }
            Precondition::KeyFree { key } => {
                let holder = self.hot.keys.holder(key, self.now)?;
                Some(Conflict::Key { key: key.clone(), holder: Some(holder) })
            }
            Precondition::KeyHeldBy { key, id } => {
                let holder = self.hot.keys.holder(key, self.now);
                (holder != Some(*id)).then(|| Conflict::Key { key: key.clone(), holder })
            }
            Precondition::SessionOwner { session, owner } => {
                let there = self.hot.sessions.row(*session).map(|row| row.owner);
                (there != Some(*owner))
                    .then_some(Conflict::Session { session: *session, owner: there })
            }
            Precondition::SessionRow(known) => {
                let there = self.hot.sessions.row(known.id);
                (there != Some(known)).then_some(Conflict::Session {
                    session: known.id,
                    owner: there.map(|row| row.owner),
                })
            }
            Precondition::QueueAbsent { name } => {
                let queue = self.hot.queues.get(name)?.declared()?;
                Some(Conflict::Queue(Some(queue.clone())))
            }
            Precondition::QueueIs(known) => {
                let current = self.hot.queues.get(&known.name).and_then(QueueIndex::declared);
                (current != Some(known)).then(|| Conflict::Queue(current.cloned()))
            }
            Precondition::IdempotencyRecord { id, response: answer } => {
                let there = self.requests.answer(id, self.now);
                (there != answer.as_ref())
                    .then(|| Conflict::IdempotencyRecord { id: id.clone(), response: there.cloned() })
            }
        }
    }

    /// Only new jobs are refused: a job that comes back from an attempt must have a place.
    fn kinds_too_many(&self, mutations: &[Mutation]) -> Option<(Name, Vec<Name>)> {
        let mut added: Vec<(&Name, &Name)> = Vec::new();
        let mut over: Option<(Name, Vec<Name>)> = None;
        for change in mutations {
            let Mutation::Create { job, .. } = change else { continue };
            if !job.status.state.is_waiting() {
                continue;
            }
            let (queue, kind) = (&job.spec.queue, &job.spec.kind);
            let there = self.hot.queues.get(queue);
            if there.is_some_and(|q| q.has_class(kind)) || added.contains(&(queue, kind)) {
                continue;
            }
            added.push((queue, kind));
            let of_queue = added.iter().filter(|(q, _)| *q == queue).count();
            if of_queue + there.map_or(0, QueueIndex::class_count) > CLASSES_MAX {
                let (first, kinds) = over.get_or_insert_with(|| (queue.clone(), Vec::new()));
                if first == queue {
                    kinds.push(kind.clone());
                }
            }
        }
        over
    }

    fn change(&mut self, change: Mutation) {
        match change {
            Mutation::Create { job, spec } | Mutation::ReplaceSpec { job, spec } => {
                self.put(job, Some(spec), None);
            }
            Mutation::Update { job, attempt_end } => self.put(job, None, attempt_end),
            Mutation::Progress { id, epoch, progress } => self.progress(id, epoch, progress),
            Mutation::PutQueue(queue) => {
                let old = self.hot.set_queue(&queue.name, Some(queue.clone()));
                self.undo.push(Undo::Queue(queue.name.clone(), old));
                self.queues.push(queue);
            }
            Mutation::PutSession(row) => {
                let old = self.hot.sessions.set_row(row.id, Some(row));
                self.undo.push(Undo::Session(row.id, old));
            }
            Mutation::DropSession(id) => {
                let (row, notes) = self.hot.sessions.drop_row(id);
                // Undone in the other order: there are notes only beside a row.
                self.undo.push(Undo::Notes(id, notes));
                self.undo.push(Undo::Session(id, row));
            }
            Mutation::PutWorkerInfo { session, worker_info: announcement } => {
                self.note(session, |notes| notes.announcement = announcement);
            }
            Mutation::DrainSession(id) => self.note(id, |notes| notes.is_drained = true),
            Mutation::PutIdempotencyRecord(memory) => self.remember(memory),
        }
    }

    fn note(&mut self, session: SessionId, note: impl FnOnce(&mut Notes)) {
        let old = self.hot.sessions.note(session, note);
        self.undo.extend(old.map(|old| Undo::Notes(session, old)));
    }

    /// Puts the job after a change, with the event of it.
    pub(crate) fn put(&mut self, job: Arc<Job>, spec: Option<Bytes>, end: Option<AttemptEnd>) {
        let job = epoch::raised(job, self.lease_floor);
        if job.is_deleted() && !self.hot.jobs.contains_key(&job.id) {
            self.forget_key(&job);
        }
        let old = self.hot.set(job.id, Some(job.clone()));
        let was = old.as_ref().map(|old| old.status.state);
        if job.status.state == State::Ready && was != Some(State::Ready) {
            self.note_ready(&job);
        }
        // The ledger hands only live jobs to a restart, so one that comes back from its end
        // brings its spec along again. So does one that is deleted: see `JobEvent::new`.
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

    /// Of a job that is not there any more, but for its key.
    fn forget_key(&mut self, job: &Job) {
        let Some(key) = unique_key(&job.spec) else { return };
        if let Some(until) = self.hot.keys.forget(&key, job.id) {
            self.undo.push(Undo::Key(key, job.id, until));
        }
    }

    fn note_ready(&mut self, job: &Job) {
        let pair = (job.spec.queue.clone(), job.spec.kind.clone());
        self.ready.insert(pair);
    }

    fn progress(&mut self, id: JobId, epoch: u64, progress: Progress) {
        let Some(job) = self.hot.jobs.get(&id) else { return };
        let status = &job.status;
        let is_live = status.lease.is_some_and(|lease| lease.id.epoch == epoch);
        let is_newer = status.progress.as_ref().is_none_or(|kept| kept.seq < progress.seq);
        if is_live && is_newer {
            let mut job = Job::clone(job);
            job.status.progress = Some(Box::new(progress));
            self.put(Arc::new(job), None, None);
        }
    }

    /// Makes at most `limit` due jobs ready.
    pub(crate) fn promote(&mut self, limit: usize) {
        for _ in 0..limit {
            let Some((at, id)) = self.hot.due.first().copied() else { return };
            if at > self.now {
                return;
            }
            let job = self.hot.jobs.get(&id).expect("an index holds only jobs that are there");
            let job = promote(job, self.now).expect("the due index holds scheduled jobs");
            self.put(Arc::new(job), None, None);
        }
    }
}
