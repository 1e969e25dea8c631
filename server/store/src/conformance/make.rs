//! Short ways to say jobs, groups and calls.

use std::sync::Arc;

use bytes::Bytes;
use sentinel_domain::{
    Decision, Job, JobId, Millis, Name, NewJob, Queue, SessionId, Spec, initial_state, limits,
};

use crate::{
    Claim, CommitRequest, IdempotencyRecord, Mutation, Precondition, ServerId, SessionRow,
    Transaction, codec,
};

/// The spec of a job with every default but these, and whatever `more` sets.
pub fn spec(queue: &str, kind: &str, now: Millis, more: impl FnOnce(&mut NewJob)) -> Spec {
    let mut new = NewJob { queue: queue.into(), kind: kind.into(), ..NewJob::default() };
    new.payload = Bytes::from_static(b"{}");
    more(&mut new);
    new.admit("spec", "", now, limits::PAYLOAD_MAX_BYTES).expect("a case says what is allowed")
}

/// A job as it is born, without dependencies.
pub fn job(queue: &str, kind: &str, now: Millis, random: u64) -> Arc<Job> {
    job_with(spec(queue, kind, now, |_| {}), now, random)
}

/// A job as it is born, of a spec.
pub fn job_with(spec: Spec, now: Millis, random: u64) -> Arc<Job> {
    // Only the upper 62 bits count.
    Arc::new(initial_state(JobId::new(now, 0, random << 2), Arc::new(spec), &[], now))
}

/// A session by a small number.
pub fn session(number: u128) -> SessionId {
    SessionId::from_u128(number)
}

/// A group that creates a job.
pub fn create(job: &Arc<Job>) -> Transaction {
    Transaction {
        guards: vec![Precondition::JobAbsent { id: job.id }],
        changes: vec![Mutation::Create { job: job.clone(), spec: codec::encode_spec(&job.spec) }],
        request: None,
    }
}

/// A group that applies a decision on a job as it was read.
pub fn update(read: &Job, decision: Decision) -> Transaction {
    let job = Arc::new(decision.job);
    let change = if job.status.revision == read.status.revision {
        Mutation::Update { job, end: decision.end }
    } else {
        Mutation::ReplaceSpec { spec: codec::encode_spec(&job.spec), job }
    };
    let guards = vec![Precondition::JobVersion { id: read.id, version: read.status.version }];
    Transaction { guards, changes: vec![change], request: None }
}

/// A group that puts a session of an owner.
pub fn put_session(id: SessionId, owner: u64, expires_at: Millis) -> Transaction {
    let row = SessionRow { id, owner: ServerId(owner), expires_at };
    Transaction { changes: vec![Mutation::PutSession(row)], ..Transaction::default() }
}

/// A group that declares a queue.
pub fn put_queue(queue: Queue) -> Transaction {
    Transaction { changes: vec![Mutation::PutQueue(queue)], ..Transaction::default() }
}

/// The same group under a request_id.
pub fn under_request(group: Transaction, id: &str, content: &[u8], until: Millis) -> Transaction {
    Transaction { request: Some(memory(id, content, until)), ..group }
}

/// Content that is its own answer.
pub fn memory(id: &str, content: &[u8], until: Millis) -> IdempotencyRecord {
    IdempotencyRecord {
        id: id.into(),
        content_hash: crate::content_hash(content),
        answer: Bytes::copy_from_slice(content),
        until,
    }
}

/// Names, sorted.
pub fn names(names: &[&str]) -> Arc<[Name]> {
    let mut names: Vec<Name> = names.iter().map(|name| Name::from(*name)).collect();
    names.sort();
    names.into()
}

/// A claim without a bound in bytes.
pub fn claim(session: SessionId, queues: &[&str], kinds: &[&str], max_jobs: usize) -> Claim {
    Claim {
        session,
        worker: "worker".into(),
        queues: names(queues),
        kinds: names(kinds),
        max_jobs,
        max_bytes: u64::MAX,
    }
}

/// Numbers the calls of one writer.
#[derive(Debug)]
pub struct Writer {
    id: ServerId,
    number: u64,
}

impl Writer {
    /// A writer that has written nothing.
    pub fn new(id: u64) -> Self {
        Self { id: ServerId(id), number: 0 }
    }

    /// The server that it writes for.
    pub fn id(&self) -> ServerId {
        self.id
    }

    /// Its next call, without anything in it.
    pub fn call(&mut self, now: Millis) -> CallBuilder {
        self.number += 1;
        CallBuilder(CommitRequest {
            writer: self.id,
            number: self.number,
            now,
            groups: Vec::new(),
            promote: 0,
            claims: Vec::new(),
        })
    }
}

/// A call in the making.
#[derive(Clone, Debug)]
pub struct CallBuilder(CommitRequest);

impl CallBuilder {
    /// Adds a group.
    #[must_use]
    pub fn group(mut self, group: Transaction) -> Self {
        self.0.groups.push(group);
        self
    }

    /// Promotes at most so many.
    #[must_use]
    pub fn promote(mut self, limit: usize) -> Self {
        self.0.promote = limit;
        self
    }

    /// Adds a claim.
    #[must_use]
    pub fn claim(mut self, claim: Claim) -> Self {
        self.0.claims.push(claim);
        self
    }

    /// The call.
    pub fn done(self) -> CommitRequest {
        self.0
    }
}
