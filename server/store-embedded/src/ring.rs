//! A ring buffer of the newest journal entries, for watchers and the projector.

use std::collections::VecDeque;
use std::sync::Arc;

use sentinel_store::JournalEntry;

/// The limits of the journal entries that are kept in memory.
#[derive(Clone, Copy, Debug)]
pub struct RingLimits {
    /// The maximum number of job events.
    pub events: usize,
    /// The maximum size of the stored form.
    pub bytes: usize,
}

/// The newest journal entries, without gaps.
pub(crate) struct Ring {
    entries: VecDeque<(Arc<JournalEntry>, usize)>,
    limits: RingLimits,
    events: usize,
    bytes: usize,
}

impl Ring {
    pub(crate) fn new(limits: RingLimits) -> Self {
        Self { entries: VecDeque::new(), limits, events: 0, bytes: 0 }
    }

    /// Appends an entry with the size of its stored form. The newest entry is always kept.
    pub(crate) fn push(&mut self, entry: Arc<JournalEntry>, bytes: usize) {
        self.events += entry.jobs.len();
        self.bytes += bytes;
        self.entries.push_back((entry, bytes));
        while self.entries.len() > 1
            && (self.events > self.limits.events || self.bytes > self.limits.bytes)
        {
            if let Some((old, bytes)) = self.entries.pop_front() {
                self.events -= old.jobs.len();
                self.bytes -= bytes;
            }
        }
    }

    /// Returns at most `limit` entries after a sequence number, or `None` if the first is not in
    /// memory.
    pub(crate) fn after(&self, seq: u64, limit: usize) -> Option<Vec<Arc<JournalEntry>>> {
        let first = self.entries.front()?.0.position.seq;
        let skip = usize::try_from((seq + 1).checked_sub(first)?).ok()?;
        let entries = self.entries.iter().skip(skip).take(limit);
        Some(entries.map(|(entry, _)| entry.clone()).collect())
    }
}
