//! The index of a queue: the number of jobs per state, and its ready jobs by kind in start order.

use std::collections::BTreeSet;
use std::ops::Bound;
use std::sync::Arc;

use foldhash::HashMap;
use sentinel_domain::limits::PRIORITY_MAX;
use sentinel_domain::{Job, JobId, Millis, Name, Queue, QueueMode, QueueOrder, State, ready_score};

/// The maximum number of jobs per kind and priority level that a search for the oldest one scans.
const SCAN_PER_LEVEL: usize = 1_000;

/// The sort key of a ready job. The id is two words, because a `u128` would add padding.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct ReadyKey {
    score: i64,
    high: u64,
    low: u64,
}

impl ReadyKey {
    fn new(queue: &Queue, job: &Job) -> Self {
        let bits = job.id.as_u128();
        let score = ready_score(queue, job.spec.priority, job.status.ready_at);
        Self { score, high: (bits >> 64) as u64, low: bits as u64 }
    }

    pub(crate) fn id(&self) -> JobId {
        JobId::from_u128(u128::from(self.high) << 64 | u128::from(self.low))
    }
}

/// The waiting jobs of a kind.
#[derive(Default)]
pub(crate) struct KindIndex {
    ready: BTreeSet<ReadyKey>,
    /// The number of jobs in a waiting state. The index is dropped when it is 0.
    waiting: u64,
}

impl KindIndex {
    /// Returns the first ready job after a key, or the first of all.
    pub(crate) fn next(&self, after: Option<ReadyKey>) -> Option<ReadyKey> {
        match after {
            None => self.ready.first().copied(),
            Some(key) => {
                let range = (Bound::Excluded(key), Bound::Unbounded);
                self.ready.range(range).next().copied()
            }
        }
    }
}

/// The jobs of a queue.
pub(crate) struct QueueIndex {
    /// The declared queue, or a queue with defaults.
    queue: Queue,
    is_declared: bool,
    pub(crate) kinds: HashMap<Name, KindIndex>,
    pub(crate) counts: [u64; State::ALL.len()],
}

impl QueueIndex {
    pub(crate) fn new(name: &Name) -> Self {
        Self {
            queue: Queue::with_defaults(name.clone(), 0),
            is_declared: false,
            kinds: HashMap::default(),
            counts: [0; State::ALL.len()],
        }
    }

    pub(crate) fn declared(&self) -> Option<&Queue> {
        self.is_declared.then_some(&self.queue)
    }

    /// Returns whether the queue is paused.
    pub(crate) fn is_paused(&self) -> bool {
        self.queue.mode == QueueMode::Paused
    }

    /// Returns whether the queue is neither declared nor has jobs.
    pub(crate) fn is_unused(&self) -> bool {
        !self.is_declared && self.counts.iter().all(|count| *count == 0)
    }

    /// Returns whether the queue has waiting jobs of a kind.
    pub(crate) fn has_kind(&self, kind: &Name) -> bool {
        self.kinds.contains_key(kind)
    }

    /// Returns the number of kinds with waiting jobs.
    pub(crate) fn kind_count(&self) -> usize {
        self.kinds.len()
    }

    pub(crate) fn has_ready(&self, kind: &Name) -> bool {
        self.kinds.get(kind).is_some_and(|index| !index.ready.is_empty())
    }

    pub(crate) fn add(&mut self, job: &Arc<Job>) {
        self.counts[job.status.state as usize] += 1;
        if !job.status.state.is_waiting() {
            return;
        }
        let index = match self.kinds.get_mut(&job.spec.kind) {
            Some(index) => index,
            None => self.kinds.entry(job.spec.kind.clone()).or_default(),
        };
        index.waiting += 1;
        if job.status.state == State::Ready {
            index.ready.insert(ReadyKey::new(&self.queue, job));
        }
    }

    pub(crate) fn remove(&mut self, job: &Arc<Job>) {
        self.counts[job.status.state as usize] -= 1;
        if !job.status.state.is_waiting() {
            return;
        }
        let Some(index) = self.kinds.get_mut(&job.spec.kind) else { return };
        index.waiting -= 1;
        if job.status.state == State::Ready {
            index.ready.remove(&ReadyKey::new(&self.queue, job));
        }
        if index.waiting == 0 {
            self.kinds.remove(&job.spec.kind);
        }
    }

    /// Returns when the oldest ready job became ready. `scans_left` limits the number of scanned
    /// jobs.
    pub(crate) fn oldest_ready(
        &self,
        ready_at: impl Fn(JobId) -> Option<Millis>,
        scans_left: &mut usize,
    ) -> Option<Millis> {
        let is_strict = self.queue.order == QueueOrder::Strict;
        let mut oldest = None;
        for index in self.kinds.values() {
            for from in self.levels() {
                let above = ReadyKey { score: from, high: 0, low: 0 };
                for key in index.ready.range(above..).take(SCAN_PER_LEVEL) {
                    // All further jobs became ready later.
                    let is_later = !is_strict && oldest.is_some_and(|oldest| key.score > oldest);
                    if *scans_left == 0 || is_later {
                        break;
                    }
                    *scans_left -= 1;
                    let at = ready_at(key.id());
                    oldest = [oldest, at].into_iter().flatten().min();
                    if is_strict {
                        break;
                    }
                }
            }
        }
        oldest
    }

    /// Returns the lowest score of each group of jobs that is sorted by ready time.
    ///
    /// In strict order, each priority is a group. With aging, all jobs are one group. A score is at
    /// most the ready time, so a scan can stop at a score above the oldest time found.
    fn levels(&self) -> Vec<i64> {
        match self.queue.order {
            QueueOrder::Aging => vec![i64::MIN],
            QueueOrder::Strict => {
                let priorities = 0..=u8::try_from(PRIORITY_MAX).unwrap_or(u8::MAX);
                priorities.map(|priority| ready_score(&self.queue, priority, 0)).collect()
            }
        }
    }

    /// Puts or removes the declaration, and sorts the ready jobs by the new settings.
    pub(crate) fn declare(
        &mut self,
        new: Option<Queue>,
        job: impl Fn(JobId) -> Option<Arc<Job>>,
    ) -> Option<Queue> {
        let is_declared = new.is_some();
        let new = new.unwrap_or_else(|| Queue::with_defaults(self.queue.name.clone(), 0));
        let is_reordered =
            (new.order, new.priority_boost_ms) != (self.queue.order, self.queue.priority_boost_ms);
        let old = std::mem::replace(&mut self.queue, new);
        let was_declared = std::mem::replace(&mut self.is_declared, is_declared);
        if is_reordered {
            for index in self.kinds.values_mut() {
                let keys = std::mem::take(&mut index.ready);
                index.ready = keys
                    .iter()
                    .filter_map(|key| job(key.id()))
                    .map(|job| ReadyKey::new(&self.queue, &job))
                    .collect();
            }
        }
        was_declared.then_some(old)
    }
}
