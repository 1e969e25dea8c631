//! Opening a directory: the ledger's live jobs, then the journal after its checkpoint.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use prost::Message;
use sentinel_domain::{Job, JobId, Millis, Queue, UniqueKey};
use sentinel_store::{JournalEntry, IdempotencyRecord, Position, ServerId, SessionRow, codec, stored};
use tokio::sync::watch;

use crate::ballast::Ballast;
use crate::core::StoreCore;
use crate::epoch;
use crate::journal::{Journal, JournalOptions, Row};
use crate::replies::Replies;
use crate::requests::Requests;
use crate::ring::Ring;
use crate::state::Hot;
use crate::{DirLock, EmbeddedStore, OpenError};

/// How much of the journal is kept in memory for readers.
#[derive(Clone, Copy, Debug)]
pub struct RingLimits {
    /// Job events.
    pub events: usize,
    /// Of stored form.
    pub bytes: usize,
}

/// How a directory is opened.
#[derive(Clone, Debug)]
pub struct OpenOptions {
    /// The right to the directory, kept as long as the store.
    pub lock: Arc<DirLock>,
    pub now: Millis,
    /// When the sessions of RUNNING jobs expire, unless somebody owns them before.
    pub sessions_expire_at: Millis,
    /// A file that has as much is followed by a new one.
    pub journal_segment_bytes: u64,
    /// Beyond it projected files go, whatever their age. Nothing unprojected ever goes.
    pub journal_max_bytes: u64,
    pub ring: RingLimits,
    /// Room that is given back when the disk is full; 0 for none.
    pub ballast_bytes: u64,
}

impl OpenOptions {
    /// Every default: files of 64 MiB, 4 GiB in all, 65,536 events or 64 MiB in memory, 64 MiB
    /// of ballast, and sessions that expire 15 s from now.
    pub fn new(lock: Arc<DirLock>, now: Millis) -> Self {
        Self {
            lock,
            now,
            sessions_expire_at: now + 15_000,
            journal_segment_bytes: 64 << 20,
            journal_max_bytes: 4 << 30,
            ring: RingLimits { events: 65_536, bytes: 64 << 20 },
            ballast_bytes: 64 << 20,
        }
    }
}

/// What the ledger knows. The default is a ledger without anything.
#[derive(Clone, Debug, Default)]
pub struct LedgerState {
    /// Everything up to here is in `jobs` and `queues`.
    pub checkpoint: Position,
    /// Live jobs, and the final ones that a BLOCKED one of them still waits for.
    pub jobs: Vec<Job>,
    pub queues: Vec<Queue>,
    /// Unique keys of other final jobs whose own time is not over, with that time.
    pub keys: Vec<(UniqueKey, JobId, Millis)>,
    /// Where producers stand; the journal knows better where it has them.
    pub producers: Vec<IdempotencyRecord>,
}

/// Only the requests of an entry: most of the journal is read for them alone.
#[derive(Clone, PartialEq, Message)]
struct Requested {
    #[prost(message, repeated, tag = "4")]
    requests: Vec<stored::IdempotencyRecord>,
}

struct Replay<'a> {
    hot: Hot,
    requests: Requests,
    names: codec::NamePool,
    checkpoint: Position,
    now: Millis,
    dir: &'a Path,
    /// Nothing of the journal was seen yet.
    is_at_start: bool,
}

impl EmbeddedStore {
    /// Opens the directory of a lock. Reads files, so not for a thread that must not wait.
    pub fn open(options: OpenOptions, seed: LedgerState) -> Result<Self, OpenError> {
        let dir: PathBuf = options.lock.dir().join("journal");
        let mut replay = Replay {
            hot: Hot { seq: seed.checkpoint.seq, ..Hot::default() },
            requests: Requests::default(),
            names: codec::NamePool::default(),
            checkpoint: seed.checkpoint,
            now: options.now,
            dir: &dir,
            is_at_start: true,
        };
        let has_checkpoint = seed.checkpoint != Position::default();
        if has_checkpoint && !replay.has_journal()? {
            return Err(OpenError::NoJournal { dir, checkpoint: seed.checkpoint });
        }
        replay.seed(seed);
        let journal_options = JournalOptions {
            dir: dir.clone(),
            segment_bytes: options.journal_segment_bytes,
            max_bytes: options.journal_max_bytes,
        };
        let mut journal = Journal::open(journal_options, options.now, &mut |epoch, row, file| {
            replay.visit(epoch, row, file)
        })?;
        replay.check(&journal)?;
        journal.note_projected(replay.checkpoint.seq);
        replay.raise_leases(epoch::lease_floor(journal.epoch()));
        let Replay { mut hot, requests, .. } = replay;
        hot.sessions.adopt_unknown(|id| SessionRow {
            id,
            owner: ServerId(0),
            expires_at: options.sessions_expire_at,
        });
        report_orphans(&hot);
        let position = Position { epoch: journal.epoch(), seq: journal.last() };
        let store = StoreCore {
            hot,
            requests,
            replies: Replies::default(),
            journal,
            ring: Ring::new(options.ring),
            ballast: Ballast::take(options.lock.dir(), options.ballast_bytes),
            position,
            head: watch::Sender::new(position),
        };
        Self::start(store, options.lock).map_err(|source| OpenError::io(&dir, source))
    }
}

impl Replay<'_> {
    fn has_journal(&self) -> Result<bool, OpenError> {
        if !self.dir.exists() {
            return Ok(false);
        }
        Journal::is_there(self.dir)
    }

    fn seed(&mut self, seed: LedgerState) {
        for queue in seed.queues {
            self.hot.set_queue(&queue.name.clone(), Some(queue));
        }
        for (key, id, until) in seed.keys {
            self.hot.keys.hold(key, id, Some(until));
        }
        for producer in seed.producers {
            self.remember(producer);
        }
        for job in seed.jobs {
            self.hot.set(job.id, Some(Arc::new(job)));
        }
    }

    fn visit(&mut self, epoch: u64, row: Row, file: &Path) -> Result<(), OpenError> {
        let seq = row.seq();
        if self.checkpoint != Position::default() && self.checkpoint.epoch != epoch {
            let dir = self.dir.to_owned();
            return Err(OpenError::OtherEpoch {
                dir,
                journal: epoch,
                ledger: self.checkpoint.epoch,
            });
        }
        if std::mem::take(&mut self.is_at_start) && seq > self.checkpoint.seq + 1 {
            let (dir, checkpoint) = (self.dir.to_owned(), self.checkpoint);
            return Err(OpenError::LedgerBehind { dir, checkpoint, first: seq });
        }
        let damaged = |error: &dyn std::fmt::Display| {
            OpenError::damaged(file, format!("entry {seq} can not be read: {error}"))
        };
        if seq <= self.checkpoint.seq {
            let requested = Requested::decode(&*row.body).map_err(|error| damaged(&error))?;
            for r in requested.requests {
                self.remember(IdempotencyRecord {
                    id: r.id.into(),
                    content_hash: r.content_hash,
                    response: r.response,
                    expires_at: r.expires_at_ms,
                });
            }
            return Ok(());
        }
        let position = Position { epoch, seq };
        let entry = codec::decode_entry(position, row.body.into(), &mut self.names)
            .map_err(|error| damaged(&error))?;
        self.apply(entry)
    }

    fn remember(&mut self, request: IdempotencyRecord) {
        if request.expires_at > self.now {
            self.requests.remember(&request);
        }
    }

    fn apply(&mut self, entry: JournalEntry) -> Result<(), OpenError> {
        let seq = entry.position.seq;
        self.hot.seq = seq;
        for queue in entry.queues {
            self.hot.set_queue(&queue.name.clone(), Some(queue));
        }
        for event in entry.jobs {
            let known = self.hot.jobs.get(&event.id).map(|job| job.spec.clone());
            let Some(spec) = event.spec.or(known) else {
                return Err(OpenError::UnknownJob { seq, job: event.id });
            };
            let job = Job { id: event.id, spec, status: event.status };
            self.hot.set(job.id, Some(Arc::new(job)));
        }
        entry.idempotency_records.into_iter().for_each(|request| self.remember(request));
        Ok(())
    }

    /// After a restore; see [`epoch::raised`].
    fn raise_leases(&mut self, floor: u64) {
        if floor == 0 {
            return;
        }
        for job in self.hot.jobs.values_mut() {
            *job = epoch::raised(job.clone(), floor);
        }
    }

    /// The checkpoint lies within the journal.
    fn check(&self, journal: &Journal) -> Result<(), OpenError> {
        let (dir, checkpoint) = (self.dir.to_owned(), self.checkpoint);
        if checkpoint != Position::default() && checkpoint.epoch != journal.epoch() {
            let (journal, ledger) = (journal.epoch(), checkpoint.epoch);
            return Err(OpenError::OtherEpoch { dir, journal, ledger });
        }
        if checkpoint.seq + 1 < journal.first() {
            return Err(OpenError::LedgerBehind { dir, checkpoint, first: journal.first() });
        }
        if checkpoint.seq > journal.last() {
            return Err(OpenError::LedgerAhead { dir, checkpoint, last: journal.last() });
        }
        Ok(())
    }
}

/// A job that waits for one that nobody knows would wait for ever without a word.
fn report_orphans(hot: &Hot) {
    for (parent, child) in hot.dependents.edges() {
        if !hot.jobs.contains_key(&parent) {
            tracing::error!(%child, %parent, "a job waits for one that does not exist: cancel it");
        }
    }
}
