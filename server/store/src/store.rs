//! What a home of the hot truth must do. `conformance` says precisely what that means.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use sentinel_domain::{Job, JobId, Millis, Name, Queue, SessionId, State, UniqueKey};
use tokio::sync::watch;

use crate::{
    CommitRequest, CommitResult, JournalPage, PeerEvents, Position, ServerId, SessionInfo,
    SessionRow, StoreError,
};

/// The answer of a store. Boxed once per call, not per job, so that a fault layer can wrap any store.
pub type StoreFuture<'a, T> = Pin<Box<dyn Future<Output = Result<T, StoreError>> + Send + 'a>>;

/// The hot truth.
pub trait Store: Send + Sync + 'static {
    /// Applies a call. What it answers is durable. A reader sees all of a call or nothing.
    fn commit(&self, call: CommitRequest) -> StoreFuture<'_, CommitResult>;

    /// The jobs as last committed, in the order asked; none where the job is not hot. What is
    /// left of a deleted one is answered until it is evicted as any final job is.
    fn read(&self, ids: Vec<JobId>) -> StoreFuture<'_, Vec<Option<Arc<Job>>>>;

    /// Who holds each key at `now`.
    fn holders(&self, keys: Vec<UniqueKey>, now: Millis) -> StoreFuture<'_, Vec<Option<JobId>>>;

    /// Every declared queue.
    fn queues(&self) -> StoreFuture<'_, Vec<Queue>>;

    /// How many hot jobs are in each state, per queue.
    fn depths(&self) -> StoreFuture<'_, Vec<Depth>>;

    /// Since when the READY job of each queue that is ready longest has been, in the order asked;
    /// none where none is READY. Looks at a bounded number of jobs and kinds: where a queue has
    /// so many of several priorities that the oldest is not found, the answer is too late.
    fn oldest_ready(&self, queues: Vec<Name>) -> StoreFuture<'_, Vec<Option<Millis>>>;

    /// The RUNNING jobs of a session.
    fn session_jobs(&self, session: SessionId) -> StoreFuture<'_, Vec<Arc<Job>>>;

    /// The row of every session, in no order. Rows that have expired are there until they are
    /// dropped.
    fn sessions(&self) -> StoreFuture<'_, Vec<SessionRow>>;

    /// What is known of sessions, in the order asked; none where there is no row.
    fn session_infos(&self, sessions: Vec<SessionId>) -> StoreFuture<'_, Vec<Option<SessionInfo>>>;

    /// Lets no session expire before `until`: after an outage of servers nobody knows
    /// whether workers were silent or not heard.
    fn extend_sessions(&self, until: Millis) -> StoreFuture<'_, ()>;

    /// What a sweeper must decide about, at most `limit` jobs and `limit` expired sessions.
    /// Unknown sessions and their jobs are lost whatever `now` is. Reading changes nothing:
    /// what is still due is answered again.
    fn due_work(&self, now: Millis, limit: usize) -> StoreFuture<'_, DueWork>;

    /// The journal after a position, at most `limit` entries (at least one if there is one).
    fn read_journal(&self, after: Position, limit: usize) -> StoreFuture<'_, JournalPage>;

    /// Waits until enough replicas have the journal up to a position, within a time of the home's
    /// own; false: they have not. A repeat waits again. A home without replicas has nothing to
    /// wait for.
    fn wait_replicated(&self, _up_to: Position) -> StoreFuture<'_, bool> {
        Box::pin(std::future::ready(Ok(true)))
    }

    /// Moves with every entry, and is never behind what this store answered to a read, nor to a
    /// commit that is [`Self::replicated`]. All stores of one installation share one epoch.
    fn head(&self) -> watch::Receiver<Position>;

    /// Forgets a bounded amount of what is no longer needed hot.
    fn trim(&self, trim: TrimRequest) -> StoreFuture<'_, TrimResult>;

    /// Waits until other servers did something that `server` must react to. One reader at a
    /// time; what was answered is not told again, what comes between two calls is kept. A
    /// store of one server never answers.
    fn peer_events(&self, server: ServerId) -> StoreFuture<'_, PeerEvents> {
        let _ = server;
        Box::pin(std::future::pending())
    }

    /// Takes or keeps the lead for a while: at most one server has it at a time, as far as
    /// the store keeps what it acknowledges, so whoever acts on it is fenced by other means.
    /// A time of zero gives it up. In a store of one server, that one has it.
    fn acquire_leader_lease(&self, server: ServerId, lasts: Duration) -> StoreFuture<'_, bool> {
        let _ = (server, lasts);
        Box::pin(async { Ok(true) })
    }
}

/// How many jobs of a queue are in a state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Depth {
    pub queue: Name,
    pub state: State,
    pub count: u64,
}

/// Jobs that need a decision though nobody asked.
#[derive(Clone, Debug, Default)]
pub struct DueWork {
    /// Their [`sentinel_domain::next_deadline`] has come.
    pub past_deadline: Vec<Arc<Job>>,
    /// RUNNING under a session that expired or is unknown.
    pub lost: Vec<Arc<Job>>,
    /// Expired sessions without a job: to be dropped, unless another server adopts them first.
    pub expired_sessions: Vec<SessionRow>,
    /// BLOCKED on a job that is final.
    pub unblocked: Vec<Unblocked>,
}

/// A BLOCKED job and a job that it need no longer wait for.
#[derive(Clone, Debug)]
pub struct Unblocked {
    pub job: Arc<Job>,
    pub parent: JobId,
    pub outcome: State,
}

/// What may be forgotten.
#[derive(Clone, Copy, Debug)]
pub struct TrimRequest {
    /// The ledger has everything up to here.
    pub projected: Position,
    /// Finals that ended before may be evicted, once projected.
    pub terminal_before: Millis,
    /// Journal entries from before may be dropped, once projected.
    pub journal_before: Millis,
    /// How many finals to evict at the most.
    pub limit: usize,
}

/// What was forgotten.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TrimResult {
    pub evicted: usize,
    /// The limit was reached: call again.
    pub more: bool,
}
