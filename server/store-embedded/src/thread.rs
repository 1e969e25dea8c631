//! The store's thread, and the port in front of it.

use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use sentinel_domain::{Job, JobId, Millis, Name, Queue, SessionId, UniqueKey};
use sentinel_store::{
    CommitRequest, CommitResult, Depth, DueWork, IdempotencyRecord, JournalPage, Position,
    SessionInfo, SessionRow, Store, StoreError, StoreFuture, TrimRequest, TrimResult,
};
use tokio::sync::{mpsc, oneshot, watch};

use crate::DirLock;
use crate::core::{StoreCore, TailPart};
use crate::journal::{Older, Reader};

/// Requests that wait for the thread; who comes then waits before the channel.
const WAITING_MAX: usize = 1_024;

/// Reads of one `tail` that find their file trimmed.
const TAIL_TRIES: usize = 3;

type Request = Box<dyn FnOnce(&mut StoreCore) + Send>;

/// The hot truth in memory, with a journal. Dropping it ends its thread, after what was
/// asked of it before.
pub struct EmbeddedStore {
    requests: Option<mpsc::Sender<Request>>,
    thread: Option<JoinHandle<()>>,
    head: watch::Receiver<Position>,
    reader: Arc<Mutex<Reader>>,
    _lock: Arc<DirLock>,
}

impl EmbeddedStore {
    pub(crate) fn start(mut store: StoreCore, lock: Arc<DirLock>) -> std::io::Result<Self> {
        let head = store.head.subscribe();
        let (requests, mut waiting) = mpsc::channel::<Request>(WAITING_MAX);
        let thread =
            std::thread::Builder::new().name("sentinel-store".into()).spawn(move || {
                while let Some(request) = waiting.blocking_recv() {
                    request(&mut store);
                }
            })?;
        Ok(Self {
            requests: Some(requests),
            thread: Some(thread),
            head,
            reader: Arc::default(),
            _lock: lock,
        })
    }

    /// Runs `work` on the store's thread. It runs to its end even if nobody waits any more.
    async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut StoreCore) -> T + Send + 'static,
    ) -> Result<T, StoreError> {
        let (reply, answer) = oneshot::channel();
        let request: Request = Box::new(move |store| {
            let _ = reply.send(work(store));
        });
        let requests = self.requests.as_ref().ok_or(StoreError::Closed)?;
        requests.send(request).await.map_err(|_| StoreError::Closed)?;
        answer.await.map_err(|_| StoreError::Closed)
    }

    /// What requests were answered whose repeats may still come. For whoever takes the place of
    /// this store.
    pub async fn remembered(&self) -> Result<Vec<IdempotencyRecord>, StoreError> {
        self.run(|store| store.requests.all()).await
    }

    async fn read_older(
        &self,
        older: Older,
    ) -> Result<Option<Vec<Arc<sentinel_store::JournalEntry>>>, StoreError> {
        let reader = self.reader.clone();
        let read = tokio::task::spawn_blocking(move || {
            reader.lock().unwrap_or_else(PoisonError::into_inner).read(&older)
        });
        read.await.map_err(|error| StoreError::Unavailable(error.to_string()))?
    }
}

impl Drop for EmbeddedStore {
    fn drop(&mut self) {
        self.requests = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl Store for EmbeddedStore {
    fn commit(&self, call: CommitRequest) -> StoreFuture<'_, CommitResult> {
        Box::pin(async move { self.run(move |store| store.commit(call)).await? })
    }

    fn read(&self, ids: Vec<JobId>) -> StoreFuture<'_, Vec<Option<Arc<Job>>>> {
        Box::pin(
            self.run(move |store| ids.iter().map(|id| store.hot.jobs.get(id).cloned()).collect()),
        )
    }

    fn holders(&self, keys: Vec<UniqueKey>, now: Millis) -> StoreFuture<'_, Vec<Option<JobId>>> {
        Box::pin(
            self.run(move |store| keys.iter().map(|key| store.hot.keys.holder(key, now)).collect()),
        )
    }

    fn queues(&self) -> StoreFuture<'_, Vec<Queue>> {
        Box::pin(self.run(|store| {
            let mut queues: Vec<Queue> =
                store.hot.queues.values().filter_map(|queue| queue.declared().cloned()).collect();
            queues.sort_by(|a, b| a.name.cmp(&b.name));
            queues
        }))
    }

    fn depths(&self) -> StoreFuture<'_, Vec<Depth>> {
        Box::pin(self.run(|store| store.hot.depths()))
    }

    fn oldest_ready(&self, queues: Vec<Name>) -> StoreFuture<'_, Vec<Option<Millis>>> {
        Box::pin(self.run(move |store| store.hot.oldest_ready(&queues)))
    }

    fn session_jobs(&self, session: SessionId) -> StoreFuture<'_, Vec<Arc<Job>>> {
        Box::pin(self.run(move |store| store.hot.session_jobs(session)))
    }

    fn sessions(&self) -> StoreFuture<'_, Vec<SessionRow>> {
        Box::pin(self.run(|store| store.hot.sessions.rows().collect()))
    }

    fn session_infos(&self, sessions: Vec<SessionId>) -> StoreFuture<'_, Vec<Option<SessionInfo>>> {
        Box::pin(
            self.run(move |store| {
                sessions.into_iter().map(|id| store.hot.sessions.card(id)).collect()
            }),
        )
    }

    fn extend_sessions(&self, until: Millis) -> StoreFuture<'_, ()> {
        Box::pin(self.run(move |store| store.hot.sessions.extend(until)))
    }

    fn due_work(&self, now: Millis, limit: usize) -> StoreFuture<'_, DueWork> {
        Box::pin(self.run(move |store| store.hot.due_work(now, limit)))
    }

    fn read_journal(&self, after: Position, limit: usize) -> StoreFuture<'_, JournalPage> {
        Box::pin(async move {
            for _ in 0..TAIL_TRIES {
                match self.run(move |store| store.tail(after, limit)).await? {
                    TailPart::Here(tail) => return Ok(tail),
                    TailPart::Older(older) => {
                        if let Some(entries) = self.read_older(older).await? {
                            return Ok(JournalPage::Entries(entries));
                        }
                    }
                }
            }
            Err(StoreError::Unavailable("the journal is trimmed faster than it is read".into()))
        })
    }

    fn head(&self) -> watch::Receiver<Position> {
        self.head.clone()
    }

    fn trim(&self, trim: TrimRequest) -> StoreFuture<'_, TrimResult> {
        Box::pin(self.run(move |store| store.trim(&trim)))
    }
}
