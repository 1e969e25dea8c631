//! The activity of each queue over the last minute, counted from the journal.
//!
//! The counter has a slot per second since it started, by the clock of this server. A wrong clock
//! of a peer has no effect.

use std::collections::VecDeque;
use std::sync::Arc;

use foldhash::{HashMap, HashMapExt};
use sentinel_domain::{JobId, Millis, Name, State, Status};
use sentinel_store::{JobEvent, JournalEntry, Position};

use super::histogram::{Histogram, Percentiles, SparseHistogram};

/// The length of the window.
const WINDOW_SECONDS: u64 = 60;

/// The most jobs whose queue is remembered, since not every change names it. Beyond it all are
/// evicted, and looked up when they change.
const JOBS_MAX: usize = 65_536;

/// One second of a queue.
#[derive(Default)]
struct Second {
    /// The number of the second since the start.
    number: u64,
    counts: Counts,
    wait: SparseHistogram,
    run: SparseHistogram,
}

#[derive(Clone, Copy, Default)]
struct Counts {
    enqueued: u64,
    started: u64,
    succeeded: u64,
    failed: u64,
}

/// A job that is not terminal.
struct KnownJob {
    queue: Name,
    /// The epoch of the last lease that was counted as a start.
    epoch: u64,
}

/// The activity of one queue.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct QueueActivity {
    pub enqueued_per_second: f64,
    pub started_per_second: f64,
    pub succeeded_per_second: f64,
    pub failed_per_second: f64,
    /// The time from ready to started.
    pub wait: Option<Percentiles>,
    /// The time from started to the end of the attempt.
    pub run: Option<Percentiles>,
}

/// The activity of all queues.
pub(super) struct JournalCounter {
    started_at: Millis,
    /// Everything up to here is counted, or was before the start.
    position: Position,
    /// The queues with a change in the window.
    queues: HashMap<Name, VecDeque<Second>>,
    jobs: HashMap<JobId, KnownJob>,
}

impl JournalCounter {
    pub(super) fn new(position: Position, now: Millis) -> Self {
        Self { started_at: now, position, queues: HashMap::new(), jobs: HashMap::new() }
    }

    fn second_number(&self, now: Millis) -> u64 {
        (now - self.started_at).max(0).cast_unsigned() / 1_000
    }

    fn is_new(&self, entry: &JournalEntry) -> bool {
        entry.position > self.position
    }

    /// Returns the jobs of entries whose queue is not known.
    pub(super) fn jobs_without_queue(&self, entries: &[Arc<JournalEntry>]) -> Vec<JobId> {
        let new = entries.iter().filter(|entry| self.is_new(entry));
        let is_unknown =
            |event: &&JobEvent| event.spec.is_none() && !self.jobs.contains_key(&event.id);
        let mut ids: Vec<JobId> =
            new.flat_map(|entry| &entry.jobs).filter(is_unknown).map(|event| event.id).collect();
        ids.sort_unstable();
        ids.dedup();
        ids
    }

    /// Counts entries. `looked_up` has the queues of [`Self::jobs_without_queue`], as far as they
    /// exist.
    pub(super) fn count(
        &mut self,
        entries: &[Arc<JournalEntry>],
        looked_up: &HashMap<JobId, Name>,
        now: Millis,
    ) {
        for entry in entries {
            if !self.is_new(entry) {
                continue;
            }
            for event in &entry.jobs {
                let known = self.jobs.get(&event.id).map(|known| &known.queue);
                let of_spec = event.spec.as_ref().map(|spec| &spec.queue);
                if let Some(queue) = of_spec.or(known).or_else(|| looked_up.get(&event.id)) {
                    self.count_event(queue.clone(), event, now);
                }
            }
            self.position = entry.position;
        }
    }

    fn count_event(&mut self, queue: Name, event: &JobEvent, now: Millis) {
        let status = &event.status;
        let started = status.lease.filter(|lease| {
            let known = self.jobs.get(&event.id).map(|known| known.epoch);
            // The first event of a job that is seen here may be a checkpoint or a cancel.
            known.map_or(status.updated_at == lease.granted_at, |epoch| epoch != lease.id.epoch)
        });
        let finished = status.state.is_terminal() && !status.is_deleted();
        if status.state.is_terminal() {
            self.jobs.remove(&event.id);
        } else {
            if self.jobs.len() >= JOBS_MAX && !self.jobs.contains_key(&event.id) {
                self.jobs = HashMap::new();
            }
            self.jobs.insert(event.id, KnownJob { queue: queue.clone(), epoch: status.epoch });
        }
        let number = self.second_number(now);
        let second = current_second(self.queues.entry(queue).or_default(), number);
        second.counts.enqueued += u64::from(status.version == 1);
        if let Some(lease) = started {
            second.counts.started += 1;
            second.wait.add(duration_ms(status.ready_at, lease.granted_at));
        }
        if finished {
            second.counts.succeeded += u64::from(status.state == State::Succeeded);
            second.counts.failed += u64::from(status.state != State::Succeeded);
        }
        if let Some(ms) = run_ms(event) {
            second.run.add(ms);
        }
    }

    /// Returns the time that the rates are measured over.
    pub(super) fn window_ms(&self, now: Millis) -> u64 {
        let since_ms = (now - self.started_at).max(0).cast_unsigned();
        since_ms - self.second_number(now).saturating_sub(WINDOW_SECONDS - 1) * 1_000
    }

    pub(super) fn evict_before_window(&mut self, now: Millis) {
        let first = self.second_number(now).saturating_sub(WINDOW_SECONDS - 1);
        self.queues.retain(|_, seconds| {
            while seconds.front().is_some_and(|second| second.number < first) {
                seconds.pop_front();
            }
            !seconds.is_empty()
        });
    }

    /// Returns the activity of queues, in their order.
    pub(super) fn activities<'a>(
        &self,
        queues: impl IntoIterator<Item = &'a Name>,
        now: Millis,
    ) -> Vec<QueueActivity> {
        let (mut wait, mut run) = (Histogram::new(), Histogram::new());
        let window_ms = self.window_ms(now);
        let mut activity = |queue| {
            let Some(seconds) = self.queues.get(queue) else { return QueueActivity::default() };
            let mut sum = Counts::default();
            wait.clear();
            run.clear();
            for second in seconds {
                sum.enqueued += second.counts.enqueued;
                sum.started += second.counts.started;
                sum.succeeded += second.counts.succeeded;
                sum.failed += second.counts.failed;
                wait.add(&second.wait);
                run.add(&second.run);
            }
            let rate = |count: u64| match window_ms {
                0 => 0.0,
                ms => count as f64 * 1_000.0 / ms as f64,
            };
            QueueActivity {
                enqueued_per_second: rate(sum.enqueued),
                started_per_second: rate(sum.started),
                succeeded_per_second: rate(sum.succeeded),
                failed_per_second: rate(sum.failed),
                wait: wait.percentiles(),
                run: run.percentiles(),
            }
        };
        queues.into_iter().map(&mut activity).collect()
    }
}

fn current_second(seconds: &mut VecDeque<Second>, number: u64) -> &mut Second {
    if seconds.back().is_none_or(|last| last.number < number) {
        seconds.push_back(Second { number, ..Second::default() });
    }
    // Limits the memory when no summary is computed, which evicts old seconds.
    if seconds.len() as u64 > WINDOW_SECONDS {
        seconds.pop_front();
    }
    seconds.back_mut().expect("one was just added")
}

/// Returns how long the attempt ran that an event ended. None when it was handed back unrun.
fn run_ms(event: &JobEvent) -> Option<u64> {
    if let Some(end) = &event.attempt_end {
        return end.started_at.map(|started_at| duration_ms(started_at, end.ended_at));
    }
    let Status { started_at, finished_at, state, .. } = event.status;
    let is_success = state == State::Succeeded && !event.status.is_deleted();
    started_at.zip(finished_at).filter(|_| is_success).map(|(from, to)| duration_ms(from, to))
}

fn duration_ms(from: Millis, to: Millis) -> u64 {
    to.saturating_sub(from).max(0).cast_unsigned()
}

#[cfg(test)]
mod tests;
