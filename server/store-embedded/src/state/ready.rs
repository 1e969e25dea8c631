//! The jobs of one queue: counts by state, and the ready ones by kind in the order in which
//! they start.

use std::collections::BTreeSet;
use std::ops::Bound;
use std::sync::Arc;

use foldhash::HashMap;
use sentinel_domain::limits::PRIORITY_MAX;
use sentinel_domain::{Job, JobId, Millis, Name, Queue, QueueMode, QueueOrder, State, ready_score};

/// Ready jobs of one kind that a search for the oldest looks at.
const LEVEL_LOOKS: usize = 1_000;

/// A place in the order of start. Two words for the id, since one of 128 bits would pad it.
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

/// Ready jobs that share one place in the turn. One per class today.
#[derive(Default)]
struct Lane {
    jobs: BTreeSet<ReadyKey>,
}

/// The jobs of one kind.
#[derive(Default)]
pub(crate) struct Class {
    lane: Lane,
    /// In any waiting state; a class without is dropped.
    waiting: u64,
}

impl Class {
    /// The next to start after a place, or the first.
    pub(crate) fn next(&self, after: Option<ReadyKey>) -> Option<ReadyKey> {
        match after {
            None => self.lane.jobs.first().copied(),
            Some(key) => {
                let range = (Bound::Excluded(key), Bound::Unbounded);
                self.lane.jobs.range(range).next().copied()
            }
        }
    }
}

/// The jobs of one queue.
pub(crate) struct QueueIndex {
    /// As declared, or with every default where it was not.
    queue: Queue,
    is_declared: bool,
    pub(crate) classes: HashMap<Name, Class>,
    pub(crate) counts: [u64; State::ALL.len()],
}

impl QueueIndex {
    pub(crate) fn new(name: &Name) -> Self {
        Self {
            queue: Queue::with_defaults(name.clone(), 0),
            is_declared: false,
            classes: HashMap::default(),
            counts: [0; State::ALL.len()],
        }
    }

    pub(crate) fn declared(&self) -> Option<&Queue> {
        self.is_declared.then_some(&self.queue)
    }

    /// None of its jobs may start.
    pub(crate) fn is_paused(&self) -> bool {
        self.queue.mode == QueueMode::Paused
    }

    /// Nothing says that it exists.
    pub(crate) fn is_forgettable(&self) -> bool {
        !self.is_declared && self.counts.iter().all(|count| *count == 0)
    }

    /// Jobs of the kind wait.
    pub(crate) fn has_class(&self, kind: &Name) -> bool {
        self.classes.contains_key(kind)
    }

    /// Kinds with waiting jobs.
    pub(crate) fn class_count(&self) -> usize {
        self.classes.len()
    }

    pub(crate) fn has_ready(&self, kind: &Name) -> bool {
        self.classes.get(kind).is_some_and(|class| !class.lane.jobs.is_empty())
    }

    pub(crate) fn add(&mut self, job: &Arc<Job>) {
        self.counts[job.status.state as usize] += 1;
        if !job.status.state.is_waiting() {
            return;
        }
        let class = match self.classes.get_mut(&job.spec.kind) {
            Some(class) => class,
            None => self.classes.entry(job.spec.kind.clone()).or_default(),
        };
        class.waiting += 1;
        if job.status.state == State::Ready {
            class.lane.jobs.insert(ReadyKey::new(&self.queue, job));
        }
    }

    pub(crate) fn remove(&mut self, job: &Arc<Job>) {
        self.counts[job.status.state as usize] -= 1;
        if !job.status.state.is_waiting() {
            return;
        }
        let Some(class) = self.classes.get_mut(&job.spec.kind) else { return };
        class.waiting -= 1;
        if job.status.state == State::Ready {
            class.lane.jobs.remove(&ReadyKey::new(&self.queue, job));
        }
        if class.waiting == 0 {
            self.classes.remove(&job.spec.kind);
        }
    }

    /// Since when the ready job that is ready longest has been. Counts down the jobs looked at.
    pub(crate) fn oldest_ready(
        &self,
        ready_at: impl Fn(JobId) -> Option<Millis>,
        looks: &mut usize,
    ) -> Option<Millis> {
        let is_strict = self.queue.order == QueueOrder::Strict;
        let mut oldest = None;
        for class in self.classes.values() {
            for from in self.levels() {
                let above = ReadyKey { score: from, high: 0, low: 0 };
                for key in class.lane.jobs.range(above..).take(LEVEL_LOOKS) {
                    // From here on all became ready later.
                    let is_later = !is_strict && oldest.is_some_and(|oldest| key.score > oldest);
                    if *looks == 0 || is_later {
                        break;
                    }
                    *looks -= 1;
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

    /// Scores at which ready jobs begin that are sorted by their time. With aging a score is never
    /// above the time itself, so all are one level that is read as far as it may hold an older one.
    fn levels(&self) -> Vec<i64> {
        match self.queue.order {
            QueueOrder::Aging => vec![i64::MIN],
            QueueOrder::Strict => {
                let priorities = 0..=u8::try_from(PRIORITY_MAX).unwrap_or(u8::MAX);
                priorities.map(|priority| ready_score(&self.queue, priority, 0)).collect()
            }
        }
    }

    /// Declares it, or takes the declaration away, and puts the ready jobs in the new order.
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
            for class in self.classes.values_mut() {
                let keys = std::mem::take(&mut class.lane.jobs);
                class.lane.jobs = keys
                    .iter()
                    .filter_map(|key| job(key.id()))
                    .map(|job| ReadyKey::new(&self.queue, &job))
                    .collect();
            }
        }
        was_declared.then_some(old)
    }
}
