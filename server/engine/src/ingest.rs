//! Ingest: the numbered items of a producer, each a job once. How far they are committed is
//! remembered in the commit that makes jobs of them, and the commit holds only while nobody
//! else has moved the producer since.

mod standing;

use std::collections::{HashSet, VecDeque};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use futures_util::{FutureExt, Stream, StreamExt};
use sentinel_domain::limits::{
    BATCH_BYTES, BATCH_JOBS, INGEST_BYTES, INGEST_STREAMS, INGEST_WINDOW_BYTES, INGEST_WINDOW_ITEMS,
};
use sentinel_domain::{Ack, NewJob, check_name};
use sentinel_store::{Conflict, PRODUCER, Transaction, TransactionResult};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::time::{Instant, sleep, sleep_until, timeout};
use tokio_util::sync::CancellationToken;

use crate::batch::{ItemRefused, Trace};
use crate::{Engine, EngineError, TRIES};

use standing::Place;
pub use standing::RefusedItem;
pub(crate) use standing::Standing;

/// How long a stream waits while too much waits to be committed, before it ends with that.
const OVERLOADED_MAX: Duration = Duration::from_secs(10);

/// Between two looks while it waits.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// How often a commit is decided anew, each time after [`TRIES`] conflicts.
const TURNS: usize = 10;

/// How often a stream that has nothing to commit says that its producer is there, so that its
/// position is not forgotten.
const RENEW_EVERY: Duration = Duration::from_secs(24 * 60 * 60);

/// A producer that reads nothing for so long is gone.
const READ_WITHIN: Duration = Duration::from_secs(30);

/// What all streams of a server share.
pub(crate) struct Producing {
    streams: Arc<Semaphore>,
    bytes: Arc<Semaphore>,
}

impl Default for Producing {
    fn default() -> Self {
        Self {
            streams: Arc::new(Semaphore::new(INGEST_STREAMS as usize)),
            bytes: Arc::new(Semaphore::new(INGEST_BYTES as usize)),
        }
    }
}

/// An item that has its room among all that wait.
struct Waiting {
    item: IngestItem,
    room: Option<OwnedSemaphorePermit>,
}

/// Who opens a stream of items.
#[derive(Clone, Debug)]
pub struct Producer {
    /// As it names itself.
    pub id: String,
    /// Keeps apart producers of the same name that must not know of each other.
    pub realm: Option<u64>,
    /// What must have the items before they are told as committed, at least.
    pub ack: Option<Ack>,
    pub actor: String,
}

/// An item as it came.
#[derive(Debug)]
pub struct IngestItem {
    pub offset: u64,
    /// Of the encoded spec.
    pub bytes: u64,
    pub new: Result<NewJob, ItemRefused>,
}

/// What a producer is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IngestProgress {
    /// Everything up to here is committed.
    pub committed: u64,
    /// Items that became no jobs: of this commit, or at the start of those remembered.
    pub refused: Vec<RefusedItem>,
}

/// The stream that holds a producer.
pub struct Ingest {
    engine: Engine,
    standing: Arc<Standing>,
    actor: Arc<str>,
    waiting: VecDeque<Waiting>,
    _stream: OwnedSemaphorePermit,
    /// Of the next item that was not seen yet.
    next: u64,
    /// Items, and bytes of them, of which the producer was not told that they are committed.
    untold: (u64, u64),
}

/// A commit under way: what it covers, and what came of it.
type Commit = BoxFuture<'static, ((u64, u64), Result<Place, EngineError>)>;

impl Engine {
    /// Takes a producer over: a stream that had it before commits nothing any more.
    pub async fn ingest(&self, producer: Producer) -> Result<Ingest, EngineError> {
        let Producer { id, realm, ack, actor } = producer;
        let mut violations = Vec::new();
        check_name(&mut violations, "start.producer_id", &id);
        if !violations.is_empty() {
            return Err(EngineError::Invalid(violations));
        }
        if ack == Some(Ack::Replicated) && !self.settings.has_replicas {
            let text = "this server has no replicas to wait for: it is not on Redis";
            return Err(EngineError::invalid("start.ack", text));
        }
        self.refuse_if_cut_off()?;
        let streams = self.producing.streams.clone();
        let stream = streams.try_acquire_owned().map_err(|_| EngineError::TooManyProducers)?;
        let realm = realm.map_or_else(String::new, |realm| format!("/{realm:016x}"));
        let mut standing = Standing {
            id: format!("{PRODUCER}{id}{realm}").into(),
            place: Place::default(),
            known: None,
            least: ack.unwrap_or(self.settings.ack),
        };
        for _ in 0..TRIES {
            let place = Place { stream: self.chance.throw(), ..standing.place.clone() };
            let mut group = Transaction::default();
            standing.advance(&mut group, &place, self.now());
            // What it reads may have been kept from the producer until it was safe.
            match self.acknowledge(group, standing.least.max(place.level)).await? {
                TransactionResult::Committed => {
                    return Ok(Ingest::new(self, stream, standing.at(place), &actor));
                }
                TransactionResult::Conflict(Conflict::Remembered { answer, .. }) => {
                    standing.place =
                        answer.as_deref().map(Place::read).transpose()?.unwrap_or_default();
                    standing.known = answer;
                }
                _ => break,
            }
        }
        Err(EngineError::Contended)
    }
}

impl Ingest {
    fn new(engine: &Engine, stream: OwnedSemaphorePermit, standing: Standing, actor: &str) -> Self {
        Self {
            engine: engine.clone(),
            _stream: stream,
            next: standing.place.committed + 1,
            standing: Arc::new(standing),
            actor: actor.into(),
            waiting: VecDeque::new(),
            untold: (0, 0),
        }
    }

    /// Where the producer stands.
    pub fn progress(&self) -> IngestProgress {
        let Place { committed, refused, .. } = &self.standing.place;
        IngestProgress { committed: *committed, refused: refused.iter().cloned().collect() }
    }

    /// Commits what comes, one commit at a time, until there are no more items and nothing
    /// waits, or `stop` is cancelled and the commit under way is told.
    pub async fn run(
        mut self,
        items: impl Stream<Item = IngestItem> + Send,
        told: mpsc::Sender<IngestProgress>,
        stop: CancellationToken,
    ) -> Result<(), EngineError> {
        // Nothing is read from a stream whose last item has no room yet.
        let room = self.engine.producing.bytes.clone();
        let mut items = pin!(items.then(|item| wait_for_room(room.clone(), item)));
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
                (covers, done) = under_way(&mut commit) => {
                    commit = None;
                    renew_at = Instant::now() + RENEW_EVERY;
                    let progress = self.moved(done?);
                    let tell = async {
                        tokio::select! {
                            biased;
                            // Who has gone is not told; what it sent is committed all the same.
                            _ = told.send(progress) => {}
                            () = stop.cancelled() => {}
                        }
                    };
                    if timeout(READ_WITHIN, tell).await.is_err() {
                        return Ok(());
                    }
                    self.untold = (self.untold.0 - covers.0, self.untold.1 - covers.1);
                }
                item = items.next(), if end.is_none() && !is_stopped => match item {
                    Some(item) => end = self.take(item).err().map(Err),
                    None => end = Some(Ok(())),
                },
                () = stop.cancelled(), if !is_stopped => {}
                () = sleep_until(renew_at), if commit.is_none() => commit = Some(self.commit(0, 0)),
            }
        }
    }

    fn take(&mut self, waiting: Waiting) -> Result<(), EngineError> {
        let item = &waiting.item;
        if item.offset < self.next && item.offset > 0 {
            return Ok(());
        }
        if item.offset != self.next {
            let text = format!("{} does not follow: {} is expected", item.offset, self.next);
            return Err(EngineError::invalid("item.offset", text));
        }
        let (count, bytes) = self.untold;
        if count >= INGEST_WINDOW_ITEMS {
            let text = format!("is over the window: {count} items are not told as committed");
            return Err(EngineError::invalid("item", text));
        }
        let bytes = bytes + item.bytes;
        if count > 0 && bytes > INGEST_WINDOW_BYTES {
            let text = format!(
                "is over the window: with it, {bytes} bytes are not told as committed, at most \
                 {INGEST_WINDOW_BYTES}"
            );
            return Err(EngineError::invalid("item", text));
        }
        self.untold = (count + 1, bytes);
        self.next += 1;
        self.waiting.push_back(waiting);
        Ok(())
    }

    /// Begins the commit of what waits, up to the bounds of a batch and as far as no two items
    /// have the same unique key: what the second one meets is the job of the first.
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

    /// The commit of the first items that wait, with their bytes.
    fn commit(&mut self, count: usize, bytes: u64) -> Commit {
        let waiting = self.waiting.drain(..count).map(|Waiting { item, room }| (item.new, room));
        let (items, rooms): (Vec<_>, Vec<_>) = waiting.unzip();
        let (engine, standing) = (self.engine.clone(), self.standing.clone());
        let actor = self.actor.clone();
        let commit = async move {
            let place = engine.commit_items(&standing, items, &actor).await;
            drop(rooms);
            ((count as u64, bytes), place)
        };
        commit.boxed()
    }

    fn moved(&mut self, place: Place) -> IngestProgress {
        let before = self.standing.place.committed;
        let refused = place.refused.iter().filter(|refused| refused.offset > before);
        let progress =
            IngestProgress { committed: place.committed, refused: refused.cloned().collect() };
        self.standing = Arc::new(self.standing.at(place));
        progress
    }
}

/// An item that is larger than all the room takes all of it.
async fn wait_for_room(room: Arc<Semaphore>, item: IngestItem) -> Waiting {
    let bytes = u32::try_from(item.bytes.min(INGEST_BYTES)).unwrap_or(u32::MAX);
    // No room at all: the semaphore is closed, which it never is.
    let room = room.acquire_many_owned(bytes).await.ok();
    Waiting { item, room }
}

/// The end of the commit under way; never where there is none.
async fn under_way(commit: &mut Option<Commit>) -> ((u64, u64), Result<Place, EngineError>) {
    match commit {
        Some(commit) => commit.await,
        None => std::future::pending().await,
    }
}

impl Engine {
    /// Makes jobs of items that follow where a producer stands.
    async fn commit_items(
        &self,
        standing: &Standing,
        items: Vec<Result<NewJob, ItemRefused>>,
        actor: &str,
    ) -> Result<Place, EngineError> {
        self.wait_for_load().await?;
        let trace = Trace::Position(standing);
        let mut drafts = self.drafts(items, false, actor, trace).await?;
        for _ in 1..TURNS {
            match self.commit_drafts(&mut drafts, false, trace).await {
                Err(EngineError::Contended) => sleep(LOOK_EVERY).await,
                done => return self.place_after(standing, done),
            }
        }
        let done = self.commit_drafts(&mut drafts, false, trace).await;
        self.place_after(standing, done)
    }

    fn place_after(
        &self,
        standing: &Standing,
        done: Result<Vec<crate::BatchItem>, EngineError>,
    ) -> Result<Place, EngineError> {
        let items = done?;
        let level = self.level_of_items(&items).max(standing.least);
        Ok(standing.after(&items, level))
    }

    /// Items of a stream are not turned away when too much waits: the stream waits.
    async fn wait_for_load(&self) -> Result<(), EngineError> {
        let until = Instant::now() + OVERLOADED_MAX;
        while Instant::now() < until {
            if self.commits.has_room() {
                return Ok(());
            }
            sleep(LOOK_EVERY).await;
        }
        self.admit_load()
    }
}
