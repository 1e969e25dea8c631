//! Forgetting what is no longer needed hot, a bounded amount at a time.

use sentinel_domain::JobId;
use sentinel_store::{TrimRequest, TrimResult};

use crate::state::Hot;

/// Finals that are looked at beyond the limit: some must stay for now.
const LOOK_PAST: usize = 1_024;

impl Hot {
    /// Evicts projected finals that nobody waits for.
    pub(crate) fn evict_finals(&mut self, trim: &TrimRequest, projected: u64) -> TrimResult {
        let can_go = |id: JobId, seq: u64| seq <= projected && !self.dependents.is_awaited(id);
        let gone: Vec<JobId> = self
            .finals
            .iter()
            .take_while(|((at, _), _)| *at < trim.terminal_before)
            .take(trim.limit.saturating_add(LOOK_PAST))
            .filter(|((_, id), seq)| can_go(*id, **seq))
            .map(|((_, id), _)| *id)
            .take(trim.limit)
            .collect();
        for id in &gone {
            self.evict(*id);
        }
        TrimResult { evicted: gone.len(), more: !gone.is_empty() && gone.len() == trim.limit }
    }
}
