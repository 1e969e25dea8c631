//! One watch as the fan-out sees it: what it selects, and the buffer of its changes.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard};

use sentinel_domain::{Job, JobId, Progress};
use sentinel_ledger::LogRow;
use sentinel_store::{JobEvent, JournalEntry, Position};
use tokio::sync::Notify;

use super::Selector;
use crate::runtime::lock;

/// The most bytes of the entries that wait for one watch. A single larger entry passes.
pub(super) const BUFFER_BYTES: usize = 64 << 20;

/// The most jobs with progress, and the most log batches, that wait for one watch. Beyond it the
/// newest are dropped.
const EPHEMERAL_MAX: usize = 1_024;

/// A change of a job: an event of a journal entry.
#[derive(Clone)]
pub(super) struct JournalChange {
    pub(super) entry: Arc<JournalEntry>,
    pub(super) index: usize,
}

impl JournalChange {
    pub(super) fn event(&self) -> &JobEvent {
        &self.entry.jobs[self.index]
    }
}

#[derive(Default)]
struct Buffer {
    changes: VecDeque<JournalChange>,
    /// The bytes of the entries that the changes keep in memory.
    bytes: usize,
    /// The newest progress of each job, with its attempt.
    progress: HashMap<JobId, (u32, Progress)>,
    logs: VecDeque<(JobId, Arc<[LogRow]>)>,
    has_overflowed: bool,
    /// All entries up to here have been offered.
    position: Position,
}

/// The content of a buffer.
pub(super) struct Buffered {
    pub(super) changes: VecDeque<JournalChange>,
    pub(super) progress: HashMap<JobId, (u32, Progress)>,
    pub(super) logs: VecDeque<(JobId, Arc<[LogRow]>)>,
    /// All changes up to here are included.
    pub(super) position: Position,
}

/// One watch.
pub(super) struct Watcher {
    pub(super) selector: Selector,
    pub(super) ids: HashSet<JobId>,
    wants_logs: bool,
    buffer: Mutex<Buffer>,
    filled: Notify,
}

impl Watcher {
    pub(super) fn new(selector: Selector, wants_logs: bool, position: Position) -> Self {
        let ids = match &selector {
            Selector::Jobs(ids) => ids.iter().copied().collect(),
            Selector::Filter(_) => HashSet::new(),
        };
        let buffer = Mutex::new(Buffer { position, ..Buffer::default() });
        Self { selector, ids, wants_logs, buffer, filled: Notify::new() }
    }

    fn buffer(&self) -> MutexGuard<'_, Buffer> {
        lock(&self.buffer)
    }

    pub(super) async fn filled(&self) {
        self.filled.notified().await;
    }

    /// Whether the watch may select the job of an event. The watch itself decides about an event
    /// without a spec.
    pub(super) fn may_select(&self, event: &JobEvent) -> bool {
        match (&self.selector, &event.spec) {
            (Selector::Jobs(_), _) => self.ids.contains(&event.id),
            (Selector::Filter(_), None) => true,
            (Selector::Filter(filter), Some(spec)) => filter.matches_spec(spec, event.status.state),
        }
    }

    pub(super) fn selects(&self, job: &Job) -> bool {
        match &self.selector {
            Selector::Jobs(_) => self.ids.contains(&job.id),
            Selector::Filter(filter) => filter.matches(job),
        }
    }

    /// Empties the buffer. None when changes were dropped.
    pub(super) fn take(&self) -> Option<Buffered> {
        let mut buffer = self.buffer();
        if buffer.has_overflowed {
            return None;
        }
        buffer.bytes = 0;
        Some(Buffered {
            changes: std::mem::take(&mut buffer.changes),
            progress: std::mem::take(&mut buffer.progress),
            logs: std::mem::take(&mut buffer.logs),
            position: buffer.position,
        })
    }

    pub(super) fn offer(&self, change: JournalChange, entry_bytes: usize, changes_max: usize) {
        let mut buffer = self.buffer();
        // A whole entry stays in memory while one of its changes waits.
        let last = buffer.changes.back();
        let is_same_entry = last.is_some_and(|last| Arc::ptr_eq(&last.entry, &change.entry));
        let more = if is_same_entry { 0 } else { entry_bytes };
        if buffer.changes.len() >= changes_max || buffer.bytes.saturating_add(more) > BUFFER_BYTES {
            buffer.changes = VecDeque::new();
            buffer.bytes = 0;
            buffer.has_overflowed = true;
        }
        if !buffer.has_overflowed {
            buffer.bytes += more;
            buffer.changes.push_back(change);
        }
        drop(buffer);
        self.filled.notify_one();
    }

    pub(super) fn offer_progress(&self, job: &Job, attempt: u32, progress: &Progress) {
        let mut buffer = self.buffer();
        if buffer.progress.len() < EPHEMERAL_MAX || buffer.progress.contains_key(&job.id) {
            buffer.progress.insert(job.id, (attempt, progress.clone()));
        }
        drop(buffer);
        self.filled.notify_one();
    }

    pub(super) fn offer_logs(&self, job: &Job, rows: &Arc<[LogRow]>) {
        if !self.wants_logs {
            return;
        }
        let mut buffer = self.buffer();
        if buffer.logs.len() < EPHEMERAL_MAX {
            buffer.logs.push_back((job.id, rows.clone()));
        }
        drop(buffer);
        self.filled.notify_one();
    }

    /// Records that all entries up to a position have been offered.
    pub(super) fn set_position(&self, position: Position) {
        self.buffer().position = position;
    }

    /// Drops the changes: entries up to a position were missed.
    pub(super) fn overflow(&self, position: Position) {
        let mut buffer = self.buffer();
        buffer.has_overflowed = true;
        buffer.position = position;
        drop(buffer);
        self.filled.notify_one();
    }

    /// Starts again after an overflow.
    pub(super) fn restart(&self, position: Position) {
        let mut buffer = self.buffer();
        buffer.changes.clear();
        buffer.bytes = 0;
        buffer.has_overflowed = false;
        buffer.position = position;
    }
}
