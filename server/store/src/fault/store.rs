//! The `Store` implementation of the fault layer.

use std::sync::Arc;
use std::time::Duration;

use sentinel_domain::{Job, JobId, Millis, Name, Queue, SessionId, UniqueKey};
use tokio::sync::watch;

use super::{Fault, FaultyStore};
use crate::{
    CommitRequest, CommitResult, Depth, DueWork, JournalPage, Mutation, PeerEvents, Position,
    Precondition, ServerId, SessionInfo, SessionRow, Store, StoreError, StoreFuture, Transaction,
    TrimRequest, TrimResult,
};

/// The detail of every injected error.
fn injected() -> String {
    "injected fault".into()
}

fn needs_space(request: &CommitRequest) -> bool {
    let mutations = request.transactions.iter().flat_map(|transaction| &transaction.mutations);
    mutations.into_iter().any(Mutation::needs_space)
}

impl FaultyStore {
    /// Never completes once the caller is disconnected.
    fn unless_disconnected<'a, T: Send + 'a>(
        &'a self,
        request: StoreFuture<'a, T>,
    ) -> StoreFuture<'a, T> {
        let mut is_disconnected = self.is_disconnected.subscribe();
        Box::pin(async move {
            let disconnected = async { is_disconnected.wait_for(|is| *is).await.map(drop) };
            tokio::select! {
                biased;
                _ = disconnected => std::future::pending().await,
                result = request => result,
            }
        })
    }

    /// Sends a request that is no commit. It is created only after the delay, because a store may
    /// start its work before the future is polled.
    fn read_with_faults<'a, T: Send + 'a>(
        &'a self,
        request: impl FnOnce(&'a dyn Store) -> StoreFuture<'a, T> + Send + 'a,
    ) -> StoreFuture<'a, T> {
        let fault = self.reads.next(false);
        self.unless_disconnected(Box::pin(async move {
            match fault {
                Some(Fault::SlowRequest(delay)) => tokio::time::sleep(delay).await,
                Some(Fault::LostRequest | Fault::Unavailable) => {
                    return Err(StoreError::Unavailable(injected()));
                }
                _ => {}
            }
            let result = request(&*self.inner).await;
            match fault {
                Some(Fault::SlowResponse(delay)) => tokio::time::sleep(delay).await,
                Some(Fault::LostResponse) => return Err(StoreError::Unavailable(injected())),
                _ => {}
            }
            result
        }))
    }

    fn was_applied(&self, request: &CommitRequest) -> bool {
        self.applied().get(&request.writer) == Some(&request.number)
    }

    /// Raises the versions of the jobs that `request` depends on, as another writer would.
    async fn update_concurrently(&self, request: &CommitRequest) -> Result<(), StoreError> {
        let transactions = request.transactions.iter();
        let preconditions = transactions.flat_map(|transaction| &transaction.preconditions);
        let mut ids: Vec<JobId> = preconditions.filter_map(job_of_version).collect();
        ids.sort();
        ids.dedup();
        // The lock is held over the commit, because a writer has one request in flight.
        let mut writer = self.concurrent_writer.lock().await;
        let jobs = self.inner.read(ids).await?;
        let live = jobs.into_iter().flatten().filter(|job| !job.status.state.is_terminal());
        let update = live.fold(writer.request(request.now), |update, job| {
            update.transaction(raise_version(&job))
        });
        self.inner.commit(update.build()).await.map(drop)
    }
}

fn job_of_version(precondition: &Precondition) -> Option<JobId> {
    match precondition {
        Precondition::JobVersion { id, .. } => Some(*id),
        _ => None,
    }
}

/// Returns a transaction that changes nothing of the job but its version.
fn raise_version(job: &Job) -> Transaction {
    let (id, version) = (job.id, job.status.version);
    let mut job = job.clone();
    job.status.version += 1;
    Transaction {
        idempotency: None,
        preconditions: vec![Precondition::JobVersion { id, version }],
        mutations: vec![Mutation::Update { job: Arc::new(job), attempt_end: None }],
    }
}

impl Store for FaultyStore {
    fn commit(&self, request: CommitRequest) -> StoreFuture<'_, CommitResult> {
        let is_idle = request.transactions.is_empty() && request.claims.is_empty();
        let fault = self.commits.next(is_idle);
        let mut holds_commits = self.holds_commits.subscribe();
        self.unless_disconnected(Box::pin(async move {
            let _ = holds_commits.wait_for(|holds| !holds).await;
            match fault {
                Some(Fault::LostRequest) => return Err(StoreError::OutcomeUnknown(injected())),
                Some(Fault::Unavailable) => return Err(StoreError::Unavailable(injected())),
                Some(Fault::Full) if needs_space(&request) && !self.was_applied(&request) => {
                    return Err(StoreError::Full(injected()));
                }
                Some(Fault::ConcurrentUpdate) => self.update_concurrently(&request).await?,
                Some(Fault::SlowRequest(delay)) => tokio::time::sleep(delay).await,
                _ => {}
            }
            let (writer, number) = (request.writer, request.number);
            let result = self.inner.commit(request).await;
            if result.is_ok() {
                self.applied().insert(writer, number);
            }
            match (fault, &result) {
                (Some(Fault::LostResponse), Ok(_)) => Err(StoreError::OutcomeUnknown(injected())),
                (Some(Fault::SlowResponse(delay)), _) => {
                    tokio::time::sleep(delay).await;
                    result
                }
                _ => result,
            }
        }))
    }

    fn read(&self, ids: Vec<JobId>) -> StoreFuture<'_, Vec<Option<Arc<Job>>>> {
        self.read_with_faults(move |inner| inner.read(ids))
    }

    fn holders(&self, keys: Vec<UniqueKey>, now: Millis) -> StoreFuture<'_, Vec<Option<JobId>>> {
        self.read_with_faults(move |inner| inner.holders(keys, now))
    }

    fn queues(&self) -> StoreFuture<'_, Vec<Queue>> {
        self.read_with_faults(move |inner| inner.queues())
    }

    fn depths(&self) -> StoreFuture<'_, Vec<Depth>> {
        self.read_with_faults(move |inner| inner.depths())
    }

    fn oldest_ready(&self, queues: Vec<Name>) -> StoreFuture<'_, Vec<Option<Millis>>> {
        self.read_with_faults(move |inner| inner.oldest_ready(queues))
    }

    fn session_jobs(&self, session: SessionId) -> StoreFuture<'_, Vec<Arc<Job>>> {
        self.read_with_faults(move |inner| inner.session_jobs(session))
    }

    fn sessions(&self) -> StoreFuture<'_, Vec<SessionRow>> {
        self.read_with_faults(move |inner| inner.sessions())
    }

    fn session_infos(&self, sessions: Vec<SessionId>) -> StoreFuture<'_, Vec<Option<SessionInfo>>> {
        self.read_with_faults(move |inner| inner.session_infos(sessions))
    }

    fn extend_sessions(&self, until: Millis) -> StoreFuture<'_, ()> {
        self.read_with_faults(move |inner| inner.extend_sessions(until))
    }

    fn due_work(&self, now: Millis, limit: usize) -> StoreFuture<'_, DueWork> {
        self.read_with_faults(move |inner| inner.due_work(now, limit))
    }

    fn read_journal(&self, after: Position, limit: usize) -> StoreFuture<'_, JournalPage> {
        self.read_with_faults(move |inner| inner.read_journal(after, limit))
    }

    fn wait_replicated(&self, up_to: Position) -> StoreFuture<'_, bool> {
        self.read_with_faults(move |inner| inner.wait_replicated(up_to))
    }

    fn head(&self) -> watch::Receiver<Position> {
        self.inner.head()
    }

    fn trim(&self, trim: TrimRequest) -> StoreFuture<'_, TrimResult> {
        self.read_with_faults(move |inner| inner.trim(trim))
    }

    fn peer_events(&self, server: ServerId) -> StoreFuture<'_, PeerEvents> {
        self.unless_disconnected(self.inner.peer_events(server))
    }

    fn acquire_leader_lease(&self, server: ServerId, lasts: Duration) -> StoreFuture<'_, bool> {
        self.read_with_faults(move |inner| inner.acquire_leader_lease(server, lasts))
    }
}
