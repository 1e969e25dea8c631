//! Eviction of terminal jobs.

use sentinel_domain::JobId;
use sentinel_store::{TrimRequest, TrimResult};

use crate::state::MemoryState;

/// The number of jobs that are scanned beyond the limit, because some can not be evicted yet.
const SCAN_EXTRA: usize = 1_024;

impl MemoryState {
    /// Evicts projected terminal jobs without waiting dependents.
    pub(crate) fn evict_terminal(&mut self, trim: &TrimRequest, projected: u64) -> TrimResult {
        let can_go = |id: JobId, seq: u64| seq <= projected && !self.dependents.is_awaited(id);
        let evictable: Vec<JobId> = self
            .terminal
            .iter()
            .take_while(|((at, _), _)| *at < trim.terminal_before)
            .take(trim.limit.saturating_add(SCAN_EXTRA))
            .filter(|((_, id), seq)| can_go(*id, **seq))
            .map(|((_, id), _)| *id)
            .take(trim.limit)
            .collect();
        for id in &evictable {
            self.evict(*id);
        }
        TrimResult {
            evicted: evictable.len(),
            more: !evictable.is_empty() && evictable.len() == trim.limit,
        }
    }
}
