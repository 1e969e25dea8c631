//! The layer itself: every call of the port on its way through the faults.

use std::sync::Arc;
use std::time::Duration;

use sentinel_domain::{Job, JobId, Millis, Name, Queue, SessionId, UniqueKey};
use tokio::sync::watch;

use super::{Fault, Faulty};
use crate::{
    CommitRequest, CommitResult, Depth, DueWork, JournalPage, Mutation, PeerEvents, Position,
    Precondition, ServerId, SessionInfo, SessionRow, Store, StoreError, StoreFuture, Transaction,
    Trim, Trimmed,
};

fn told() -> String {
    "told so".into()
}

fn creates(call: &CommitRequest) -> bool {
    let changes = call.groups.iter().flat_map(|group| &group.changes);
    changes.into_iter().any(|change| change.grows())
}

impl Faulty {
    /// Answers nothing any more once the caller is dead.
    fn unless_cut<'a, T: Send + 'a>(&'a self, work: StoreFuture<'a, T>) -> StoreFuture<'a, T> {
        let mut is_cut = self.is_cut.subscribe();
        Box::pin(async move {
            let cut = async { is_cut.wait_for(|is_cut| *is_cut).await.map(drop) };
            tokio::select! {
                biased;
                _ = cut => std::future::pending().await,
                answer = work => answer,
            }
        })
    }

    /// A call that does not change the hot truth, or that may be repeated at will. It is
    /// made only when its time has come: a home may do its work before it is awaited.
    fn ask<'a, T: Send + 'a>(
        &'a self,
        ask: impl FnOnce(&'a dyn Store) -> StoreFuture<'a, T> + Send + 'a,
    ) -> StoreFuture<'a, T> {
        let fault = self.reads.next(true);
        self.unless_cut(Box::pin(async move {
            match fault {
                Some(Fault::SlowCall(wait)) => tokio::time::sleep(wait).await,
                Some(Fault::LostCall | Fault::Unavailable) => {
                    return Err(StoreError::Unavailable(told()));
                }
                _ => {}
            }
            let answer = ask(&*self.inner).await;
            match fault {
                Some(Fault::SlowReply(wait)) => tokio::time::sleep(wait).await,
                Some(Fault::LostReply) => return Err(StoreError::Unavailable(told())),
                _ => {}
            }
            answer
        }))
    }

    fn was_applied(&self, call: &CommitRequest) -> bool {
        self.applied().get(&call.writer) == Some(&call.number)
    }

    /// Another writer, a moment earlier.
    async fn compete(&self, call: &CommitRequest) -> Result<(), StoreError> {
        let guards = call.groups.iter().flat_map(|group| &group.guards);
        let mut ids: Vec<JobId> = guards.filter_map(wanted).collect();
        ids.sort();
        ids.dedup();
        // Held over the call: a writer has one in flight.
        let mut writer = self.competitor.lock().await;
        let jobs = self.inner.read(ids).await?;
        let touch = jobs.into_iter().flatten().filter(|job| !job.status.state.is_terminal());
        let call = touch.fold(writer.call(call.now), |call, job| call.group(touched(&job)));
        self.inner.commit(call.done()).await.map(drop)
    }
}

fn wanted(guard: &Precondition) -> Option<JobId> {
    match guard {
        Precondition::JobVersion { id, .. } => Some(*id),
        _ => None,
    }
}

/// The same job, one version on.
fn touched(job: &Job) -> Transaction {
    let (id, version) = (job.id, job.status.version);
    let mut job = job.clone();
    job.status.version += 1;
    Transaction {
        request: None,
        guards: vec![Precondition::JobVersion { id, version }],
        changes: vec![Mutation::Update { job: Arc::new(job), end: None }],
    }
}

impl Store for Faulty {
    fn commit(&self, call: CommitRequest) -> StoreFuture<'_, CommitResult> {
        let fault = self.commits.next(!call.groups.is_empty() || !call.claims.is_empty());
        let mut is_held = self.is_held.subscribe();
        self.unless_cut(Box::pin(async move {
            let _ = is_held.wait_for(|is_held| !is_held).await;
            match fault {
                Some(Fault::LostCall) => return Err(StoreError::Unknown(told())),
                Some(Fault::Unavailable) => return Err(StoreError::Unavailable(told())),
                Some(Fault::Full) if creates(&call) && !self.was_applied(&call) => {
                    return Err(StoreError::Full(told()));
                }
                Some(Fault::Competitor) => self.compete(&call).await?,
                Some(Fault::SlowCall(wait)) => tokio::time::sleep(wait).await,
                _ => {}
            }
            let (writer, number) = (call.writer, call.number);
            let answer = self.inner.commit(call).await;
            if answer.is_ok() {
                self.applied().insert(writer, number);
            }
            match (fault, &answer) {
                (Some(Fault::LostReply), Ok(_)) => Err(StoreError::Unknown(told())),
                (Some(Fault::SlowReply(wait)), _) => {
                    tokio::time::sleep(wait).await;
                    answer
                }
                _ => answer,
            }
        }))
    }

    fn read(&self, ids: Vec<JobId>) -> StoreFuture<'_, Vec<Option<Arc<Job>>>> {
        self.ask(move |inner| inner.read(ids))
    }

    fn holders(&self, keys: Vec<UniqueKey>, now: Millis) -> StoreFuture<'_, Vec<Option<JobId>>> {
        self.ask(move |inner| inner.holders(keys, now))
    }

    fn queues(&self) -> StoreFuture<'_, Vec<Queue>> {
        self.ask(move |inner| inner.queues())
    }

    fn depths(&self) -> StoreFuture<'_, Vec<Depth>> {
        self.ask(move |inner| inner.depths())
    }

    fn oldest_ready(&self, queues: Vec<Name>) -> StoreFuture<'_, Vec<Option<Millis>>> {
        self.ask(move |inner| inner.oldest_ready(queues))
    }

    fn session_jobs(&self, session: SessionId) -> StoreFuture<'_, Vec<Arc<Job>>> {
        self.ask(move |inner| inner.session_jobs(session))
    }

    fn sessions(&self) -> StoreFuture<'_, Vec<SessionRow>> {
        self.ask(move |inner| inner.sessions())
    }

    fn cards(&self, sessions: Vec<SessionId>) -> StoreFuture<'_, Vec<Option<SessionInfo>>> {
        self.ask(move |inner| inner.cards(sessions))
    }

    fn extend_sessions(&self, until: Millis) -> StoreFuture<'_, ()> {
        self.ask(move |inner| inner.extend_sessions(until))
    }

    fn due_work(&self, now: Millis, limit: usize) -> StoreFuture<'_, DueWork> {
        self.ask(move |inner| inner.due_work(now, limit))
    }

    fn tail(&self, after: Position, limit: usize) -> StoreFuture<'_, JournalPage> {
        self.ask(move |inner| inner.tail(after, limit))
    }

    fn replicated(&self, up_to: Position) -> StoreFuture<'_, bool> {
        self.ask(move |inner| inner.replicated(up_to))
    }

    fn head(&self) -> watch::Receiver<Position> {
        self.inner.head()
    }

    fn trim(&self, trim: Trim) -> StoreFuture<'_, Trimmed> {
        self.ask(move |inner| inner.trim(trim))
    }

    fn news(&self, server: ServerId) -> StoreFuture<'_, PeerEvents> {
        self.unless_cut(self.inner.news(server))
    }

    fn lead(&self, server: ServerId, lasts: Duration) -> StoreFuture<'_, bool> {
        self.ask(move |inner| inner.lead(server, lasts))
    }
}
