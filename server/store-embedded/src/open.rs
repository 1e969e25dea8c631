//! Opening a directory: the ledger's live jobs, then the journal entries after its checkpoint.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use prost::Message;
use sentinel_domain::{Job, JobId, Millis, Queue, UniqueKey};
use sentinel_store::{
    IdempotencyRecord, JournalEntry, Position, ServerId, SessionRow, codec, stored,
};
use tokio::sync::watch;

use crate::ballast::Ballast;
use crate::core::StoreCore;
use crate::epoch;
use crate::idempotency::IdempotencyRecords;
use crate::journal::{Journal, JournalOptions, Row};
use crate::last_results::LastResults;
use crate::ring::{Ring, RingLimits};
use crate::state::MemoryState;
use crate::{DirLock, EmbeddedStore, OpenError};

/// The options of a store.
#[derive(Clone, Debug)]
pub struct OpenOptions {
    /// The lock of the data directory. The store holds it until it is dropped.
    pub lock: Arc<DirLock>,
    pub now: Millis,
    /// When the sessions of RUNNING jobs expire, unless a server adopts them before.
    pub sessions_expire_at: Millis,
    /// The size at which a new journal file is started.
    pub journal_segment_bytes: u64,
    /// The size above which projected journal files are deleted regardless of their age. Files that
    /// are not projected are never deleted.
    pub journal_max_bytes: u64,
    pub ring: RingLimits,
    /// The disk space that is released when the disk is full; 0 for none.
    pub ballast_bytes: u64,
}

impl OpenOptions {
    /// Returns the defaults: journal files of 64 MiB, 4 GiB in total, 65,536 events or 64 MiB in
    /// memory, 64 MiB of ballast, and sessions that expire in 15 s.
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

/// The state of the ledger. The default is an empty ledger.
#[derive(Clone, Debug, Default)]
pub struct LedgerState {
    /// The other fields contain all changes up to here.
    pub checkpoint: Position,
    /// Live jobs, and terminal ones that a BLOCKED one of them still waits for.
    pub jobs: Vec<Job>,
    pub queues: Vec<Queue>,
    /// Unique keys of other terminal jobs whose time-to-live has not passed, with its end.
    pub keys: Vec<(UniqueKey, JobId, Millis)>,
    /// The offsets of producers. Those in the journal are newer.
    pub producers: Vec<IdempotencyRecord>,
}

/// A journal entry with only its idempotency records, which are all that is read up to the
/// checkpoint.
#[derive(Clone, PartialEq, Message)]
struct EntryIdempotencyRecords {
    #[prost(message, repeated, tag = "4")]
    idempotency_records: Vec<stored::IdempotencyRecord>,
}

struct Replay<'a> {
    state: MemoryState,
    records: IdempotencyRecords,
    names: codec::NamePool,
    checkpoint: Position,
    now: Millis,
    dir: &'a Path,
    /// Whether no journal entry was read yet.
    is_at_start: bool,
}

impl EmbeddedStore {
    /// Opens the store in the directory of the lock. It reads files and blocks the thread.
    ///
    /// # Errors
    ///
    /// Fails if the journal is damaged, or does not match the ledger. Nothing on disk is changed
    /// then.
    pub fn open(options: OpenOptions, ledger: LedgerState) -> Result<Self, OpenError> {
        let dir: PathBuf = options.lock.dir().join("journal");
        let mut replay = Replay {
            state: MemoryState { seq: ledger.checkpoint.seq, ..MemoryState::default() },
            records: IdempotencyRecords::default(),
            names: codec::NamePool::default(),
            checkpoint: ledger.checkpoint,
            now: options.now,
            dir: &dir,
            is_at_start: true,
        };
        let has_checkpoint = ledger.checkpoint != Position::default();
        if has_checkpoint && !replay.has_journal()? {
            return Err(OpenError::NoJournal { dir, checkpoint: ledger.checkpoint });
        }
        replay.load_ledger(ledger);
        let journal_options = JournalOptions {
            dir: dir.clone(),
            segment_bytes: options.journal_segment_bytes,
            max_bytes: options.journal_max_bytes,
        };
        let mut journal = Journal::open(journal_options, options.now, &mut |epoch, row, file| {
            replay.visit(epoch, row, file)
        })?;
        replay.check(&journal)?;
        journal.set_projected(replay.checkpoint.seq);
        replay.raise_leases(epoch::epoch_floor(journal.epoch()));
        let Replay { mut state, records, .. } = replay;
        state.sessions.put_missing_rows(|id| SessionRow {
            id,
            owner: ServerId(0),
            expires_at: options.sessions_expire_at,
        });
        log_missing_parents(&state);
        let position = Position { epoch: journal.epoch(), seq: journal.last() };
        let store = StoreCore {
            state,
            records,
            last_results: LastResults::default(),
            journal,
            ring: Ring::new(options.ring),
            ballast: Ballast::reserve(options.lock.dir(), options.ballast_bytes),
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
        Journal::exists(self.dir)
    }

    fn load_ledger(&mut self, ledger: LedgerState) {
        for queue in ledger.queues {
            self.state.set_queue(&queue.name.clone(), Some(queue));
        }
        for (key, id, until) in ledger.keys {
            self.state.keys.hold(key, id, Some(until));
        }
        for producer in ledger.producers {
            self.put_record(producer);
        }
        for job in ledger.jobs {
            self.state.set(job.id, Some(Arc::new(job)));
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
            let entry =
                EntryIdempotencyRecords::decode(&*row.body).map_err(|error| damaged(&error))?;
            for r in entry.idempotency_records {
                self.put_record(IdempotencyRecord {
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

    fn put_record(&mut self, record: IdempotencyRecord) {
        if record.expires_at > self.now {
            self.records.put(&record);
        }
    }

    fn apply(&mut self, entry: JournalEntry) -> Result<(), OpenError> {
        let seq = entry.position.seq;
        self.state.seq = seq;
        for queue in entry.queues {
            self.state.set_queue(&queue.name.clone(), Some(queue));
        }
        for event in entry.jobs {
            let known = self.state.jobs.get(&event.id).map(|job| job.spec.clone());
            let Some(spec) = event.spec.or(known) else {
                return Err(OpenError::UnknownJob { seq, job: event.id });
            };
            let job = Job { id: event.id, spec, status: event.status };
            self.state.set(job.id, Some(Arc::new(job)));
        }
        entry.idempotency_records.into_iter().for_each(|record| self.put_record(record));
        Ok(())
    }

    /// Raises the lease epochs after a restore; see [`epoch::with_raised_epoch`].
    fn raise_leases(&mut self, floor: u64) {
        if floor == 0 {
            return;
        }
        for job in self.state.jobs.values_mut() {
            *job = epoch::with_raised_epoch(job.clone(), floor);
        }
    }

    /// Checks that the checkpoint is within the journal.
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

/// Logs jobs with a missing dependency, which would stay BLOCKED forever.
fn log_missing_parents(state: &MemoryState) {
    for (parent, child) in state.dependents.edges() {
        if !state.jobs.contains_key(&parent) {
            tracing::error!(%child, %parent, "job depends on a missing job, cancel it");
        }
    }
}
