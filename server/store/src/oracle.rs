//! The port as plainly as it can be said: one list, scanned. For comparison in tests only.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use sentinel_domain::{
    AttemptEnd, Job, JobId, Millis, Name, Queue, QueueMode, SessionId, State, UniqueKey, held_key,
    limits, next_deadline, promote, ready_score, start,
};
use tokio::sync::watch;

use crate::conformance::Restart;
use crate::{
    Claim, CommitRequest, CommitResult, Conflict, Depth, DueWork, Entry, IdempotencyRecord,
    JobEvent, JournalPage, Mutation, Position, Precondition, ServerId, SessionInfo, SessionRow,
    Store, StoreError, StoreFuture, Transaction, TransactionResult, Trim, Trimmed, Unblocked,
    codec,
};

const EPOCH: u64 = 1;

/// The naive store.
pub struct Oracle {
    naive: Mutex<Naive>,
    head: watch::Sender<Position>,
}

#[derive(Clone, Default)]
struct Naive {
    /// The last one is in the making during a call.
    entries: Vec<Arc<Entry>>,
    /// With the entry that changed it last.
    jobs: BTreeMap<JobId, (Arc<Job>, u64)>,
    queues: BTreeMap<Name, Queue>,
    sessions: BTreeMap<SessionId, SessionRow>,
    /// What workers said of themselves.
    cards: BTreeMap<SessionId, Bytes>,
    drained: BTreeSet<SessionId>,
    /// Keys that outlive their evicted jobs.
    keys: Vec<(UniqueKey, JobId, Millis)>,
    replies: Vec<(ServerId, u64, CommitResult)>,
    became_ready: BTreeSet<(Name, Name)>,
}

impl Default for Oracle {
    fn default() -> Self {
        let head = watch::Sender::new(Position { epoch: EPOCH, seq: 0 });
        Self { naive: Mutex::default(), head }
    }
}

impl Oracle {
    /// The same again: two stores from here on.
    pub fn fork(&self) -> Self {
        let head = watch::Sender::new(*self.head.borrow());
        Self { naive: Mutex::new(self.naive().clone()), head }
    }

    fn naive(&self) -> MutexGuard<'_, Naive> {
        self.naive.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Keys that outlive their evicted jobs.
    pub fn kept_keys(&self) -> Vec<(UniqueKey, JobId, Millis)> {
        self.naive().keys.clone()
    }

    /// Where producers stand, each as it was said last.
    pub fn producers(&self) -> Vec<IdempotencyRecord> {
        let naive = self.naive();
        let memories = naive.entries.iter().flat_map(|entry| &entry.requests);
        let of_producers = memories.filter(|memory| memory.is_of_producer());
        let last: BTreeMap<_, _> = of_producers.map(|memory| (&memory.id, memory)).collect();
        last.into_values().cloned().collect()
    }

    /// What a store is after it was opened again.
    pub fn restart(&self, restart: &Restart) {
        let mut naive = self.naive();
        let entries = std::mem::take(&mut naive.entries);
        let checkpoint = restart.checkpoint.seq;
        *naive = Naive::default();
        naive.keys = restart.keys.clone();
        naive.queues.extend(restart.queues.iter().map(|q| (q.name.clone(), q.clone())));
        let known = restart.jobs.iter().map(|j| (j.id, (Arc::new(j.clone()), checkpoint)));
        naive.jobs.extend(known);
        for entry in entries.iter().filter(|entry| entry.position.seq > checkpoint) {
            naive.queues.extend(entry.queues.iter().map(|q| (q.name.clone(), q.clone())));
            for event in &entry.jobs {
                let spec = event.spec.clone().expect("the oracle keeps it at hand");
                let job = Job { id: event.id, spec, status: event.status.clone() };
                if job.is_deleted() {
                    naive.keys.retain(|(_, id, _)| *id != job.id);
                }
                naive.jobs.insert(job.id, (Arc::new(job), entry.position.seq));
            }
        }
        naive.entries = entries;
        let expires_at = restart.sessions_expire_at;
        let row = |id| SessionRow { id, owner: ServerId(0), expires_at };
        let leases = naive.jobs.values().filter_map(|(job, _)| job.status.lease);
        naive.sessions = leases.map(|lease| (lease.session, row(lease.session))).collect();
    }
}

impl Naive {
    fn all(&self) -> impl Iterator<Item = &Arc<Job>> {
        self.jobs.values().map(|(job, _)| job)
    }

    fn job(&self, id: &JobId) -> Option<&Arc<Job>> {
        self.jobs.get(id).map(|(job, _)| job)
    }

    fn entry(&mut self) -> &mut Entry {
        Arc::make_mut(self.entries.last_mut().expect("one is in the making"))
    }

    fn holder(&self, key: &UniqueKey, now: Millis) -> Option<JobId> {
        let of_jobs = self.all().filter_map(|job| Some((held_key(job)?, job.id)));
        let of_jobs = of_jobs.map(|((held, until), id)| (held, until.unwrap_or(Millis::MAX), id));
        let kept = self.keys.iter().map(|(held, id, until)| (held.clone(), *until, *id));
        of_jobs
            .chain(kept)
            .filter(|(held, until, _)| held == key && *until > now)
            .max_by_key(|(_, until, _)| *until)
            .map(|(_, _, id)| id)
    }

    fn commit(&mut self, call: CommitRequest) -> Result<CommitResult, StoreError> {
        if let Some((_, number, outcome)) = self.replies.iter().find(|(w, ..)| *w == call.writer)
            && *number >= call.number
        {
            let error = || StoreError::Unavailable("an old number".into());
            return (*number == call.number).then(|| outcome.clone()).ok_or_else(error);
        }
        self.became_ready.clear();
        let position = Position { epoch: EPOCH, seq: self.entries.len() as u64 + 1 };
        let (jobs, queues, requests) = Default::default();
        self.entries.push(Arc::new(Entry { position, at: call.now, jobs, queues, requests }));
        let verdicts = call.groups.into_iter().map(|g| self.group(g, call.now)).collect();
        for _ in 0..call.promote {
            let due = self.all().filter(|j| j.status.state == State::Scheduled);
            let first = due.min_by_key(|j| (j.status.ready_at, j.id));
            let Some(job) = first.and_then(|job| promote(job, call.now)) else { break };
            self.put(Arc::new(job), None, None);
        }
        let claimed = call.claims.iter().map(|c| self.claim(c, call.writer, call.now)).collect();
        let made = self.entry();
        if made.jobs.is_empty() && made.queues.is_empty() && made.requests.is_empty() {
            self.entries.pop();
        }
        let ready = self.all().filter(|job| job.status.state == State::Ready);
        let still = ready.map(|j| (j.spec.queue.clone(), j.spec.kind.clone())).collect();
        let outcome = CommitResult {
            position: Position { epoch: EPOCH, seq: self.entries.len() as u64 },
            verdicts,
            claimed,
            ready: self.became_ready.intersection(&still).cloned().collect(),
            wake_at: self.wake_at(call.now),
        };
        self.replies.retain(|(writer, ..)| *writer != call.writer);
        self.replies.push((call.writer, call.number, outcome.clone()));
        Ok(outcome)
    }

    fn wake_at(&self, now: Millis) -> Option<Millis> {
        let found = self.due_work(now, usize::MAX);
        let is_now = !found.lost.is_empty() || !found.unblocked.is_empty();
        let due_at = |j: &Job| (j.status.state == State::Scheduled).then_some(j.status.ready_at);
        let jobs = self.all().flat_map(|job| [due_at(job), next_deadline(job)]).flatten();
        let sessions = self.sessions.values().map(|row| row.expires_at);
        let times = jobs.chain(sessions).chain(is_now.then_some(now));
        times.min().map(|at| at.max(now))
    }

    fn group(&mut self, group: Transaction, now: Millis) -> TransactionResult {
        if let Some(request) = &group.request {
            match self.remembered(&request.id, now) {
                Some(known) if known.content_hash == request.content_hash => {
                    return TransactionResult::Repeated(known.answer.clone());
                }
                Some(_) => return TransactionResult::RequestReused,
                None => {}
            }
        }
        let broken = group.guards.iter().find_map(|guard| self.broken(guard, now));
        if let Some(conflict) = broken.or_else(|| self.kinds_too_many(&group)) {
            return TransactionResult::Conflict(conflict);
        }
        for change in group.changes {
            self.change(change);
        }
        self.entry().requests.extend(group.request);
        TransactionResult::Committed
    }

    fn kinds_too_many(&self, group: &Transaction) -> Option<Conflict> {
        let waiting = self.all().filter(|job| job.status.state.is_waiting());
        let mut kinds: BTreeSet<_> = waiting.map(|job| (&job.spec.queue, &job.spec.kind)).collect();
        let mut over = group.changes.iter().filter_map(|change| {
            let Mutation::Create { job, .. } = change else { return None };
            let (queue, kind) = (&job.spec.queue, &job.spec.kind);
            let is_new = job.status.state.is_waiting() && kinds.insert((queue, kind));
            let of_queue = kinds.iter().filter(|(other, _)| *other == queue).count() as u64;
            (is_new && of_queue > limits::CLASSES_PER_QUEUE).then_some(&job.spec)
        });
        let first = over.next()?;
        let kinds = std::iter::once(first).chain(over.filter(|spec| spec.queue == first.queue));
        let kinds = kinds.map(|spec| spec.kind.clone()).collect();
        Some(Conflict::TooManyKinds { queue: first.queue.clone(), kinds })
    }

    fn broken(&self, guard: &Precondition, now: Millis) -> Option<Conflict> {
        match guard {
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
            Precondition::Remembered { id, answer } => {
                let there = self.remembered(id, now).map(|memory| &memory.answer);
                (there != answer.as_ref())
                    .then(|| Conflict::Remembered { id: id.clone(), answer: there.cloned() })
            }
        }
    }

    /// The last that was remembered under the id, if its time is not over.
    fn remembered(&self, id: &str, now: Millis) -> Option<&IdempotencyRecord> {
        let mut newest = self.entries.iter().rev().flat_map(|entry| entry.requests.iter().rev());
        newest.find(|memory| &*memory.id == id).filter(|memory| memory.until > now)
    }

    fn unless_row(&self, id: SessionId, is: impl Fn(&SessionRow) -> bool) -> Option<Conflict> {
        let row = self.sessions.get(&id);
        let conflict = Conflict::Session { session: id, owner: row.map(|row| row.owner) };
        (!row.is_some_and(is)).then_some(conflict)
    }

    fn change(&mut self, change: Mutation) {
        match change {
            Mutation::Create { job, spec } | Mutation::ReplaceSpec { job, spec } => {
                self.put(job, Some(spec), None);
            }
            Mutation::Update { job, end } => self.put(job, None, end),
            Mutation::Progress { id, epoch, progress } => {
                let Some(job) = self.job(&id).map(|job| Job::clone(job)) else { return };
                let mut status = job.status;
                let is_newer = status.progress.as_ref().is_none_or(|p| p.seq < progress.seq);
                if is_newer && status.lease.is_some_and(|lease| lease.epoch == epoch) {
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
                self.cards.remove(&id);
                self.drained.remove(&id);
            }
            Mutation::PutWorkerInfo { session, announcement } => {
                if self.sessions.contains_key(&session) {
                    self.cards.insert(session, announcement);
                }
            }
            Mutation::DrainSession(id) => {
                if self.sessions.contains_key(&id) {
                    self.drained.insert(id);
                }
            }
            Mutation::Remember(memory) => self.entry().requests.push(memory),
        }
    }

    fn put(&mut self, job: Arc<Job>, spec: Option<Bytes>, end: Option<AttemptEnd>) {
        let old = self.jobs.insert(job.id, (job.clone(), self.entries.len() as u64));
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
        self.entry().jobs.push(JobEvent { id: job.id, status, spec, new, end });
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
            let wanted = self.all().filter(|j| {
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
        let lease_of = |job: &Arc<Job>| job.status.lease.map(|lease| lease.session);
        let mut found = DueWork::default();
        found.lost.extend(self.all().filter(|j| lease_of(j).is_some_and(|s| is_lost(&s))).cloned());
        let has_jobs = |id: &SessionId| self.all().any(|job| lease_of(job) == Some(*id));
        let gone = self.sessions.values().filter(|row| is_lost(&row.id) && !has_jobs(&row.id));
        found.expired.extend(gone.take(limit));
        for job in self.all() {
            for parent in &job.status.waiting_for {
                let outcome = self.job(parent).map(|p| p.status.state).filter(|s| s.is_terminal());
                let unblocked = |outcome| Unblocked { job: job.clone(), parent: *parent, outcome };
                found.unblocked.extend(outcome.map(unblocked));
            }
        }
        found
            .deadlines
            .extend(self.all().filter(|j| next_deadline(j).is_some_and(|a| a <= now)).cloned());
        found.lost.truncate(limit);
        found.unblocked.truncate(limit - found.lost.len());
        found.deadlines.truncate(limit - found.lost.len() - found.unblocked.len());
        found
    }

    fn trim(&mut self, trim: &Trim) -> Trimmed {
        let is_awaited = |id: &JobId| self.all().any(|job| job.status.waiting_for.contains(id));
        let gone: BTreeSet<_> = self
            .jobs
            .values()
            .filter_map(|(job, seq)| {
                let at = job.status.finished_at?;
                let can_go = *seq <= trim.projected.seq && at < trim.terminal_before;
                (can_go && !is_awaited(&job.id)).then_some((at, job.id))
            })
            .collect();
        let gone: Vec<_> = gone.into_iter().take(trim.limit).collect();
        for (_, id) in &gone {
            if let Some((job, _)) = self.jobs.remove(id)
                && let Some((key, Some(until))) = held_key(&job)
            {
                self.keys.push((key, *id, until));
            }
        }
        Trimmed { finals: gone.len(), more: !gone.is_empty() && gone.len() == trim.limit }
    }
}

fn answer<T: Send + 'static>(value: T) -> StoreFuture<'static, T> {
    Box::pin(async { Ok(value) })
}

impl Store for Oracle {
    fn commit(&self, call: CommitRequest) -> StoreFuture<'_, CommitResult> {
        let outcome = self.naive().commit(call);
        if let Ok(outcome) = &outcome {
            self.head.send_replace(outcome.position);
        }
        Box::pin(async { outcome })
    }

    fn read(&self, ids: Vec<JobId>) -> StoreFuture<'_, Vec<Option<Arc<Job>>>> {
        let naive = self.naive();
        answer(ids.iter().map(|id| naive.job(id).cloned()).collect())
    }

    fn holders(&self, keys: Vec<UniqueKey>, now: Millis) -> StoreFuture<'_, Vec<Option<JobId>>> {
        let naive = self.naive();
        answer(keys.iter().map(|key| naive.holder(key, now)).collect())
    }

    fn queues(&self) -> StoreFuture<'_, Vec<Queue>> {
        answer(self.naive().queues.values().cloned().collect())
    }

    fn depths(&self) -> StoreFuture<'_, Vec<Depth>> {
        let mut counts = BTreeMap::new();
        for job in self.naive().all() {
            *counts.entry((job.spec.queue.clone(), job.status.state)).or_default() += 1;
        }
        let depth = |((queue, state), count)| Depth { queue, state, count };
        answer(counts.into_iter().map(depth).collect())
    }

    fn oldest_ready(&self, queues: Vec<Name>) -> StoreFuture<'_, Vec<Option<Millis>>> {
        let naive = self.naive();
        let oldest = |queue: &Name| {
            let is_its = |j: &&Arc<Job>| j.spec.queue == *queue && j.status.state == State::Ready;
            naive.all().filter(is_its).map(|job| job.status.ready_at).min()
        };
        answer(queues.iter().map(oldest).collect())
    }

    fn session_jobs(&self, session: SessionId) -> StoreFuture<'_, Vec<Arc<Job>>> {
        let is_its = |j: &&Arc<Job>| j.status.lease.is_some_and(|l| l.session == session);
        answer(self.naive().all().filter(is_its).cloned().collect())
    }

    fn sessions(&self) -> StoreFuture<'_, Vec<SessionRow>> {
        answer(self.naive().sessions.values().copied().collect())
    }

    fn cards(&self, sessions: Vec<SessionId>) -> StoreFuture<'_, Vec<Option<SessionInfo>>> {
        let naive = self.naive();
        let card = |id: SessionId| {
            let its = |job: &&Arc<Job>| job.status.lease.is_some_and(|l| l.session == id);
            naive.sessions.get(&id).map(|row| SessionInfo {
                row: *row,
                announcement: naive.cards.get(&id).cloned().unwrap_or_default(),
                is_drained: naive.drained.contains(&id),
                running: naive.all().filter(its).count() as u64,
            })
        };
        answer(sessions.into_iter().map(card).collect())
    }

    fn extend_sessions(&self, until: Millis) -> StoreFuture<'_, ()> {
        for row in self.naive().sessions.values_mut() {
            row.expires_at = row.expires_at.max(until);
        }
        answer(())
    }

    fn due_work(&self, now: Millis, limit: usize) -> StoreFuture<'_, DueWork> {
        answer(self.naive().due_work(now, limit))
    }

    fn tail(&self, after: Position, limit: usize) -> StoreFuture<'_, JournalPage> {
        let naive = self.naive();
        let is_known = after.epoch == EPOCH && after.seq <= naive.entries.len() as u64;
        if !is_known && after != Position::default() {
            return answer(JournalPage::OtherEpoch);
        }
        let rest = naive.entries.iter().skip(after.seq as usize).take(limit.max(1));
        answer(JournalPage::Entries(rest.cloned().collect()))
    }

    fn head(&self) -> watch::Receiver<Position> {
        self.head.subscribe()
    }

    fn trim(&self, trim: Trim) -> StoreFuture<'_, Trimmed> {
        answer(self.naive().trim(&trim))
    }
}
