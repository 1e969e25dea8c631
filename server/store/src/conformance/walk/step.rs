//! The calls of a walk: what servers do, and some of what they do too late.

use std::sync::Arc;

use sentinel_domain::{
    Command, Dependency, Failure, Job, JobError, JobId, Lease, Millis, NewJob, NewValues, Progress,
    Queue, QueueMode, QueueOrder, SessionId, Spec, UniqueMode, decide, held_key, initial_state,
    limits::PAYLOAD_MAX_BYTES, on_deadline, unique_key,
};

use super::Walk;
use crate::conformance::make;
use crate::{
    CommitRequest, Mutation, PRODUCER, Precondition, ServerId, SessionRow, Store, Transaction,
};

const QUEUES: [&str; 3] = ["aging", "strict", "undeclared"];
const KINDS: [&str; 3] = ["mail", "image", "report"];
const SESSIONS: u128 = 5;

/// Every session that a walk uses.
pub(super) fn sessions() -> impl Iterator<Item = SessionId> {
    (1..=SESSIONS).map(make::session)
}

impl Walk {
    /// One call with up to five groups, and sometimes a promotion and claims.
    pub(super) async fn any_call(&mut self) -> CommitRequest {
        let server = self.entropy.below(2) as usize;
        let mut call = self.writers[server].call(self.now);
        let owner = self.writers[server].id();
        for _ in 0..self.entropy.below(6) {
            let group = match self.entropy.below(20) {
                0..8 => self.create().await,
                8..14 => self.command().await,
                14..16 => self.progress().await,
                16..19 => self.session(owner),
                _ => self.queue().await,
            };
            call = call.group(group);
        }
        if self.entropy.one_in(3) {
            call = call.promote(self.entropy.below(5) as usize);
            self.reached("promoted");
        }
        for _ in 0..self.entropy.below(3) {
            let mut claim = make::claim(
                make::session(1 + u128::from(self.entropy.below(SESSIONS as u64))),
                &QUEUES[..1 + self.entropy.below(3) as usize],
                &KINDS[self.entropy.below(3) as usize..],
                self.entropy.below(5) as usize,
            );
            if self.entropy.one_in(4) {
                claim.max_bytes = self.entropy.below(40);
            }
            call = call.claim(claim);
        }
        call.done()
    }

    /// What a sweeper does about all that is due.
    pub(super) async fn sweep(&mut self) -> CommitRequest {
        let found = self.oracle.due_work(self.now, 7).await.expect("answers");
        let mut call = self.writers[0].call(self.now);
        let entropy = self.entropy.roll() as u32;
        let mut commands: Vec<(Arc<Job>, Command)> = Vec::new();
        for job in found.deadlines {
            let command = on_deadline(&job, self.now, entropy).expect("an alarm has a command");
            commands.push((job, command));
        }
        for job in found.lost {
            let session = job.status.lease.expect("it runs").session;
            commands.push((job, Command::Lose { session }));
        }
        for u in found.unblocked {
            let (parent, outcome) = (u.parent, u.outcome);
            commands.push((u.job, Command::Unblock { parent, outcome }));
        }
        for (job, command) in commands {
            let decision = decide(&job, &command, self.now).expect("what is due can be done");
            call = call.group(make::update(&job, decision));
            self.reached("due");
        }
        for SessionRow { id: session, owner, .. } in found.expired {
            let guards = vec![Precondition::SessionOwner { session, owner }];
            let changes = vec![Mutation::DropSession(session)];
            call = call.group(Transaction { guards, changes, ..Transaction::default() });
        }
        call.done()
    }

    fn new_job(&mut self, parents: &[Arc<Job>]) -> NewJob {
        let mut new = NewJob {
            queue: (*self.entropy.pick(&QUEUES).expect("there are some")).into(),
            kind: (*self.entropy.pick(&KINDS).expect("there are some")).into(),
            payload: vec![b'x'; self.entropy.below(30) as usize].into(),
            priority: self.entropy.below(10) as u32,
            max_attempts: self.entropy.below(4) as u32,
            depends_on: parents.iter().map(|parent| parent.id.to_string()).collect(),
            ..NewJob::default()
        };
        if self.entropy.one_in(4) {
            new.delay_ms = Some(self.entropy.below(2_000) as i64);
        }
        if self.entropy.one_in(5) {
            new.start_deadline = Some(self.now + 2_001 + self.entropy.below(3_000) as Millis);
        }
        if self.entropy.one_in(4) {
            new.run_timeout_ms = Some(1 + self.entropy.below(3_000) as i64);
        }
        if self.entropy.one_in(3) {
            new.unique_key = Some(format!("key-{}", self.entropy.below(6)));
            let modes = [UniqueMode::Reject, UniqueMode::ReplacePending];
            new.unique_mode = self.entropy.pick(&modes).copied();
            if self.entropy.one_in(2) {
                new.unique_ttl_ms = Some(1_000 + self.entropy.below(5_000) as i64);
            }
        }
        new.cancel_grace_ms = Some(self.entropy.below(2_000) as i64);
        new
    }

    /// A new job with its guards, sometimes in place of the holder of its key.
    async fn create(&mut self) -> Transaction {
        let mut parents: Vec<Arc<Job>> = Vec::new();
        if self.entropy.one_in(4) {
            for _ in 0..1 + self.entropy.below(2) {
                parents.extend(self.some_job().await);
            }
        }
        let new = self.new_job(&parents);
        let spec = new.admit("spec", "walk", self.now, 1 << 20).expect("the walk knows the limits");
        parents.sort_by_key(|parent| parent.id);
        parents.dedup_by_key(|parent| parent.id);
        let states: Vec<Dependency> =
            parents.iter().map(|p| Dependency { id: p.id, state: p.status.state }).collect();
        let id = JobId::new(self.now, 0, self.entropy.roll());
        let job = Arc::new(initial_state(id, Arc::new(spec), &states, self.now));
        let mut group = make::create(&job);
        self.ids.push(id);
        let versions = parents
            .iter()
            .map(|p| Precondition::JobVersion { id: p.id, version: p.status.version });
        group.guards.extend(versions);
        if let Some(key) = unique_key(&job.spec) {
            self.guard_key(&mut group, &key).await;
            self.keys.push(key);
        }
        if self.entropy.one_in(6) {
            let id = format!("request-{}", self.entropy.below(9));
            let content = [self.entropy.below(2) as u8];
            let until = self.now + self.entropy.below(3_000) as Millis;
            group = make::under_request(group, &id, &content, until);
        }
        if self.entropy.one_in(8) {
            let id = format!("{PRODUCER}{}", self.entropy.below(3));
            let [known, next] = [self.entropy.below(3) as u8, self.entropy.below(3) as u8];
            let answer = (known > 0).then(|| bytes::Bytes::copy_from_slice(&[known]));
            group.guards.push(Precondition::Remembered { id: id.clone().into(), answer });
            let until = self.now + self.entropy.below(3_000) as Millis;
            group.changes.push(Mutation::Remember(make::memory(&id, &[next], until)));
        }
        group
    }

    async fn guard_key(&mut self, group: &mut Transaction, key: &sentinel_domain::UniqueKey) {
        let holder = self.oracle.holders(vec![key.clone()], self.now).await.expect("answers")[0];
        let holder = self.oracle.read(holder.into_iter().collect()).await.expect("answers");
        let replaced = holder.into_iter().flatten().next().and_then(|holder| {
            Some((holder.clone(), decide(&holder, &Command::Replace, self.now).ok()?))
        });
        match replaced {
            Some((holder, decision)) if self.entropy.one_in(2) => {
                group.guards.push(Precondition::KeyHeldBy { key: key.clone(), id: holder.id });
                let mut replace = make::update(&holder, decision);
                group.guards.append(&mut replace.guards);
                replace.changes.append(&mut group.changes);
                group.changes = replace.changes;
                self.reached("replaced");
            }
            _ => group.guards.push(Precondition::KeyFree { key: key.clone() }),
        }
    }

    /// A hot job: a late one of the last fifty, or any.
    async fn some_job(&mut self) -> Option<Arc<Job>> {
        let late = self.ids.len().saturating_sub(50);
        let from = if self.entropy.one_in(8) { 0 } else { late };
        let id = *self.entropy.pick(&self.ids[from..])?;
        self.oracle.read(vec![id]).await.expect("answers").remove(0)
    }

    /// A command that the job takes, judged on a record that may be old.
    async fn command(&mut self) -> Transaction {
        for _ in 0..10 {
            let job = if self.entropy.one_in(6) {
                self.entropy.pick(&self.stale).cloned()
            } else {
                self.some_job().await
            };
            let Some(job) = job else { continue };
            let command = self.any_command(&job);
            let Ok(decision) = decide(&job, &command, self.now) else { continue };
            if decision.job.is_deleted() {
                self.reached("deleted");
            }
            self.stale.push(job.clone());
            let mut group = make::update(&job, decision);
            let is_retry = matches!(command, Command::Retry);
            if matches!(command, Command::Update { .. }) {
                self.reached("updated");
            }
            if let Some(key) =
                unique_key(&job.spec).filter(|_| is_retry && held_key(&job).is_none())
            {
                group.guards.push(Precondition::KeyFree { key });
            }
            if let Some(lease) = job.status.lease.filter(|_| self.entropy.one_in(3)) {
                let owner = self.any_server();
                group.guards.push(Precondition::SessionOwner { session: lease.session, owner });
            }
            return group;
        }
        Transaction::default()
    }

    fn any_command(&mut self, job: &Job) -> Command {
        let Some(lease) = job.status.lease else {
            return match self.entropy.below(3) {
                _ if self.entropy.one_in(8) => Command::Delete,
                _ if self.entropy.one_in(8) => Command::RunNow,
                _ if self.entropy.one_in(4) => self.new_values(job),
                0 if job.status.state.is_terminal() => Command::Retry,
                0 | 1 => Command::Expire,
                _ => Command::Cancel { reason: "walk".into(), actor: "walk".into() },
            };
        };
        self.report_of(lease)
    }

    fn new_values(&mut self, job: &Job) -> Command {
        let label = ("shop".to_owned(), self.entropy.below(3).to_string());
        let later = self.now + self.entropy.below(2_000) as Millis;
        let values = NewValues {
            payload: self
                .entropy
                .one_in(2)
                .then(|| vec![b'x'; self.entropy.below(40) as usize].into()),
            priority: self.entropy.one_in(2).then(|| self.entropy.below(10) as u32),
            run_at: self.entropy.one_in(3).then(|| self.entropy.one_in(2).then_some(later)),
            labels: self.entropy.one_in(2).then(|| vec![label]),
            content_type: None,
        };
        let spec = values.apply(&job.spec, "spec", self.now, PAYLOAD_MAX_BYTES);
        // A start deadline may lie before the new time.
        let spec = spec.unwrap_or_else(|_| Spec::clone(&job.spec));
        Command::Update { spec: Arc::new(spec) }
    }

    fn report_of(&mut self, lease: Lease) -> Command {
        let started_at = Some(self.now);
        let entropy = self.entropy.roll() as u32;
        match self.entropy.below(8) {
            0..3 => Command::Succeed { lease, started_at, result: "done".into() },
            3 => {
                let retryable = !self.entropy.one_in(3);
                let error = JobError { message: "no".into(), code: "NO".into(), retryable };
                let failure = Failure { error, next_delay_ms: None, timed_out: false, entropy };
                Command::Fail { lease, started_at, failure }
            }
            4 => Command::Snooze { lease, started_at, delay_ms: self.entropy.below(2_000) },
            5 => Command::Release { lease },
            6 => Command::Checkpoint { lease, data: "half".into() },
            _ => Command::Cancel { reason: "walk".into(), actor: "walk".into() },
        }
    }

    async fn progress(&mut self) -> Transaction {
        let mut job = None;
        for _ in 0..5 {
            job = self.some_job().await.or(job);
            if job.as_ref().is_some_and(|job| job.status.lease.is_some()) {
                break;
            }
        }
        let Some(job) = job else { return Transaction::default() };
        let (seq, done) = (self.entropy.below(4), self.entropy.below(100));
        let progress = Progress { seq, done, total: 100, message: "on".into() };
        let epoch = job.status.epoch - self.entropy.below(2).min(job.status.epoch);
        let changes = vec![Mutation::Progress { id: job.id, epoch, progress }];
        Transaction { changes, ..Transaction::default() }
    }

    /// One of the writers, or a server that only adopts sessions.
    fn any_server(&mut self) -> ServerId {
        ServerId(1 + self.entropy.below(3))
    }

    /// A server hears of a session: mostly it makes it its own.
    fn session(&mut self, server: ServerId) -> Transaction {
        let id = make::session(1 + u128::from(self.entropy.below(SESSIONS as u64)));
        if self.entropy.one_in(12) {
            return Transaction {
                changes: vec![Mutation::DropSession(id)],
                ..Transaction::default()
            };
        }
        if self.entropy.one_in(40) {
            return Transaction {
                changes: vec![Mutation::DrainSession(id)],
                ..Transaction::default()
            };
        }
        let expires_at = self.now + self.entropy.below(6_000) as Millis;
        let owner = if self.entropy.one_in(4) { self.any_server() } else { server };
        let row = SessionRow { id, owner, expires_at };
        let mut group =
            Transaction { changes: vec![Mutation::PutSession(row)], ..Transaction::default() };
        if self.entropy.one_in(2) {
            let announcement = self.entropy.below(1_000).to_string().into();
            group.changes.push(Mutation::PutWorkerInfo { session: id, announcement });
        }
        if self.entropy.one_in(4) {
            let owner = self.any_server();
            group.guards.push(Precondition::SessionOwner { session: id, owner });
        }
        group
    }

    /// Declares a queue, or declares it otherwise: its ready jobs change places, or may not start.
    async fn queue(&mut self) -> Transaction {
        let name = QUEUES[self.entropy.below(2) as usize];
        let mut queue = Queue::with_defaults(name.into(), self.now);
        if name == "strict" {
            queue.order = QueueOrder::Strict;
        }
        queue.priority_boost_ms = 1 + self.entropy.below(2_000);
        queue.mode = match self.entropy.below(6) {
            0 => QueueMode::Paused,
            1 => QueueMode::Draining,
            _ => QueueMode::Open,
        };
        let mut group = make::put_queue(queue);
        let queues = self.oracle.queues().await.expect("answers");
        match (self.entropy.below(4), queues.iter().find(|queue| &*queue.name == name)) {
            (0, _) => group.guards.push(Precondition::QueueAbsent { name: name.into() }),
            (1 | 2, Some(known)) => group.guards.push(Precondition::QueueIs(known.clone())),
            _ => {}
        }
        group
    }
}
