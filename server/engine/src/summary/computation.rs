//! One computation of the summaries of all readers.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use foldhash::HashMap;
use sentinel_domain::{Millis, Name};
use sentinel_ledger::QueueCount;
use tokio::time::Instant;

use super::journal_counter::QueueActivity;
use super::selection::SummarySelection;

/// How long a computation is good enough for a new reader.
const FRESH_FOR: Duration = Duration::from_secs(1);

/// The state of one queue.
#[derive(Clone, Debug, PartialEq)]
pub struct QueueSummary {
    pub queue: Name,
    /// The states with at least one job.
    pub states: Vec<QueueCount>,
    /// How long the oldest READY job has been ready. None without a READY job.
    pub oldest_ready_ms: Option<u64>,
    pub activity: QueueActivity,
}

/// The state of the selected queues.
#[derive(Clone, Debug)]
pub struct Summary {
    /// Sorted by name.
    pub queues: Vec<Arc<QueueSummary>>,
    pub as_of: Millis,
    /// The time that rates and percentiles are measured over.
    pub window_ms: u64,
    /// The number of live workers of the cluster. None for a reader of some queues only.
    pub workers: Option<usize>,
}

/// One computation, for all readers.
pub(super) struct Computation {
    pub(super) computed_at: Instant,
    pub(super) as_of: Millis,
    pub(super) window_ms: u64,
    pub(super) selections: Vec<SummarySelection>,
    pub(super) names: BTreeSet<Name>,
    pub(super) queues: HashMap<Name, Arc<QueueSummary>>,
    pub(super) workers: usize,
}

impl Computation {
    pub(super) fn is_fresh(&self) -> bool {
        self.computed_at.elapsed() <= FRESH_FOR
    }

    pub(super) fn summary(&self, selection: &SummarySelection) -> Summary {
        let queues = selection.of(&self.names).filter_map(|name| self.queues.get(name)).cloned();
        let workers = selection.within.is_all().then_some(self.workers);
        let queues = queues.collect();
        Summary { queues, as_of: self.as_of, window_ms: self.window_ms, workers }
    }
}
