//! The handle of the store, which sends operations to the store's thread.

use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use sentinel_domain::{Job, JobId, Millis, Name, Queue, SessionId, UniqueKey};
use sentinel_store::{
    CommitRequest, CommitResult, Depth, DueWork, IdempotencyRecord, JournalEntry, JournalPage,
    Position, SessionInfo, SessionRow, Store, StoreError, StoreFuture, TrimRequest, TrimResult,
};
use tokio::sync::{mpsc, oneshot, watch};

use crate::DirLock;
use crate::core::{JournalRead, StoreCore};
use crate::journal::{FileRead, Reader};

/// The capacity of the channel to the store's thread. Senders wait if it is full.
const CHANNEL_CAPACITY: usize = 1_024;

/// The maximum number of attempts to read journal entries whose file is trimmed meanwhile.
const READ_TRIES: usize = 3;

type Operation = Box<dyn FnOnce(&mut StoreCore) + Send>;

/// A store in memory with a journal on disk. Dropping it stops its thread after all pending
/// operations.
pub struct EmbeddedStore {
    operations: Option<mpsc::Sender<Operation>>,
    thread: Option<JoinHandle<()>>,
    head: watch::Receiver<Position>,
    reader: Arc<Mutex<Reader>>,
    _lock: Arc<DirLock>,
}

impl EmbeddedStore {
    pub(crate) fn start(mut core: StoreCore, lock: Arc<DirLock>) -> std::io::Result<Self> {
        let head = core.head.subscribe();
        let (operations, mut pending) = mpsc::channel::<Operation>(CHANNEL_CAPACITY);
        let thread =
            std::thread::Builder::new().name("sentinel-store".into()).spawn(move || {
                while let Some(operation) = pending.blocking_recv() {
                    operation(&mut core);
                }
            })?;
        Ok(Self {
            operations: Some(operations),
            thread: Some(thread),
            head,
            reader: Arc::default(),
            _lock: lock,
        })
    }

    /// Runs an operation on the store's thread. It completes even if the future is dropped.
    async fn run<T: Send + 'static>(
        &self,
        operation: impl FnOnce(&mut StoreCore) -> T + Send + 'static,
    ) -> Result<T, StoreError> {
        let (sender, result) = oneshot::channel();
        let operation: Operation = Box::new(move |core| {
            let _ = sender.send(operation(core));
        });
        let operations = self.operations.as_ref().ok_or(StoreError::Closed)?;
        operations.send(operation).await.map_err(|_| StoreError::Closed)?;
        result.await.map_err(|_| StoreError::Closed)
    }

    /// Returns all stored idempotency records, for an import into another store.
    pub async fn idempotency_records(&self) -> Result<Vec<IdempotencyRecord>, StoreError> {
        self.run(|core| core.records.all()).await
    }

    async fn read_file(
        &self,
        read: FileRead,
    ) -> Result<Option<Vec<Arc<JournalEntry>>>, StoreError> {
        let reader = self.reader.clone();
        let reading = tokio::task::spawn_blocking(move || {
            reader.lock().unwrap_or_else(PoisonError::into_inner).read(&read)
        });
        reading.await.map_err(|error| StoreError::Unavailable(error.to_string()))?
    }
}

impl Drop for EmbeddedStore {
    fn drop(&mut self) {
        self.operations = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl Store for EmbeddedStore {
    fn commit(&self, request: CommitRequest) -> StoreFuture<'_, CommitResult> {
        Box::pin(async move { self.run(move |core| core.commit(request)).await? })
    }

    fn read(&self, ids: Vec<JobId>) -> StoreFuture<'_, Vec<Option<Arc<Job>>>> {
        Box::pin(
            self.run(move |core| ids.iter().map(|id| core.state.jobs.get(id).cloned()).collect()),
        )
    }

    fn holders(&self, keys: Vec<UniqueKey>, now: Millis) -> StoreFuture<'_, Vec<Option<JobId>>> {
        Box::pin(
            self.run(move |core| keys.iter().map(|key| core.state.keys.holder(key, now)).collect()),
        )
    }

    fn queues(&self) -> StoreFuture<'_, Vec<Queue>> {
        Box::pin(self.run(|core| {
            let mut queues: Vec<Queue> =
                core.state.queues.values().filter_map(|queue| queue.declared().cloned()).collect();
            queues.sort_by(|a, b| a.name.cmp(&b.name));
            queues
        }))
    }

    fn depths(&self) -> StoreFuture<'_, Vec<Depth>> {
        Box::pin(self.run(|core| core.state.depths()))
    }

    fn oldest_ready(&self, queues: Vec<Name>) -> StoreFuture<'_, Vec<Option<Millis>>> {
        Box::pin(self.run(move |core| core.state.oldest_ready(&queues)))
    }

    fn session_jobs(&self, session: SessionId) -> StoreFuture<'_, Vec<Arc<Job>>> {
        Box::pin(self.run(move |core| core.state.session_jobs(session)))
    }

    fn sessions(&self) -> StoreFuture<'_, Vec<SessionRow>> {
        Box::pin(self.run(|core| core.state.sessions.rows().collect()))
    }

    fn session_infos(&self, sessions: Vec<SessionId>) -> StoreFuture<'_, Vec<Option<SessionInfo>>> {
        Box::pin(
            self.run(move |core| {
                sessions.into_iter().map(|id| core.state.sessions.info(id)).collect()
            }),
        )
    }

    fn extend_sessions(&self, until: Millis) -> StoreFuture<'_, ()> {
        Box::pin(self.run(move |core| core.state.sessions.extend(until)))
    }

    fn due_work(&self, now: Millis, limit: usize) -> StoreFuture<'_, DueWork> {
        Box::pin(self.run(move |core| core.state.due_work(now, limit)))
    }

    fn read_journal(&self, after: Position, limit: usize) -> StoreFuture<'_, JournalPage> {
        Box::pin(async move {
            for _ in 0..READ_TRIES {
                match self.run(move |core| core.read_journal(after, limit)).await? {
                    JournalRead::Page(page) => return Ok(page),
                    JournalRead::File(read) => {
                        if let Some(entries) = self.read_file(read).await? {
                            return Ok(JournalPage::Entries(entries));
                        }
                    }
                }
            }
            Err(StoreError::Unavailable("the journal was trimmed while it was read".into()))
        })
    }

    fn head(&self) -> watch::Receiver<Position> {
        self.head.clone()
    }

    fn trim(&self, trim: TrimRequest) -> StoreFuture<'_, TrimResult> {
        Box::pin(self.run(move |core| core.trim(&trim)))
    }
}
