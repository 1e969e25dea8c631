//! The one choice of a store: which ready jobs a claim gets.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::sync::Arc;

use sentinel_domain::{Job, Name, start};
use sentinel_store::Claim;

use crate::apply::Work;
use crate::state::{QueueIndex, ReadyKey};

/// Jobs past their start deadline that a claim steps over; the sweeper ends them.
const SKIPS_MAX: usize = 256;

impl Work<'_> {
    /// The jobs with the lowest places among all classes that the claim may take.
    pub(crate) fn claim(&mut self, claim: &Claim) -> Vec<Arc<Job>> {
        let mut taken = Vec::new();
        let sessions = &self.hot.sessions;
        if !sessions.is_live(claim.session, self.writer, self.now)
            || sessions.is_drained(claim.session)
        {
            return taken;
        }
        let classes = self.candidates(claim);
        let mut heads: BinaryHeap<Reverse<(ReadyKey, usize)>> = classes
            .iter()
            .enumerate()
            .filter_map(|(at, class)| Some(Reverse((self.next(class, None)?, at))))
            .collect();
        let (mut bytes, mut skips) = (0, 0);
        while taken.len() < claim.max_jobs && bytes < claim.max_bytes && skips < SKIPS_MAX {
            let Some(Reverse((key, at))) = heads.pop() else { break };
            let job =
                self.hot.jobs.get(&key.id()).expect("an index holds only jobs that are there");
            match start(job, claim.session, &claim.worker, self.now) {
                Some(job) => {
                    let job = Arc::new(job);
                    bytes += job.spec.payload.len() as u64;
                    self.put(job.clone(), None, None);
                    taken.push(job);
                }
                None => skips += 1,
            }
            if let Some(key) = self.next(&classes[at], Some(key)) {
                heads.push(Reverse((key, at)));
            }
        }
        taken
    }

    fn next(&self, (queue, kind): &(Name, Name), after: Option<ReadyKey>) -> Option<ReadyKey> {
        self.hot.queues.get(queue)?.classes.get(kind)?.next(after)
    }

    /// Queue and kind of every class that has ready jobs for this claim.
    fn candidates(&self, claim: &Claim) -> Vec<(Name, Name)> {
        let mut found = Vec::new();
        for name in claim.queues.iter() {
            let Some(queue) = self.hot.queues.get(name) else { continue };
            if queue.is_paused() {
                continue;
            }
            let mut note = |kind: &Name| {
                if queue.has_ready(kind) {
                    found.push((name.clone(), kind.clone()));
                }
            };
            if claim.kinds.len() < QueueIndex::class_count(queue) {
                claim.kinds.iter().for_each(&mut note);
            } else {
                let is_wanted = |kind: &&Name| claim.kinds.binary_search(kind).is_ok();
                queue.classes.keys().filter(is_wanted).for_each(&mut note);
            }
        }
        found
    }
}
