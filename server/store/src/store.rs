//! The contract that every store backend implements. The `conformance` suite verifies it.

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

/// The future of a request to a store. It is boxed once per request, so that stores can be wrapped.
pub type StoreFuture<'a, T> = Pin<Box<dyn Future<Output = Result<T, StoreError>> + Send + 'a>>;

/// The state of live and recently terminal jobs, queues and worker sessions, with a journal.
pub trait Store: Send + Sync + 'static {
    /// Applies a commit request. The returned result is durable. A reader sees either all changes
    /// of a request or none.
    fn commit(&self, request: CommitRequest) -> StoreFuture<'_, CommitResult>;

    /// Returns the last committed version of each job, in the order of `ids`. A job that is not
    /// stored is `None`. The tombstone of a deleted job is returned until it is evicted.
    fn read(&self, ids: Vec<JobId>) -> StoreFuture<'_, Vec<Option<Arc<Job>>>>;

    /// Returns the job that holds each unique key at `now`.
    fn holders(&self, keys: Vec<UniqueKey>, now: Millis) -> StoreFuture<'_, Vec<Option<JobId>>>;

    /// Returns every declared queue.
    fn queues(&self) -> StoreFuture<'_, Vec<Queue>>;

    /// Returns the number of stored jobs per queue and state.
    fn depths(&self) -> StoreFuture<'_, Vec<Depth>>;

    /// Returns when the oldest READY job of each queue became ready, in the order of `queues`. A
    /// queue without READY jobs is `None`.
    ///
    /// The search examines a limited number of jobs. In a queue with very many jobs of several
    /// priorities it may miss the oldest one and return a later time.
    fn oldest_ready(&self, queues: Vec<Name>) -> StoreFuture<'_, Vec<Option<Millis>>>;

    /// Returns the RUNNING jobs of a session.
    fn session_jobs(&self, session: SessionId) -> StoreFuture<'_, Vec<Arc<Job>>>;

    /// Returns all session rows, in any order. Expired rows are included until they are dropped.
    fn sessions(&self) -> StoreFuture<'_, Vec<SessionRow>>;

    /// Returns the sessions with the descriptions of their workers, in the order of `sessions`. A
    /// session without a row is `None`.
    fn session_infos(&self, sessions: Vec<SessionId>) -> StoreFuture<'_, Vec<Option<SessionInfo>>>;

    /// Extends all sessions to expire at `until` or later. After an outage of servers, a session
    /// may have expired although its worker sent heartbeats.
    fn extend_sessions(&self, until: Millis) -> StoreFuture<'_, ()>;

    /// Returns the due work at `now`: at most `limit` jobs and `limit` expired sessions.
    ///
    /// Jobs of a missing session are lost at any time. Reading changes nothing, so work is returned
    /// again until it is done.
    fn due_work(&self, now: Millis, limit: usize) -> StoreFuture<'_, DueWork>;

    /// Returns the journal entries after a position: at most `limit`, and at least one if there is
    /// one.
    fn read_journal(&self, after: Position, limit: usize) -> StoreFuture<'_, JournalPage>;

    /// Waits until enough replicas have the journal up to a position. Returns false after a timeout
    /// of the backend; a repeated call waits again. Without replicas it returns true at once.
    fn wait_replicated(&self, _up_to: Position) -> StoreFuture<'_, bool> {
        Box::pin(std::future::ready(Ok(true)))
    }

    /// Returns the head of the journal, which changes with every entry.
    ///
    /// It is never behind the result of a read, nor behind a replicated commit. All stores of one
    /// cluster have the same epoch.
    fn head(&self) -> watch::Receiver<Position>;

    /// Evicts terminal jobs and drops journal entries that are no longer needed, a limited number
    /// per call.
    fn trim(&self, request: TrimRequest) -> StoreFuture<'_, TrimResult>;

    /// Waits for changes by other servers that concern `server`. There may be one reader at a time.
    ///
    /// Each event is returned once, and events between two calls are kept. A store of a single
    /// server never completes the future.
    fn peer_events(&self, server: ServerId) -> StoreFuture<'_, PeerEvents> {
        let _ = server;
        Box::pin(std::future::pending())
    }

    /// Acquires or renews the leader lease for the given duration, and returns whether `server`
    /// holds it. A duration of zero releases it.
    ///
    /// At most one server holds the lease at a time, unless the store loses acknowledged changes.
    /// The leader's writes must therefore be fenced by other means. A single server always holds
    /// it.
    fn acquire_leader_lease(&self, server: ServerId, duration: Duration) -> StoreFuture<'_, bool> {
        let _ = (server, duration);
        Box::pin(async { Ok(true) })
    }
}

/// The number of jobs of a queue in a state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Depth {
    pub queue: Name,
    pub state: State,
    pub count: u64,
}

/// Jobs and sessions that the sweeper must act on.
#[derive(Clone, Debug, Default)]
pub struct DueWork {
    /// Jobs whose [`sentinel_domain::next_deadline`] has passed.
    pub past_deadline: Vec<Arc<Job>>,
    /// RUNNING jobs whose session has expired or does not exist.
    pub lost: Vec<Arc<Job>>,
    /// Expired sessions without jobs. They must be dropped, unless another server adopts them.
    pub expired_sessions: Vec<SessionRow>,
    /// BLOCKED jobs with a terminal dependency.
    pub unblocked: Vec<Unblocked>,
}

/// A BLOCKED job and one of its dependencies that is terminal.
#[derive(Clone, Debug)]
pub struct Unblocked {
    pub job: Arc<Job>,
    pub parent: JobId,
    pub outcome: State,
}

/// What may be evicted from the store and dropped from the journal.
#[derive(Clone, Copy, Debug)]
pub struct TrimRequest {
    /// The ledger has all changes up to here.
    pub projected: Position,
    /// Projected jobs that finished before this time may be evicted.
    pub terminal_before: Millis,
    /// Projected journal entries before this time may be dropped.
    pub journal_before: Millis,
    /// The maximum number of jobs to evict.
    pub limit: usize,
}

/// The result of a [`TrimRequest`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TrimResult {
    /// The number of evicted jobs.
    pub evicted: usize,
    /// Whether the limit was reached. Call again then.
    pub more: bool,
}
