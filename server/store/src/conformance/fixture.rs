//! Builders of jobs, transactions and commit requests for tests.

use std::sync::Arc;

use bytes::Bytes;
use sentinel_domain::{
    Decision, Job, JobId, Millis, Name, NewJob, Queue, SessionId, Spec, initial_state, limits,
};

use crate::{
    Claim, CommitRequest, IdempotencyRecord, Mutation, Precondition, ServerId, SessionRow,
    Transaction, codec,
};

/// Returns a spec with defaults, changed by `edit`.
pub fn spec(queue: &str, kind: &str, now: Millis, edit: impl FnOnce(&mut NewJob)) -> Spec {
    let mut new = NewJob { queue: queue.into(), kind: kind.into(), ..NewJob::default() };
    new.payload = Bytes::from_static(b"{}");
    edit(&mut new);
    new.into_spec("spec", "", now, limits::PAYLOAD_MAX_BYTES).expect("a fixture is a valid job")
}

/// Returns a new job without dependencies. `random` distinguishes its id.
pub fn job(queue: &str, kind: &str, now: Millis, random: u64) -> Arc<Job> {
    job_from_spec(spec(queue, kind, now, |_| {}), now, random)
}

/// Returns a new job of a spec without dependencies.
pub fn job_from_spec(spec: Spec, now: Millis, random: u64) -> Arc<Job> {
    // An id uses only the upper 62 bits of `random`.
    Arc::new(initial_state(JobId::new(now, 0, random << 2), Arc::new(spec), &[], now))
}

/// Returns the session with a small number as its id.
pub fn session(number: u128) -> SessionId {
    SessionId::from_u128(number)
}

/// Returns a transaction that creates a job.
pub fn create(job: &Arc<Job>) -> Transaction {
    Transaction {
        preconditions: vec![Precondition::JobAbsent { id: job.id }],
        mutations: vec![Mutation::Create { job: job.clone(), spec: codec::encode_spec(&job.spec) }],
        idempotency: None,
    }
}

/// Returns a transaction that applies a decision, if the job still has the version of `read`.
pub fn update(read: &Job, decision: Decision) -> Transaction {
    let job = Arc::new(decision.job);
    let mutation = if job.status.revision == read.status.revision {
        Mutation::Update { job, attempt_end: decision.attempt_end }
    } else {
        Mutation::ReplaceSpec { spec: codec::encode_spec(&job.spec), job }
    };
    let version = Precondition::JobVersion { id: read.id, version: read.status.version };
    Transaction { preconditions: vec![version], mutations: vec![mutation], idempotency: None }
}

/// Returns a transaction that puts a session row.
pub fn put_session(id: SessionId, owner: u64, expires_at: Millis) -> Transaction {
    let row = SessionRow { id, owner: ServerId(owner), expires_at };
    Transaction { mutations: vec![Mutation::PutSession(row)], ..Transaction::default() }
}

/// Returns a transaction that declares a queue.
pub fn put_queue(queue: Queue) -> Transaction {
    Transaction { mutations: vec![Mutation::PutQueue(queue)], ..Transaction::default() }
}

/// Returns the transaction with an idempotency key. Its content is also its response.
pub fn with_idempotency(
    transaction: Transaction,
    id: &str,
    content: &[u8],
    expires_at: Millis,
) -> Transaction {
    let record = idempotency_record(id, content, expires_at);
    Transaction { idempotency: Some(record), ..transaction }
}

/// Returns an idempotency record whose content is also its response.
pub fn idempotency_record(id: &str, content: &[u8], expires_at: Millis) -> IdempotencyRecord {
    IdempotencyRecord {
        id: id.into(),
        content_hash: crate::content_hash(content),
        response: Bytes::copy_from_slice(content),
        expires_at,
    }
}

/// Returns names, sorted.
pub fn names(names: &[&str]) -> Arc<[Name]> {
    let mut names: Vec<Name> = names.iter().map(|name| Name::from(*name)).collect();
    names.sort();
    names.into()
}

/// Returns a claim without a limit in bytes.
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

/// Numbers the commit requests of one server.
#[derive(Debug)]
pub struct Writer {
    id: ServerId,
    number: u64,
}

impl Writer {
    /// Returns a writer that has sent no request.
    pub fn new(id: u64) -> Self {
        Self { id: ServerId(id), number: 0 }
    }

    /// Returns the id of the server.
    pub fn id(&self) -> ServerId {
        self.id
    }

    /// Returns a builder of the next request.
    pub fn request(&mut self, now: Millis) -> CommitRequestBuilder {
        self.number += 1;
        CommitRequestBuilder(CommitRequest {
            writer: self.id,
            number: self.number,
            now,
            transactions: Vec::new(),
            promote_limit: 0,
            claims: Vec::new(),
        })
    }
}

/// Builds a commit request.
#[derive(Clone, Debug)]
pub struct CommitRequestBuilder(CommitRequest);

impl CommitRequestBuilder {
    /// Adds a transaction.
    #[must_use]
    pub fn transaction(mut self, transaction: Transaction) -> Self {
        self.0.transactions.push(transaction);
        self
    }

    /// Sets how many due jobs to promote at most.
    #[must_use]
    pub fn promote(mut self, limit: usize) -> Self {
        self.0.promote_limit = limit;
        self
    }

    /// Adds a claim.
    #[must_use]
    pub fn claim(mut self, claim: Claim) -> Self {
        self.0.claims.push(claim);
        self
    }

    /// Returns the request.
    pub fn build(self) -> CommitRequest {
        self.0
    }
}
