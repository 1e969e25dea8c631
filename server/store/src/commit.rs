//! The one write of the port: a call carries all that waited, and is one group commit.

use std::sync::Arc;

use bytes::Bytes;
use sentinel_domain::{
    AttemptEnd, Job, JobId, Millis, Name, Progress, Queue, SessionId, UniqueKey,
};

use crate::Position;

/// A server process, as the owner of sessions. Random per start.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ServerId(pub u64);

/// One group commit.
///
/// In this order: the groups, each seeing those before it; promotion of due jobs; the
/// claims, so that one commit leads from an enqueue to its assignment.
///
/// A writer numbers its calls from 1 and has one in flight. A store answers a repeat of
/// the last number with the outcome that it had, so a lost reply is asked for again.
#[derive(Clone, Debug)]
pub struct CommitRequest {
    pub writer: ServerId,
    pub number: u64,
    pub now: Millis,
    pub transactions: Vec<Transaction>,
    /// How many due jobs to promote at the most.
    pub promote_limit: usize,
    pub claims: Vec<Claim>,
}

/// Changes that happen together or not at all.
#[derive(Clone, Debug, Default)]
pub struct Transaction {
    /// Answers a repeat of the same request instead of changing anything.
    pub idempotency: Option<IdempotencyRecord>,
    /// All must hold before the first change.
    pub preconditions: Vec<Precondition>,
    pub mutations: Vec<Mutation>,
}

/// What must be true for a group to be applied.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Precondition {
    JobVersion {
        id: JobId,
        version: u64,
    },
    JobAbsent {
        id: JobId,
    },
    /// No job holds it at the time of the call.
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
    /// The row is exactly this one: nobody adopted the session or let it live longer.
    SessionRow(SessionRow),
    QueueAbsent {
        name: Name,
    },
    /// The queue is exactly this one.
    QueueIs(Queue),
    /// This was answered under the id and is not forgotten: these bytes, or nothing.
    IdempotencyRecord {
        id: Box<str>,
        response: Option<Bytes>,
    },
}

/// What a group does. Every index follows from the job itself.
#[derive(Clone, Debug)]
pub enum Mutation {
    /// A new job with its encoded spec.
    Create {
        job: Arc<Job>,
        spec: Bytes,
    },
    /// A job with another spec, encoded. It is there: the group guards its version.
    ReplaceSpec {
        job: Arc<Job>,
        spec: Bytes,
    },
    /// The job after a decision; `end` goes into the history.
    Update {
        job: Arc<Job>,
        attempt_end: Option<AttemptEnd>,
    },
    /// Progress to keep, while the lease of this epoch lives and nothing of its `seq` or a
    /// later one is kept. Otherwise nothing happens. Not a change of version.
    Progress {
        id: JobId,
        epoch: u64,
        progress: Progress,
    },
    PutQueue(Queue),
    PutSession(SessionRow),
    /// With the session's card, and the note that it was drained.
    DropSession(SessionId),
    /// What its worker says of itself, an encoded [`crate::WorkerInfo`]. Kept while the
    /// session has a row.
    PutWorkerInfo {
        session: SessionId,
        worker_info: Bytes,
    },
    /// No claim of the session gets a job from now on. Kept while it has a row.
    DrainSession(SessionId),
    /// In place of what is remembered under its id.
    PutIdempotencyRecord(IdempotencyRecord),
}

impl Mutation {
    /// It brings a spec: a store that is full refuses it, where reports and ends still pass.
    pub fn needs_space(&self) -> bool {
        matches!(self, Self::Create { .. } | Self::ReplaceSpec { .. })
    }
}

/// A worker session that some server owns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SessionRow {
    pub id: SessionId,
    pub owner: ServerId,
    pub expires_at: Millis,
}

/// What is remembered of a request under its id.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IdempotencyRecord {
    pub id: Box<str>,
    /// Of the request's content, by [`content_hash`].
    pub content_hash: u64,
    pub response: Bytes,
    pub expires_at: Millis,
}

/// How the ids begin under which it is remembered where producers stand: the ledger keeps those too,
/// with the jobs up to there. No request_id begins so.
pub const PRODUCER_OFFSET_PREFIX: &str = "ingest/";

impl IdempotencyRecord {
    /// It says where a producer stands.
    pub fn is_producer_offset(&self) -> bool {
        self.id.starts_with(PRODUCER_OFFSET_PREFIX)
    }
}

/// A hash that stays the same across versions and machines, since it is stored.
pub fn content_hash(bytes: &[u8]) -> u64 {
    xxhash_rust::xxh3::xxh3_64(bytes)
}

/// A worker session that asks for jobs. It gets none unless its row is live and owned by
/// the writer of the call: a server whose session was adopted elsewhere has no stream left
/// to assign on.
#[derive(Clone, Debug)]
pub struct Claim {
    pub session: SessionId,
    /// Instance name, kept with the job.
    pub worker: Name,
    pub queues: Arc<[Name]>,
    /// Sorted.
    pub kinds: Arc<[Name]>,
    pub max_jobs: usize,
    /// Payload bytes; at most one job over. 0: no job.
    pub max_bytes: u64,
}

/// What became of a call.
#[derive(Clone, Debug)]
pub struct CommitResult {
    /// The journal after the call.
    pub position: Position,
    /// One per group, in order.
    pub results: Vec<TransactionResult>,
    /// One per claim, in order: jobs now RUNNING under a new lease.
    pub claimed: Vec<Vec<Arc<Job>>>,
    /// Queue and kind of jobs that became READY and were not claimed in this call.
    pub ready: Vec<(Name, Name)>,
    /// When a promotion or [`crate::Store::due_work`] has something to do next.
    pub next_due_at: Option<Millis>,
}

/// What became of a group.
#[derive(Clone, Debug, PartialEq)]
pub enum TransactionResult {
    Committed,
    /// Nothing was changed.
    Conflict(Conflict),
    /// The request was answered before: this is the answer.
    Replayed(Bytes),
    /// The request_id was used for another content.
    IdempotencyKeyReused,
}

/// The first guard that did not hold, with what is there instead.
#[derive(Clone, Debug, PartialEq)]
pub enum Conflict {
    /// The job as it is, or none.
    Job { id: JobId, current: Option<Arc<Job>> },
    /// Who holds the key, if anybody.
    Key { key: UniqueKey, holder: Option<JobId> },
    /// Who owns the session, if anybody.
    Session { session: SessionId, owner: Option<ServerId> },
    /// The queue as it is, or none.
    Queue(Option<Queue>),
    /// What is remembered under the id, if anything.
    IdempotencyRecord { id: Box<str>, response: Option<Bytes> },
    /// A queue has jobs of too many kinds waiting: the group's other kinds have a place, in
    /// the order of its changes, and these have none. Only [`Mutation::Create`] meets it: a job
    /// that comes back from an attempt always has a place.
    TooManyKinds { queue: Name, kinds: Vec<Name> },
}
