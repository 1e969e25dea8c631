//! The selection of ready jobs for a claim.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::sync::Arc;

use sentinel_domain::{Job, Name, start};
use sentinel_store::Claim;

use crate::commit::PendingCommit;
use crate::state::ReadyKey;

/// The maximum number of jobs past their start deadline that a claim skips. The sweeper expires
/// them.
const SKIPS_MAX: usize = 256;

impl PendingCommit<'_> {
    /// Starts the jobs with the lowest scores among all queues and kinds of the claim.
    pub(crate) fn claim(&mut self, claim: &Claim) -> Vec<Arc<Job>> {
        let mut taken = Vec::new();
        let sessions = &self.state.sessions;
        if !sessions.is_live(claim.session, self.writer, self.now)
            || sessions.is_drained(claim.session)
        {
            return taken;
        }
        let candidates = self.candidates(claim);
        let mut heads: BinaryHeap<Reverse<(ReadyKey, usize)>> = candidates
            .iter()
            .enumerate()
            .filter_map(|(at, candidate)| Some(Reverse((self.next(candidate, None)?, at))))
            .collect();
        let (mut bytes, mut skips) = (0, 0);
        while taken.len() < claim.max_jobs && bytes < claim.max_bytes && skips < SKIPS_MAX {
            let Some(Reverse((key, at))) = heads.pop() else { break };
            let job = self.state.jobs.get(&key.id()).expect("an index contains only stored jobs");
            match start(job, claim.session, &claim.worker, self.now) {
                Some(job) => {
                    let job = Arc::new(job);
                    bytes += job.spec.payload.len() as u64;
                    self.put(job.clone(), None, None);
                    taken.push(job);
                }
                None => skips += 1,
            }
            if let Some(key) = self.next(&candidates[at], Some(key)) {
                heads.push(Reverse((key, at)));
            }
        }
        taken
    }

    fn next(&self, (queue, kind): &(Name, Name), after: Option<ReadyKey>) -> Option<ReadyKey> {
        self.state.queues.get(queue)?.kinds.get(kind)?.next(after)
    }

    /// Returns the queues and kinds of the claim that have ready jobs.
    fn candidates(&self, claim: &Claim) -> Vec<(Name, Name)> {
        let mut found = Vec::new();
        for name in claim.queues.iter() {
            let Some(queue) = self.state.queues.get(name) else { continue };
            if queue.is_paused() {
                continue;
            }
            let mut add_if_ready = |kind: &Name| {
                if queue.has_ready(kind) {
                    found.push((name.clone(), kind.clone()));
                }
            };
            if claim.kinds.len() < queue.kind_count() {
                claim.kinds.iter().for_each(&mut add_if_ready);
            } else {
                let is_wanted = |kind: &&Name| claim.kinds.binary_search(kind).is_ok();
                queue.kinds.keys().filter(is_wanted).for_each(&mut add_if_ready);
            }
        }
        found
    }
}
