//! Random requests: what servers send, including requests that are based on stale reads.

use std::sync::Arc;

use bytes::Bytes;
use sentinel_domain::{
    Command, Dependency, Failure, Job, JobError, JobId, LeaseId, Millis, NewJob, Progress, Queue,
    QueueMode, QueueOrder, SessionId, Spec, SpecUpdate, UniqueKey, UniqueMode, deadline_command,
    decide, held_key, initial_state, limits::PAYLOAD_MAX_BYTES, unique_key,
};

use super::PropertyTest;
use crate::conformance::fixture;
use crate::{
    CommitRequest, Mutation, PRODUCER_OFFSET_PREFIX, Precondition, ServerId, SessionRow, Store,
    Transaction,
};

const QUEUES: [&str; 3] = ["aging", "strict", "undeclared"];
const KINDS: [&str; 3] = ["mail", "image", "report"];
const SESSIONS: u128 = 5;

/// Returns all sessions that a run uses.
pub(super) fn sessions() -> impl Iterator<Item = SessionId> {
    (1..=SESSIONS).map(fixture::session)
}

impl PropertyTest {
    /// Returns a request with up to five transactions, and sometimes a promotion and claims.
    pub(super) async fn random_request(&mut self) -> CommitRequest {
        let server = self.rng.below(2) as usize;
        let mut request = self.writers[server].request(self.now);
        let owner = self.writers[server].id();
        for _ in 0..self.rng.below(6) {
            let transaction = match self.rng.below(20) {
                0..8 => self.create().await,
                8..14 => self.command().await,
                14..16 => self.progress().await,
                16..19 => self.session(owner),
                _ => self.queue().await,
            };
            request = request.transaction(transaction);
        }
        if self.rng.one_in(3) {
            request = request.promote(self.rng.below(5) as usize);
            self.reached("promoted");
        }
        for _ in 0..self.rng.below(3) {
            let mut claim = fixture::claim(
                fixture::session(1 + u128::from(self.rng.below(SESSIONS as u64))),
                &QUEUES[..1 + self.rng.below(3) as usize],
                &KINDS[self.rng.below(3) as usize..],
                self.rng.below(5) as usize,
            );
            if self.rng.one_in(4) {
                claim.max_bytes = self.rng.below(40);
            }
            request = request.claim(claim);
        }
        request.build()
    }

    /// Returns the request of a sweeper for all due work.
    pub(super) async fn sweep(&mut self) -> CommitRequest {
        let found = self.oracle.due_work(self.now, 7).await.expect("the oracle answers");
        let mut request = self.writers[0].request(self.now);
        let entropy = self.rng.next_u64() as u32;
        let mut commands: Vec<(Arc<Job>, Command)> = Vec::new();
        for job in found.past_deadline {
            let command = deadline_command(&job, self.now, entropy);
            let command = command.expect("a passed deadline has a command");
            commands.push((job, command));
        }
        for job in found.lost {
            let session = job.status.lease.expect("it runs").id.session;
            commands.push((job, Command::MarkLost { session }));
        }
        for u in found.unblocked {
            let (parent, outcome) = (u.parent, u.outcome);
            commands.push((u.job, Command::Unblock { parent, outcome }));
        }
        for (job, command) in commands {
            let decision = decide(&job, &command, self.now).expect("due work is accepted");
            request = request.transaction(fixture::update(&job, decision));
            self.reached("due");
        }
        for SessionRow { id: session, owner, .. } in found.expired_sessions {
            let preconditions = vec![Precondition::SessionOwner { session, owner }];
            let mutations = vec![Mutation::DropSession(session)];
            let drop = Transaction { preconditions, mutations, ..Transaction::default() };
            request = request.transaction(drop);
        }
        request.build()
    }

    fn new_job(&mut self, parents: &[Arc<Job>]) -> NewJob {
        let mut new = NewJob {
            queue: (*self.rng.choose(&QUEUES).expect("not empty")).into(),
            kind: (*self.rng.choose(&KINDS).expect("not empty")).into(),
            payload: vec![b'x'; self.rng.below(30) as usize].into(),
            priority: self.rng.below(10) as u32,
            max_attempts: self.rng.below(4) as u32,
            depends_on: parents.iter().map(|parent| parent.id.to_string()).collect(),
            ..NewJob::default()
        };
        if self.rng.one_in(4) {
            new.delay_ms = Some(self.rng.below(2_000) as i64);
        }
        if self.rng.one_in(5) {
            new.start_deadline = Some(self.now + 2_001 + self.rng.below(3_000) as Millis);
        }
        if self.rng.one_in(4) {
            new.run_timeout_ms = Some(1 + self.rng.below(3_000) as i64);
        }
        if self.rng.one_in(3) {
            new.unique_key = Some(format!("key-{}", self.rng.below(6)));
            let modes = [UniqueMode::Reject, UniqueMode::ReplacePending];
            new.unique_mode = self.rng.choose(&modes).copied();
            if self.rng.one_in(2) {
                new.unique_ttl_ms = Some(1_000 + self.rng.below(5_000) as i64);
            }
        }
        new.cancel_grace_ms = Some(self.rng.below(2_000) as i64);
        new
    }

    /// Returns the transaction of an enqueue. It sometimes replaces the holder of the unique key.
    async fn create(&mut self) -> Transaction {
        let mut parents: Vec<Arc<Job>> = Vec::new();
        if self.rng.one_in(4) {
            for _ in 0..1 + self.rng.below(2) {
                parents.extend(self.random_job().await);
            }
        }
        let new = self.new_job(&parents);
        let spec = new.into_spec("spec", "test", self.now, 1 << 20).expect("the job is valid");
        parents.sort_by_key(|parent| parent.id);
        parents.dedup_by_key(|parent| parent.id);
        let states: Vec<Dependency> =
            parents.iter().map(|p| Dependency { id: p.id, state: p.status.state }).collect();
        let id = JobId::new(self.now, 0, self.rng.next_u64());
        let job = Arc::new(initial_state(id, Arc::new(spec), &states, self.now));
        let mut transaction = fixture::create(&job);
        self.ids.push(id);
        let versions = parents
            .iter()
            .map(|p| Precondition::JobVersion { id: p.id, version: p.status.version });
        transaction.preconditions.extend(versions);
        if let Some(key) = unique_key(&job.spec) {
            self.require_key(&mut transaction, &key).await;
            self.keys.push(key);
        }
        if self.rng.one_in(6) {
            let id = format!("request-{}", self.rng.below(9));
            let content = [self.rng.below(2) as u8];
            let expires_at = self.now + self.rng.below(3_000) as Millis;
            transaction = fixture::with_idempotency(transaction, &id, &content, expires_at);
        }
        if self.rng.one_in(8) {
            let id = format!("{PRODUCER_OFFSET_PREFIX}{}", self.rng.below(3));
            let [known, next] = [self.rng.below(3) as u8, self.rng.below(3) as u8];
            let response = (known > 0).then(|| Bytes::copy_from_slice(&[known]));
            let is_known = Precondition::IdempotencyRecord { id: id.clone().into(), response };
            transaction.preconditions.push(is_known);
            let expires_at = self.now + self.rng.below(3_000) as Millis;
            let record = fixture::idempotency_record(&id, &[next], expires_at);
            transaction.mutations.push(Mutation::PutIdempotencyRecord(record));
        }
        transaction
    }

    /// Adds the precondition on a unique key, and sometimes the replacement of its holder.
    async fn require_key(&mut self, transaction: &mut Transaction, key: &UniqueKey) {
        let holder =
            self.oracle.holders(vec![key.clone()], self.now).await.expect("the oracle answers")[0];
        let holder =
            self.oracle.read(holder.into_iter().collect()).await.expect("the oracle answers");
        let replaced = holder.into_iter().flatten().next().and_then(|holder| {
            Some((holder.clone(), decide(&holder, &Command::Replace, self.now).ok()?))
        });
        match replaced {
            Some((holder, decision)) if self.rng.one_in(2) => {
                let is_holder = Precondition::KeyHeldBy { key: key.clone(), id: holder.id };
                transaction.preconditions.push(is_holder);
                let mut replace = fixture::update(&holder, decision);
                transaction.preconditions.append(&mut replace.preconditions);
                replace.mutations.append(&mut transaction.mutations);
                transaction.mutations = replace.mutations;
                self.reached("replaced");
            }
            _ => transaction.preconditions.push(Precondition::KeyFree { key: key.clone() }),
        }
    }

    /// Returns a stored job, mostly one of the last fifty.
    async fn random_job(&mut self) -> Option<Arc<Job>> {
        let late = self.ids.len().saturating_sub(50);
        let from = if self.rng.one_in(8) { 0 } else { late };
        let id = *self.rng.choose(&self.ids[from..])?;
        self.oracle.read(vec![id]).await.expect("the oracle answers").remove(0)
    }

    /// Returns the transaction of an accepted command on a job that may be stale.
    async fn command(&mut self) -> Transaction {
        for _ in 0..10 {
            let job = if self.rng.one_in(6) {
                self.rng.choose(&self.stale).cloned()
            } else {
                self.random_job().await
            };
            let Some(job) = job else { continue };
            let command = self.random_command(&job);
            let Ok(decision) = decide(&job, &command, self.now) else { continue };
            if decision.job.is_deleted() {
                self.reached("deleted");
            }
            self.stale.push(job.clone());
            let mut transaction = fixture::update(&job, decision);
            let is_retry = matches!(command, Command::Retry);
            if matches!(command, Command::Update { .. }) {
                self.reached("updated");
            }
            if let Some(key) =
                unique_key(&job.spec).filter(|_| is_retry && held_key(&job).is_none())
            {
                transaction.preconditions.push(Precondition::KeyFree { key });
            }
            if let Some(lease) = job.status.lease.filter(|_| self.rng.one_in(3)) {
                let owner = self.random_server();
                let session = lease.id.session;
                transaction.preconditions.push(Precondition::SessionOwner { session, owner });
            }
            return transaction;
        }
        Transaction::default()
    }

    fn random_command(&mut self, job: &Job) -> Command {
        let Some(lease) = job.status.lease else {
            return match self.rng.below(3) {
                _ if self.rng.one_in(8) => Command::Delete,
                _ if self.rng.one_in(8) => Command::RunNow,
                _ if self.rng.one_in(4) => self.update(job),
                0 if job.status.state.is_terminal() => Command::Retry,
                0 | 1 => Command::Expire,
                _ => Command::Cancel { reason: "test".into(), actor: "test".into() },
            };
        };
        self.report(lease.id)
    }

    fn update(&mut self, job: &Job) -> Command {
        let label = ("shop".to_owned(), self.rng.below(3).to_string());
        let later = self.now + self.rng.below(2_000) as Millis;
        let update = SpecUpdate {
            payload: self.rng.one_in(2).then(|| vec![b'x'; self.rng.below(40) as usize].into()),
            priority: self.rng.one_in(2).then(|| self.rng.below(10) as u32),
            run_at: self.rng.one_in(3).then(|| self.rng.one_in(2).then_some(later)),
            labels: self.rng.one_in(2).then(|| vec![label]),
            content_type: None,
        };
        let spec = update.apply(&job.spec, "spec", self.now, PAYLOAD_MAX_BYTES);
        // The new time may be after the start deadline.
        let spec = spec.unwrap_or_else(|_| Spec::clone(&job.spec));
        Command::Update { spec: Arc::new(spec) }
    }

    fn report(&mut self, lease: LeaseId) -> Command {
        let started_at = Some(self.now);
        let entropy = self.rng.next_u64() as u32;
        match self.rng.below(8) {
            0..3 => Command::Succeed { lease, started_at, result: "done".into() },
            3 => {
                let retryable = !self.rng.one_in(3);
                let error = JobError::new("failed", "FAILED", retryable);
                let failure = Failure { error, next_delay_ms: None, timed_out: false, entropy };
                Command::Fail { lease, started_at, failure }
            }
            4 => Command::Snooze { lease, started_at, delay_ms: self.rng.below(2_000) },
            5 => Command::Release { lease },
            6 => Command::Checkpoint { lease, data: "half".into() },
            _ => Command::Cancel { reason: "test".into(), actor: "test".into() },
        }
    }

    async fn progress(&mut self) -> Transaction {
        let mut job = None;
        for _ in 0..5 {
            job = self.random_job().await.or(job);
            if job.as_ref().is_some_and(|job| job.status.lease.is_some()) {
                break;
            }
        }
        let Some(job) = job else { return Transaction::default() };
        let (seq, done) = (self.rng.below(4), self.rng.below(100));
        let progress = Progress { seq, done, total: 100, message: "step".into() };
        let epoch = job.status.epoch - self.rng.below(2).min(job.status.epoch);
        let mutations = vec![Mutation::Progress { id: job.id, epoch, progress }];
        Transaction { mutations, ..Transaction::default() }
    }

    /// Returns one of the writers, or a server that only adopts sessions.
    fn random_server(&mut self) -> ServerId {
        ServerId(1 + self.rng.below(3))
    }

    /// Returns a change of a session. Mostly `server` becomes its owner.
    fn session(&mut self, server: ServerId) -> Transaction {
        let id = fixture::session(1 + u128::from(self.rng.below(SESSIONS as u64)));
        if self.rng.one_in(12) {
            return Transaction {
                mutations: vec![Mutation::DropSession(id)],
                ..Transaction::default()
            };
        }
        if self.rng.one_in(40) {
            return Transaction {
                mutations: vec![Mutation::DrainSession(id)],
                ..Transaction::default()
            };
        }
        let expires_at = self.now + self.rng.below(6_000) as Millis;
        let owner = if self.rng.one_in(4) { self.random_server() } else { server };
        let row = SessionRow { id, owner, expires_at };
        let mut transaction =
            Transaction { mutations: vec![Mutation::PutSession(row)], ..Transaction::default() };
        if self.rng.one_in(2) {
            let worker_info = self.rng.below(1_000).to_string().into();
            transaction.mutations.push(Mutation::PutWorkerInfo { session: id, worker_info });
        }
        if self.rng.one_in(4) {
            let owner = self.random_server();
            transaction.preconditions.push(Precondition::SessionOwner { session: id, owner });
        }
        transaction
    }

    /// Returns a declaration or an update of a queue, which may reorder or pause its ready jobs.
    async fn queue(&mut self) -> Transaction {
        let name = QUEUES[self.rng.below(2) as usize];
        let mut queue = Queue::with_defaults(name.into(), self.now);
        if name == "strict" {
            queue.order = QueueOrder::Strict;
        }
        queue.priority_boost_ms = 1 + self.rng.below(2_000);
        queue.mode = match self.rng.below(6) {
            0 => QueueMode::Paused,
            1 => QueueMode::Draining,
            _ => QueueMode::Open,
        };
        let mut transaction = fixture::put_queue(queue);
        let queues = self.oracle.queues().await.expect("the oracle answers");
        match (self.rng.below(4), queues.iter().find(|queue| &*queue.name == name)) {
            (0, _) => {
                transaction.preconditions.push(Precondition::QueueAbsent { name: name.into() })
            }
            (1 | 2, Some(known)) => {
                transaction.preconditions.push(Precondition::QueueIs(known.clone()))
            }
            _ => {}
        }
        transaction
    }
}
