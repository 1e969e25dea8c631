//! The newest entries, in memory: what watchers and the projector read nearly always.

use std::collections::VecDeque;
use std::sync::Arc;

use sentinel_store::JournalEntry;

use crate::RingLimits;

/// The newest entries, dense.
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

    /// Adds the next entry, whose stored form has so many bytes. The newest always stays.
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

    /// At most `limit` entries after a sequence number, none if the first of them is not here.
    pub(crate) fn after(&self, seq: u64, limit: usize) -> Option<Vec<Arc<JournalEntry>>> {
        let first = self.entries.front()?.0.position.seq;
        let skip = usize::try_from((seq + 1).checked_sub(first)?).ok()?;
        let entries = self.entries.iter().skip(skip).take(limit);
        Some(entries.map(|(entry, _)| entry.clone()).collect())
    }
}
