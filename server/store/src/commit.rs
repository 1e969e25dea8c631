//! Commit requests: the only way to change a store.

use std::sync::Arc;

use bytes::Bytes;
use sentinel_domain::{
    AttemptEnd, Job, JobId, Millis, Name, Progress, Queue, SessionId, UniqueKey,
};

use crate::{IdempotencyRecord, Position};

/// The id of a server process, random per start. A server owns sessions and numbers its commits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ServerId(pub u64);

/// A group commit: transactions, a promotion and claims, in this order.
///
/// Each transaction sees the changes of those before it. Claims come last, so one commit can
/// enqueue a job and assign it.
///
/// A writer numbers its requests from 1 and has one in flight. A store answers a repeat of the last
/// number with the same result, so a request with a lost response can be repeated.
#[derive(Clone, Debug)]
pub struct CommitRequest {
    pub writer: ServerId,
    pub number: u64,
    pub now: Millis,
    pub transactions: Vec<Transaction>,
    /// The maximum number of due jobs to promote.
    pub promote_limit: usize,
    pub claims: Vec<Claim>,
}

/// Mutations that are applied atomically.
#[derive(Clone, Debug, Default)]
pub struct Transaction {
    /// The idempotency key and response. A repeat is replayed and applies nothing.
    pub idempotency: Option<IdempotencyRecord>,
    /// All must hold before the first mutation.
    pub preconditions: Vec<Precondition>,
    pub mutations: Vec<Mutation>,
}

/// A condition that must hold for a transaction to be applied.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Precondition {
    JobVersion {
        id: JobId,
        version: u64,
    },
    JobAbsent {
        id: JobId,
    },
    /// No job holds the key at the time of the commit.
    KeyFree {
        key: UniqueKey,
    },
    KeyHeldBy {
        key: UniqueKey,
        id: JobId,
    },
    SessionOwner {
        session: SessionId,
        owner: ServerId,
    },
    /// The row has exactly this value: no server has adopted or extended the session.
    SessionRow(SessionRow),
    QueueAbsent {
        name: Name,
    },
    /// The queue has exactly this value.
    QueueIs(Queue),
    /// The idempotency record of `id` has this response; `None`: there is no record, or it expired.
    IdempotencyRecord {
        id: Box<str>,
        response: Option<Bytes>,
    },
}

/// A change of a transaction. The store derives all indexes from the job.
#[derive(Clone, Debug)]
pub enum Mutation {
    /// Creates a job with its encoded spec.
    Create {
        job: Arc<Job>,
        spec: Bytes,
    },
    /// Replaces a job and its encoded spec. The transaction requires the job's version.
    ReplaceSpec {
        job: Arc<Job>,
        spec: Bytes,
    },
    /// Replaces a job after a decision. `attempt_end` goes to the history.
    Update {
        job: Arc<Job>,
        attempt_end: Option<AttemptEnd>,
    },
    /// Stores progress without a new version of the job. It is ignored unless the lease has this
    /// epoch and the `seq` is higher than the stored one.
    Progress {
        id: JobId,
        epoch: u64,
        progress: Progress,
    },
    PutQueue(Queue),
    PutSession(SessionRow),
    /// Drops the row of a session, with its worker info and its drain mark.
    DropSession(SessionId),
    /// Stores the encoded [`crate::WorkerInfo`] of a session. Ignored if the session has no row.
    PutWorkerInfo {
        session: SessionId,
        worker_info: Bytes,
    },
    /// Drains a session: its claims get no jobs from now on. Ignored if the session has no row.
    DrainSession(SessionId),
    /// Stores a record in place of the current one with its id.
    PutIdempotencyRecord(IdempotencyRecord),
}

impl Mutation {
    /// Returns whether the mutation stores a spec. A full store refuses it, but accepts reports.
    pub fn needs_space(&self) -> bool {
        matches!(self, Self::Create { .. } | Self::ReplaceSpec { .. })
    }
}

/// A worker session and the server that owns it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SessionRow {
    pub id: SessionId,
    pub owner: ServerId,
    pub expires_at: Millis,
}

/// A request of a session for jobs.
///
/// It gets none unless the row of the session is live and owned by the writer of the commit. A
/// server that lost the session to another one has no stream to assign jobs on.
#[derive(Clone, Debug)]
pub struct Claim {
    pub session: SessionId,
    /// The instance name of the worker, stored with the job.
    pub worker: Name,
    pub queues: Arc<[Name]>,
    /// Sorted.
    pub kinds: Arc<[Name]>,
    pub max_jobs: usize,
    /// The limit on payload bytes. The last job may exceed it. 0 claims no job.
    pub max_bytes: u64,
}

/// The result of a commit.
#[derive(Clone, Debug)]
pub struct CommitResult {
    /// The head of the journal after the commit.
    pub position: Position,
    /// One per transaction, in order.
    pub results: Vec<TransactionResult>,
    /// The jobs of each claim, in order. They are RUNNING under new leases.
    pub claimed: Vec<Vec<Arc<Job>>>,
    /// Queue and kind of jobs that became READY and were not claimed in this commit.
    pub ready: Vec<(Name, Name)>,
    /// When a job must be promoted or [`crate::Store::due_work`] is next not empty.
    pub next_due_at: Option<Millis>,
}

/// The result of a transaction.
#[derive(Clone, Debug, PartialEq)]
pub enum TransactionResult {
    Committed,
    /// A precondition failed and nothing changed.
    Conflict(Conflict),
    /// The idempotency key is known: this is the stored response.
    Replayed(Bytes),
    /// The idempotency key was used for a request with other content.
    IdempotencyKeyReused,
}

/// The first failed precondition, with the current value.
#[derive(Clone, Debug, PartialEq)]
pub enum Conflict {
    Job {
        id: JobId,
        current: Option<Arc<Job>>,
    },
    Key {
        key: UniqueKey,
        holder: Option<JobId>,
    },
    Session {
        session: SessionId,
        owner: Option<ServerId>,
    },
    Queue(Option<Queue>),
    IdempotencyRecord {
        id: Box<str>,
        response: Option<Bytes>,
    },
    /// The transaction would exceed the number of kinds of a queue. `kinds` are those that exceed
    /// it, in the order of the mutations. Only [`Mutation::Create`] is limited: a job can always
    /// return to its queue after an attempt.
    TooManyKinds {
        queue: Name,
        kinds: Vec<Name>,
    },
}
