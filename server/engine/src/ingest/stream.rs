//! One stream of a producer: receives items and commits them in batches, one commit at a time.

use std::collections::{HashSet, VecDeque};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use futures_util::{FutureExt, Stream, StreamExt};
use sentinel_domain::limits::{
    BATCH_BYTES, BATCH_JOBS, INGEST_BYTES, INGEST_WINDOW_BYTES, INGEST_WINDOW_ITEMS,
};
use sentinel_domain::{NewJob, Scopes};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::time::{Instant, sleep, sleep_until, timeout};
use tokio_util::sync::CancellationToken;

use crate::EngineError;
use crate::commit::{ProducerOffset, ProducerState, RejectedItem};
use crate::error::ItemError;
use crate::jobs::{BatchRecord, Enqueuer, Submitter, check_new_job};

/// How long a stream waits while the server is overloaded, before it fails.
const OVERLOADED_MAX: Duration = Duration::from_secs(10);

/// The pause between two tries under overload or contention.
const RETRY_AFTER: Duration = Duration::from_millis(20);

/// How often a contended commit is tried, each time with several conflicts.
const COMMIT_TRIES: usize = 10;

/// How often an idle stream renews the offset of its producer, so that it does not expire.
const RENEW_EVERY: Duration = Duration::from_secs(24 * 60 * 60);

/// A producer that reads no progress for this time is disconnected.
const READ_TIMEOUT: Duration = Duration::from_secs(30);

/// What all streams of a server share.
pub(super) struct StreamContext {
    pub(super) enqueuer: Enqueuer,
    /// The bytes that all waiting items may take.
    pub(super) bytes: Arc<Semaphore>,
}

/// An item as received.
#[derive(Debug)]
pub struct IngestItem {
    pub offset: u64,
    /// The size of the encoded spec.
    pub bytes: u64,
    pub new: Result<NewJob, ItemError>,
}

/// The progress of a producer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IngestProgress {
    /// All items up to this offset are committed.
    pub committed: u64,
    /// The rejected items of the last commit; at the start, all that are recorded.
    pub rejected: Vec<RejectedItem>,
}

/// An item that waits for its commit, with its share of the memory limit.
struct Waiting {
    item: IngestItem,
    permit: Option<OwnedSemaphorePermit>,
}

/// The number and the bytes of some items.
type ItemCount = (u64, u64);

/// A commit under way: the items that it covers, and the offset after it.
type Commit = BoxFuture<'static, (ItemCount, Result<ProducerOffset, EngineError>)>;

/// A stream that owns its producer.
pub struct IngestStream {
    context: Arc<StreamContext>,
    state: Arc<ProducerState>,
    actor: Arc<str>,
    scopes: Scopes,
    waiting: VecDeque<Waiting>,
    _permit: OwnedSemaphorePermit,
    /// The offset that the next item must have.
    next: u64,
    /// The items that were received and not yet reported as committed.
    unreported: ItemCount,
}

impl IngestStream {
    pub(super) fn new(
        context: Arc<StreamContext>,
        permit: OwnedSemaphorePermit,
        state: ProducerState,
        actor: &str,
        scopes: Scopes,
    ) -> Self {
        Self {
            context,
            _permit: permit,
            next: state.offset.committed + 1,
            state: Arc::new(state),
            actor: actor.into(),
            scopes,
            waiting: VecDeque::new(),
            unreported: (0, 0),
        }
    }

    /// Returns the progress at the start of the stream.
    pub fn progress(&self) -> IngestProgress {
        let ProducerOffset { committed, rejected, .. } = &self.state.offset;
        IngestProgress { committed: *committed, rejected: rejected.iter().cloned().collect() }
    }

    /// Commits items until the stream ends and none waits, or until `stop` is cancelled and the
    /// commit under way is reported.
    pub async fn run(
        mut self,
        items: impl Stream<Item = IngestItem> + Send,
        progress: mpsc::Sender<IngestProgress>,
        stop: CancellationToken,
    ) -> Result<(), EngineError> {
        // The next item is not read before the last one has its share of the memory limit.
        let bytes = self.context.bytes.clone();
        let mut items = pin!(items.then(|item| wait_for_bytes(bytes.clone(), item)));
        let mut commit: Option<Commit> = None;
        let mut end: Option<Result<(), EngineError>> = None;
        let mut renew_at = Instant::now() + RENEW_EVERY;
        loop {
            let is_stopped = stop.is_cancelled();
            if commit.is_none() && !is_stopped {
                commit = self.next_commit();
            }
            if commit.is_none() {
                if is_stopped {
                    return Err(EngineError::ShuttingDown);
                }
                if let Some(end) = end {
                    return end;
                }
            }
            tokio::select! {
                (covered, offset) = under_way(&mut commit) => {
                    commit = None;
                    renew_at = Instant::now() + RENEW_EVERY;
                    let committed = self.advance(offset?);
                    let report = async {
                        tokio::select! {
                            biased;
                            // A producer that has disconnected needs no report; its items are
                            // committed all the same.
                            _ = progress.send(committed) => {}
                            () = stop.cancelled() => {}
                        }
                    };
                    if timeout(READ_TIMEOUT, report).await.is_err() {
                        return Ok(());
                    }
                    self.unreported =
                        (self.unreported.0 - covered.0, self.unreported.1 - covered.1);
                }
                item = items.next(), if end.is_none() && !is_stopped => match item {
                    Some(item) => end = self.receive(item).err().map(Err),
                    None => end = Some(Ok(())),
                },
                () = stop.cancelled(), if !is_stopped => {}
                () = sleep_until(renew_at), if commit.is_none() => commit = Some(self.commit(0, 0)),
            }
        }
    }

    fn receive(&mut self, mut waiting: Waiting) -> Result<(), EngineError> {
        let item = &mut waiting.item;
        if item.offset < self.next && item.offset > 0 {
            return Ok(());
        }
        if item.offset != self.next {
            let text = format!("{} does not follow: expected {}", item.offset, self.next);
            return Err(EngineError::invalid("item.offset", text));
        }
        let (count, bytes) = self.unreported;
        if count >= INGEST_WINDOW_ITEMS {
            let text = format!("exceeds the window: {count} items are not reported as committed");
            return Err(EngineError::invalid("item", text));
        }
        let bytes = bytes + item.bytes;
        if count > 0 && bytes > INGEST_WINDOW_BYTES {
            let text = format!(
                "exceeds the window: with it, {bytes} bytes are not reported as committed, at \
                 most {INGEST_WINDOW_BYTES}"
            );
            return Err(EngineError::invalid("item", text));
        }
        if let Ok(new) = &item.new
            && let Err(error) = check_new_job(&self.scopes, "spec", new)
        {
            item.new = Err(ItemError::try_from(error)?);
        }
        self.unreported = (count + 1, bytes);
        self.next += 1;
        self.waiting.push_back(waiting);
        Ok(())
    }

    /// Begins the commit of the waiting items, up to the limits of a batch and up to the second
    /// item of the same unique key: that one must meet the job of the first.
    fn next_commit(&mut self) -> Option<Commit> {
        let (mut count, mut payload, mut bytes) = (0, 0, 0);
        let mut keys = HashSet::new();
        for Waiting { item, .. } in self.waiting.iter().take(BATCH_JOBS as usize) {
            if let Ok(new) = &item.new {
                payload += new.payload.len() as u64;
                let is_new = new.unique_key.as_ref().is_none_or(|key| keys.insert(key));
                if count > 0 && (payload > BATCH_BYTES || !is_new) {
                    break;
                }
            }
            (count, bytes) = (count + 1, bytes + item.bytes);
        }
        (count > 0).then(|| self.commit(count, bytes))
    }

    /// Returns the commit of the first waiting items, which have `bytes`.
    fn commit(&mut self, count: usize, bytes: u64) -> Commit {
        let waiting =
            self.waiting.drain(..count).map(|Waiting { item, permit }| (item.new, permit));
        let (items, permits): (Vec<_>, Vec<_>) = waiting.unzip();
        let (context, state) = (self.context.clone(), self.state.clone());
        let (actor, scopes) = (self.actor.clone(), self.scopes.clone());
        let commit = async move {
            let submitter = Submitter { actor: &actor, scopes: &scopes };
            let offset = commit_items(&context.enqueuer, &state, items, submitter).await;
            drop(permits);
            ((count as u64, bytes), offset)
        };
        commit.boxed()
    }

    fn advance(&mut self, offset: ProducerOffset) -> IngestProgress {
        let before = self.state.offset.committed;
        let rejected = offset.rejected.iter().filter(|rejected| rejected.offset > before);
        let progress =
            IngestProgress { committed: offset.committed, rejected: rejected.cloned().collect() };
        self.state = Arc::new(self.state.moved_to(offset));
        progress
    }
}

/// Waits for the item's share of the memory limit. An item above the limit takes all of it.
async fn wait_for_bytes(limit: Arc<Semaphore>, item: IngestItem) -> Waiting {
    let bytes = u32::try_from(item.bytes.min(INGEST_BYTES)).unwrap_or(u32::MAX);
    // The semaphore is never closed.
    let permit = limit.acquire_many_owned(bytes).await.ok();
    Waiting { item, permit }
}

/// Waits for the commit under way; forever when there is none.
async fn under_way(
    commit: &mut Option<Commit>,
) -> (ItemCount, Result<ProducerOffset, EngineError>) {
    match commit {
        Some(commit) => commit.await,
        None => std::future::pending().await,
    }
}

/// Creates the jobs of items that follow the offset of a producer, and returns the new offset.
async fn commit_items(
    enqueuer: &Enqueuer,
    state: &ProducerState,
    items: Vec<Result<NewJob, ItemError>>,
    submitter: Submitter<'_>,
) -> Result<ProducerOffset, EngineError> {
    wait_for_load(enqueuer).await?;
    let record = BatchRecord::Producer(state);
    let mut drafts = enqueuer.draft(items, false, submitter, record).await?;
    let mut tries = 1;
    loop {
        match enqueuer.commit(&mut drafts, false, submitter, record).await {
            Err(EngineError::Contended) if tries < COMMIT_TRIES => {
                tries += 1;
                sleep(RETRY_AFTER).await;
            }
            items => {
                let items = items?;
                let level = enqueuer.producer_level(&drafts, &items, state);
                return Ok(state.after(&items, level));
            }
        }
    }
}

/// Waits while the server is overloaded. Unlike single enqueues, a stream is slowed down before
/// it is refused.
async fn wait_for_load(enqueuer: &Enqueuer) -> Result<(), EngineError> {
    let until = Instant::now() + OVERLOADED_MAX;
    while Instant::now() < until {
        if enqueuer.committer.accepts_jobs() {
            return Ok(());
        }
        sleep(RETRY_AFTER).await;
    }
    enqueuer.check_load()
}
