//! A state reference implementation of [`Store`] for tests. It scans all jobs for every query.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use sentinel_domain::{
    AttemptEnd, Job, JobId, Millis, Name, Queue, QueueMode, SessionId, State, UniqueKey, held_key,
    limits, next_deadline, promote, ready_score, start,
};
use tokio::sync::watch;

use crate::conformance::ReopenState;
use crate::{
    Claim, CommitRequest, CommitResult, Conflict, Depth, DueWork, IdempotencyRecord, JobEvent,
    JournalEntry, JournalPage, Mutation, Position, Precondition, ServerId, SessionInfo, SessionRow,
    Store, StoreError, StoreFuture, Transaction, TransactionResult, TrimRequest, TrimResult,
    Unblocked, codec,
};

const EPOCH: u64 = 1;

/// The reference store, to which the property tests compare other stores.
pub struct Oracle {
    state: Mutex<StoreState>,
    head: watch::Sender<Position>,
}

#[derive(Clone, Default)]
struct StoreState {
    /// While a commit is in progress, its last entry is incomplete.
    journal: Vec<Arc<JournalEntry>>,
    /// Each job, with the sequence number of the entry that last changed it.
    jobs: BTreeMap<JobId, (Arc<Job>, u64)>,
    queues: BTreeMap<Name, Queue>,
    sessions: BTreeMap<SessionId, SessionRow>,
    worker_infos: BTreeMap<SessionId, Bytes>,
    drained: BTreeSet<SessionId>,
    /// Unique keys that outlive their evicted jobs.
    keys: Vec<(UniqueKey, JobId, Millis)>,
    /// The last request number and result of each writer.
    last_results: Vec<(ServerId, u64, CommitResult)>,
    became_ready: BTreeSet<(Name, Name)>,
}

impl Default for Oracle {
    fn default() -> Self {
        let head = watch::Sender::new(Position { epoch: EPOCH, seq: 0 });
        Self { state: Mutex::default(), head }
    }
}

impl Oracle {
    /// Returns an independent copy.
    pub fn fork(&self) -> Self {
        let head = watch::Sender::new(*self.head.borrow());
        Self { state: Mutex::new(self.state().clone()), head }
    }

    fn state(&self) -> MutexGuard<'_, StoreState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the unique keys that outlive their evicted jobs.
    pub fn kept_keys(&self) -> Vec<(UniqueKey, JobId, Millis)> {
        self.state().keys.clone()
    }

    /// Returns the newest offset of each producer.
    pub fn producers(&self) -> Vec<IdempotencyRecord> {
        let state = self.state();
        let records = state.journal.iter().flat_map(|entry| &entry.idempotency_records);
        let offsets = records.filter(|record| record.is_producer_offset());
        let last: BTreeMap<_, _> = offsets.map(|record| (&record.id, record)).collect();
        last.into_values().cloned().collect()
    }

    /// Resets the store to its state after a reopen.
    pub fn reopen(&self, from: &ReopenState) {
        let mut state = self.state();
        let entries = std::mem::take(&mut state.journal);
        let checkpoint = from.checkpoint.seq;
        *state = StoreState::default();
        state.keys = from.keys.clone();
        state.queues.extend(from.queues.iter().map(|q| (q.name.clone(), q.clone())));
        let known = from.jobs.iter().map(|j| (j.id, (Arc::new(j.clone()), checkpoint)));
        state.jobs.extend(known);
        for entry in entries.iter().filter(|entry| entry.position.seq > checkpoint) {
            state.queues.extend(entry.queues.iter().map(|q| (q.name.clone(), q.clone())));
            for event in &entry.jobs {
                let spec = event.spec.clone().expect("the oracle keeps every spec");
                let job = Job { id: event.id, spec, status: event.status.clone() };
                if job.is_deleted() {
                    state.keys.retain(|(_, id, _)| *id != job.id);
                }
                state.jobs.insert(job.id, (Arc::new(job), entry.position.seq));
            }
        }
        state.journal = entries;
        let expires_at = from.sessions_expire_at;
        let row = |id| SessionRow { id, owner: ServerId(0), expires_at };
        let leases = state.jobs.values().filter_map(|(job, _)| job.status.lease);
        state.sessions = leases.map(|lease| (lease.id.session, row(lease.id.session))).collect();
    }
}

impl StoreState {
    fn all_jobs(&self) -> impl Iterator<Item = &Arc<Job>> {
        self.jobs.values().map(|(job, _)| job)
    }

    fn job(&self, id: &JobId) -> Option<&Arc<Job>> {
        self.jobs.get(id).map(|(job, _)| job)
    }

    fn entry(&mut self) -> &mut JournalEntry {
        Arc::make_mut(self.journal.last_mut().expect("a commit builds an entry"))
    }

    fn holder(&self, key: &UniqueKey, now: Millis) -> Option<JobId> {
        let of_jobs = self.all_jobs().filter_map(|job| Some((held_key(job)?, job.id)));
        let of_jobs = of_jobs.map(|((held, until), id)| (held, until.unwrap_or(Millis::MAX), id));
        let kept = self.keys.iter().map(|(held, id, until)| (held.clone(), *until, *id));
        of_jobs
            .chain(kept)
            .filter(|(held, until, _)| held == key && *until > now)
            .max_by_key(|(_, until, _)| *until)
            .map(|(_, _, id)| id)
    }

    fn commit(&mut self, request: CommitRequest) -> Result<CommitResult, StoreError> {
        let last = self.last_results.iter().find(|(writer, ..)| *writer == request.writer);
        if let Some((_, number, result)) = last
            && *number >= request.number
        {
            let error = || StoreError::Unavailable("the request number is too old".into());
            return (*number == request.number).then(|| result.clone()).ok_or_else(error);
        }
        self.became_ready.clear();
        let position = Position { epoch: EPOCH, seq: self.journal.len() as u64 + 1 };
        let (jobs, queues, idempotency_records) = Default::default();
        let (writer, number, now) = (request.writer, request.number, request.now);
        let entry = JournalEntry { position, at: now, jobs, queues, idempotency_records };
        self.journal.push(Arc::new(entry));
        let results = request.transactions.into_iter().map(|t| self.apply(t, now)).collect();
        for _ in 0..request.promote_limit {
            let due = self.all_jobs().filter(|j| j.status.state == State::Scheduled);
            let first = due.min_by_key(|j| (j.status.ready_at, j.id));
            let Some(job) = first.and_then(|job| promote(job, now)) else { break };
            self.put(Arc::new(job), None, None);
        }
        let claimed = request.claims.iter().map(|c| self.claim(c, writer, now)).collect();
        let entry = self.entry();
        let is_empty = entry.jobs.is_empty() && entry.queues.is_empty();
        if is_empty && entry.idempotency_records.is_empty() {
            self.journal.pop();
        }
        let ready = self.all_jobs().filter(|job| job.status.state == State::Ready);
        let still = ready.map(|j| (j.spec.queue.clone(), j.spec.kind.clone())).collect();
        let result = CommitResult {
            position: Position { epoch: EPOCH, seq: self.journal.len() as u64 },
            results,
            claimed,
            ready: self.became_ready.intersection(&still).cloned().collect(),
            next_due_at: self.next_due_at(now),
        };
        self.last_results.retain(|(other, ..)| *other != writer);
        self.last_results.push((writer, number, result.clone()));
        Ok(result)
    }

    fn next_due_at(&self, now: Millis) -> Option<Millis> {
        let found = self.due_work(now, usize::MAX);
        let is_now = !found.lost.is_empty() || !found.unblocked.is_empty();
        let due_at = |j: &Job| (j.status.state == State::Scheduled).then_some(j.status.ready_at);
        let jobs = self.all_jobs().flat_map(|job| [due_at(job), next_deadline(job)]).flatten();
        let sessions = self.sessions.values().map(|row| row.expires_at);
        let times = jobs.chain(sessions).chain(is_now.then_some(now));
        times.min().map(|at| at.max(now))
    }

    fn apply(&mut self, transaction: Transaction, now: Millis) -> TransactionResult {
        if let Some(record) = &transaction.idempotency {
            match self.idempotency_record(&record.id, now) {
                Some(known) if known.content_hash == record.content_hash => {
                    return TransactionResult::Replayed(known.response.clone());
                }
                Some(_) => return TransactionResult::IdempotencyKeyReused,
                None => {}
            }
        }
        let violated = transaction.preconditions.iter().find_map(|p| self.violated(p, now));
        if let Some(conflict) = violated.or_else(|| self.too_many_kinds(&transaction)) {
            return TransactionResult::Conflict(conflict);
        }
        for mutation in transaction.mutations {
            self.mutate(mutation);
        }
        self.entry().idempotency_records.extend(transaction.idempotency);
        TransactionResult::Committed
    }

    fn too_many_kinds(&self, transaction: &Transaction) -> Option<Conflict> {
        let waiting = self.all_jobs().filter(|job| job.status.state.is_waiting());
        let mut kinds: BTreeSet<_> = waiting.map(|job| (&job.spec.queue, &job.spec.kind)).collect();
        let mut over = transaction.mutations.iter().filter_map(|mutation| {
            let Mutation::Create { job, .. } = mutation else { return None };
            let (queue, kind) = (&job.spec.queue, &job.spec.kind);
            let is_new = job.status.state.is_waiting() && kinds.insert((queue, kind));
            let of_queue = kinds.iter().filter(|(other, _)| *other == queue).count() as u64;
            (is_new && of_queue > limits::KINDS_PER_QUEUE).then_some(&job.spec)
        });
        let first = over.next()?;
        let kinds = std::iter::once(first).chain(over.filter(|spec| spec.queue == first.queue));
        let kinds = kinds.map(|spec| spec.kind.clone()).collect();
        Some(Conflict::TooManyKinds { queue: first.queue.clone(), kinds })
    }

    fn violated(&self, precondition: &Precondition, now: Millis) -> Option<Conflict> {
        match precondition {
            Precondition::JobVersion { id, version } => {
                let current = self.job(id).cloned();
                let found = current.as_ref().map(|job| job.status.version);
                (found != Some(*version)).then_some(Conflict::Job { id: *id, current })
            }
            Precondition::JobAbsent { id } => {
                self.job(id).map(|j| Conflict::Job { id: *id, current: Some(j.clone()) })
            }
            Precondition::KeyFree { key } => self
                .holder(key, now)
                .map(|holder| Conflict::Key { key: key.clone(), holder: Some(holder) }),
            Precondition::KeyHeldBy { key, id } => {
                let holder = self.holder(key, now);
                (holder != Some(*id)).then(|| Conflict::Key { key: key.clone(), holder })
            }
            Precondition::SessionOwner { session, owner } => {
                self.unless_row(*session, |r| r.owner == *owner)
            }
            Precondition::SessionRow(known) => self.unless_row(known.id, |row| row == known),
            Precondition::QueueAbsent { name } => {
                self.queues.get(name).map(|queue| Conflict::Queue(Some(queue.clone())))
            }
            Precondition::QueueIs(known) => {
                let current = self.queues.get(&known.name);
                (current != Some(known)).then(|| Conflict::Queue(current.cloned()))
            }
            Precondition::IdempotencyRecord { id, response } => {
                let current = self.idempotency_record(id, now).map(|record| &record.response);
                (current != response.as_ref()).then(|| Conflict::IdempotencyRecord {
                    id: id.clone(),
                    response: current.cloned(),
                })
            }
        }
    }

    /// Returns the newest record of an id, unless it has expired.
    fn idempotency_record(&self, id: &str, now: Millis) -> Option<&IdempotencyRecord> {
        let mut newest =
            self.journal.iter().rev().flat_map(|entry| entry.idempotency_records.iter().rev());
        newest.find(|record| &*record.id == id).filter(|record| record.expires_at > now)
    }

    fn unless_row(&self, id: SessionId, is: impl Fn(&SessionRow) -> bool) -> Option<Conflict> {
        let row = self.sessions.get(&id);
        let conflict = Conflict::Session { session: id, owner: row.map(|row| row.owner) };
        (!row.is_some_and(is)).then_some(conflict)
    }

    fn mutate(&mut self, mutation: Mutation) {
        match mutation {
            Mutation::Create { job, spec } | Mutation::ReplaceSpec { job, spec } => {
                self.put(job, Some(spec), None);
            }
            Mutation::Update { job, attempt_end } => self.put(job, None, attempt_end),
            Mutation::Progress { id, epoch, progress } => {
                let Some(job) = self.job(&id).map(|job| Job::clone(job)) else { return };
                let mut status = job.status;
                let is_newer = status.progress.as_ref().is_none_or(|p| p.seq < progress.seq);
                if is_newer && status.lease.is_some_and(|lease| lease.id.epoch == epoch) {
                    status.progress = Some(Box::new(progress));
                    self.put(Arc::new(Job { status, ..job }), None, None);
                }
            }
            Mutation::PutQueue(queue) => {
                self.queues.insert(queue.name.clone(), queue.clone());
                self.entry().queues.push(queue);
            }
            Mutation::PutSession(row) => drop(self.sessions.insert(row.id, row)),
            Mutation::DropSession(id) => {
                self.sessions.remove(&id);
                self.worker_infos.remove(&id);
                self.drained.remove(&id);
            }
            Mutation::PutWorkerInfo { session, worker_info } => {
                if self.sessions.contains_key(&session) {
                    self.worker_infos.insert(session, worker_info);
                }
            }
            Mutation::DrainSession(id) => {
                if self.sessions.contains_key(&id) {
                    self.drained.insert(id);
                }
            }
            Mutation::PutIdempotencyRecord(record) => self.entry().idempotency_records.push(record),
        }
    }

    fn put(&mut self, job: Arc<Job>, spec: Option<Bytes>, attempt_end: Option<AttemptEnd>) {
        let old = self.jobs.insert(job.id, (job.clone(), self.journal.len() as u64));
        let was = old.map(|(old, _)| old.status.state);
        if job.status.state == State::Ready && was != Some(State::Ready) {
            self.became_ready.insert((job.spec.queue.clone(), job.spec.kind.clone()));
        }
        let is_back = was.is_none_or(State::is_terminal) && !job.status.state.is_terminal();
        if job.is_deleted() {
            self.keys.retain(|(_, id, _)| *id != job.id);
        }
        let is_back = is_back || job.is_deleted();
        let new =
            spec.or_else(|| (is_back || was.is_none()).then(|| codec::encode_spec(&job.spec)));
        let (status, spec) = (job.status.clone(), Some(job.spec.clone()));
        self.entry().jobs.push(JobEvent {
            id: job.id,
            status,
            spec,
            encoded_spec: new,
            attempt_end,
        });
    }

    fn claim(&mut self, claim: &Claim, by: ServerId, now: Millis) -> Vec<Arc<Job>> {
        let (mut taken, mut bytes) = (Vec::new(), 0);
        if self.sessions.get(&claim.session).is_none_or(|s| s.owner != by || s.expires_at <= now) {
            return taken;
        }
        if self.drained.contains(&claim.session) {
            return taken;
        }
        while taken.len() < claim.max_jobs && bytes < claim.max_bytes {
            let score = |job: &Job| {
                let default = || Queue::with_defaults(job.spec.queue.clone(), 0);
                let queue = self.queues.get(&job.spec.queue).cloned().unwrap_or_else(default);
                (ready_score(&queue, job.spec.priority, job.status.ready_at), job.id)
            };
            let wanted = self.all_jobs().filter(|j| {
                claim.queues.contains(&j.spec.queue)
                    && claim.kinds.contains(&j.spec.kind)
                    && self.queues.get(&j.spec.queue).is_none_or(|q| q.mode != QueueMode::Paused)
            });
            let startable =
                wanted.filter_map(|j| start(j, claim.session, &claim.worker, now).map(|s| (j, s)));
            let Some((_, job)) = startable.min_by_key(|(ready, _)| score(ready)) else { break };
            let job = Arc::new(job);
            bytes += job.spec.payload.len() as u64;
            self.put(job.clone(), None, None);
            taken.push(job);
        }
        taken
    }

    fn due_work(&self, now: Millis, limit: usize) -> DueWork {
        let is_lost = |id: &SessionId| self.sessions.get(id).is_none_or(|r| r.expires_at <= now);
        let lease_of = |job: &Arc<Job>| job.status.lease.map(|lease| lease.id.session);
        let mut found = DueWork::default();
        found
            .lost
            .extend(self.all_jobs().filter(|j| lease_of(j).is_some_and(|s| is_lost(&s))).cloned());
        let has_jobs = |id: &SessionId| self.all_jobs().any(|job| lease_of(job) == Some(*id));
        let idle = self.sessions.values().filter(|row| is_lost(&row.id) && !has_jobs(&row.id));
        found.expired_sessions.extend(idle.take(limit));
        for job in self.all_jobs() {
            for parent in &job.status.waiting_for {
                let outcome = self.job(parent).map(|p| p.status.state).filter(|s| s.is_terminal());
                let unblocked = |outcome| Unblocked { job: job.clone(), parent: *parent, outcome };
                found.unblocked.extend(outcome.map(unblocked));
            }
        }
        found.past_deadline.extend(
            self.all_jobs().filter(|j| next_deadline(j).is_some_and(|a| a <= now)).cloned(),
        );
        found.lost.truncate(limit);
        found.unblocked.truncate(limit - found.lost.len());
        found.past_deadline.truncate(limit - found.lost.len() - found.unblocked.len());
        found
    }

    fn trim(&mut self, trim: &TrimRequest) -> TrimResult {
        let is_awaited =
            |id: &JobId| self.all_jobs().any(|job| job.status.waiting_for.contains(id));
        let evictable: BTreeSet<_> = self
            .jobs
            .values()
            .filter_map(|(job, seq)| {
                let at = job.status.finished_at?;
                let can_go = *seq <= trim.projected.seq && at < trim.terminal_before;
                (can_go && !is_awaited(&job.id)).then_some((at, job.id))
            })
            .collect();
        let evictable: Vec<_> = evictable.into_iter().take(trim.limit).collect();
        for (_, id) in &evictable {
            if let Some((job, _)) = self.jobs.remove(id)
                && let Some((key, Some(until))) = held_key(&job)
            {
                self.keys.push((key, *id, until));
            }
        }
        TrimResult {
            evicted: evictable.len(),
            more: !evictable.is_empty() && evictable.len() == trim.limit,
        }
    }
}

fn ready<T: Send + 'static>(value: T) -> StoreFuture<'static, T> {
    Box::pin(async { Ok(value) })
}

impl Store for Oracle {
    fn commit(&self, request: CommitRequest) -> StoreFuture<'_, CommitResult> {
        let outcome = self.state().commit(request);
        if let Ok(outcome) = &outcome {
            self.head.send_replace(outcome.position);
        }
        Box::pin(async { outcome })
    }

    fn read(&self, ids: Vec<JobId>) -> StoreFuture<'_, Vec<Option<Arc<Job>>>> {
        let state = self.state();
        ready(ids.iter().map(|id| state.job(id).cloned()).collect())
    }

    fn holders(&self, keys: Vec<UniqueKey>, now: Millis) -> StoreFuture<'_, Vec<Option<JobId>>> {
        let state = self.state();
        ready(keys.iter().map(|key| state.holder(key, now)).collect())
    }

    fn queues(&self) -> StoreFuture<'_, Vec<Queue>> {
        ready(self.state().queues.values().cloned().collect())
    }

    fn depths(&self) -> StoreFuture<'_, Vec<Depth>> {
        let mut counts = BTreeMap::new();
        for job in self.state().all_jobs() {
            *counts.entry((job.spec.queue.clone(), job.status.state)).or_default() += 1;
        }
        let depth = |((queue, state), count)| Depth { queue, state, count };
        ready(counts.into_iter().map(depth).collect())
    }

    fn oldest_ready(&self, queues: Vec<Name>) -> StoreFuture<'_, Vec<Option<Millis>>> {
        let state = self.state();
        let oldest = |queue: &Name| {
            let is_its = |j: &&Arc<Job>| j.spec.queue == *queue && j.status.state == State::Ready;
            state.all_jobs().filter(is_its).map(|job| job.status.ready_at).min()
        };
        ready(queues.iter().map(oldest).collect())
    }

    fn session_jobs(&self, session: SessionId) -> StoreFuture<'_, Vec<Arc<Job>>> {
        let is_its = |j: &&Arc<Job>| j.status.lease.is_some_and(|l| l.id.session == session);
        ready(self.state().all_jobs().filter(is_its).cloned().collect())
    }

    fn sessions(&self) -> StoreFuture<'_, Vec<SessionRow>> {
        ready(self.state().sessions.values().copied().collect())
    }

    fn session_infos(&self, sessions: Vec<SessionId>) -> StoreFuture<'_, Vec<Option<SessionInfo>>> {
        let state = self.state();
        let info = |id: SessionId| {
            let its = |job: &&Arc<Job>| job.status.lease.is_some_and(|l| l.id.session == id);
            state.sessions.get(&id).map(|row| SessionInfo {
                row: *row,
                worker_info: state.worker_infos.get(&id).cloned().unwrap_or_default(),
                is_drained: state.drained.contains(&id),
                running: state.all_jobs().filter(its).count() as u64,
            })
        };
        ready(sessions.into_iter().map(info).collect())
    }

    fn extend_sessions(&self, until: Millis) -> StoreFuture<'_, ()> {
        for row in self.state().sessions.values_mut() {
            row.expires_at = row.expires_at.max(until);
        }
        ready(())
    }

    fn due_work(&self, now: Millis, limit: usize) -> StoreFuture<'_, DueWork> {
        ready(self.state().due_work(now, limit))
    }

    fn read_journal(&self, after: Position, limit: usize) -> StoreFuture<'_, JournalPage> {
        let state = self.state();
        let is_known = after.epoch == EPOCH && after.seq <= state.journal.len() as u64;
        if !is_known && after != Position::default() {
            return ready(JournalPage::OtherEpoch);
        }
        let rest = state.journal.iter().skip(after.seq as usize).take(limit.max(1));
        ready(JournalPage::Entries(rest.cloned().collect()))
    }

    fn head(&self) -> watch::Receiver<Position> {
        self.head.subscribe()
    }

    fn trim(&self, trim: TrimRequest) -> StoreFuture<'_, TrimResult> {
        ready(self.state().trim(&trim))
    }
}
