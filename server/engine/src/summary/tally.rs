//! What the journal says of each queue over the last minute: counted as it is read, in seconds
//! since the counting began, so that a clock of another server that is off changes nothing.

use std::collections::VecDeque;
use std::sync::Arc;

use foldhash::{HashMap, HashMapExt};
use sentinel_domain::{JobId, Millis, Name, State, Status};
use sentinel_store::{Entry, JobEvent, Position};

use super::spread::{Few, Percentiles, Spread};

/// The most that a window is over.
const SECONDS: u64 = 60;

/// Jobs whose queue is remembered, since not every change says it. Beyond, all are forgotten, and
/// looked up when they change.
const KNOWN_MAX: usize = 65_536;

/// One second of a queue.
#[derive(Default)]
struct Second {
    /// Since the counting began.
    nth: u64,
    counts: Counts,
    wait: Few,
    run: Few,
}

#[derive(Clone, Copy, Default)]
struct Counts {
    enqueued: u64,
    started: u64,
    succeeded: u64,
    failed: u64,
}

/// What is known of a job that has not ended.
struct Known {
    queue: Name,
    /// Of the last lease whose start was counted.
    epoch: u64,
}

/// What went on in one queue.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Flow {
    pub enqueued_per_second: f64,
    pub started_per_second: f64,
    pub succeeded_per_second: f64,
    pub failed_per_second: f64,
    /// From ready to started.
    pub wait: Option<Percentiles>,
    /// From started to the end of the attempt.
    pub run: Option<Percentiles>,
}

/// The count of all queues.
pub(super) struct Tally {
    began_at: Millis,
    /// Everything up to here is counted, or was before the counting began.
    position: Position,
    /// Those in which something happened within the window.
    queues: HashMap<Name, VecDeque<Second>>,
    known: HashMap<JobId, Known>,
}

impl Tally {
    pub(super) fn new(position: Position, now: Millis) -> Self {
        Self { began_at: now, position, queues: HashMap::new(), known: HashMap::new() }
    }

    fn nth(&self, now: Millis) -> u64 {
        (now - self.began_at).max(0).cast_unsigned() / 1_000
    }

    /// Whether an entry is to be counted.
    fn is_new(&self, entry: &Entry) -> bool {
        entry.position > self.position
    }

    /// Jobs in these entries whose queue nobody has said.
    pub(super) fn lacking(&self, entries: &[Arc<Entry>]) -> Vec<JobId> {
        let new = entries.iter().filter(|entry| self.is_new(entry));
        let lacks = |event: &&JobEvent| event.spec.is_none() && !self.known.contains_key(&event.id);
        let mut ids: Vec<JobId> =
            new.flat_map(|entry| &entry.jobs).filter(lacks).map(|event| event.id).collect();
        ids.sort_unstable();
        ids.dedup();
        ids
    }

    /// Counts the entries. `found`: the queues of those that were lacking, as far as there are.
    pub(super) fn count(
        &mut self,
        entries: &[Arc<Entry>],
        found: &HashMap<JobId, Name>,
        now: Millis,
    ) {
        for entry in entries {
            if !self.is_new(entry) {
                continue;
            }
            for event in &entry.jobs {
                let known = self.known.get(&event.id).map(|known| &known.queue);
                let of_spec = event.spec.as_ref().map(|spec| &spec.queue);
                if let Some(queue) = of_spec.or(known).or_else(|| found.get(&event.id)) {
                    self.count_event(queue.clone(), event, now);
                }
            }
            self.position = entry.position;
        }
    }

    fn count_event(&mut self, queue: Name, event: &JobEvent, now: Millis) {
        let status = &event.status;
        let started = status.lease.filter(|lease| {
            let known = self.known.get(&event.id).map(|known| known.epoch);
            // The first that is seen of it may be a checkpoint or a cancel.
            known.map_or(status.updated_at == lease.granted_at, |epoch| epoch != lease.epoch)
        });
        let ended = status.state.is_terminal() && !status.is_deleted();
        if status.state.is_terminal() {
            self.known.remove(&event.id);
        } else {
            if self.known.len() >= KNOWN_MAX && !self.known.contains_key(&event.id) {
                self.known = HashMap::new();
            }
            self.known.insert(event.id, Known { queue: queue.clone(), epoch: status.epoch });
        }
        let nth = self.nth(now);
        let second = second_of(self.queues.entry(queue).or_default(), nth);
        second.counts.enqueued += u64::from(status.version == 1);
        if let Some(lease) = started {
            second.counts.started += 1;
            second.wait.add(between(status.ready_at, lease.granted_at));
        }
        if ended {
            second.counts.succeeded += u64::from(status.state == State::Succeeded);
            second.counts.failed += u64::from(status.state != State::Succeeded);
        }
        if let Some(ms) = ran_for(event) {
            second.run.add(ms);
        }
    }

    /// What the rates are over.
    pub(super) fn window_ms(&self, now: Millis) -> u64 {
        let since_ms = (now - self.began_at).max(0).cast_unsigned();
        since_ms - self.nth(now).saturating_sub(SECONDS - 1) * 1_000
    }

    /// Lets go of what is before the window.
    pub(super) fn forget(&mut self, now: Millis) {
        let first = self.nth(now).saturating_sub(SECONDS - 1);
        self.queues.retain(|_, seconds| {
            while seconds.front().is_some_and(|second| second.nth < first) {
                seconds.pop_front();
            }
            !seconds.is_empty()
        });
    }

    /// What went on in some queues, in their order.
    pub(super) fn flows<'a>(
        &self,
        queues: impl IntoIterator<Item = &'a Name>,
        now: Millis,
    ) -> Vec<Flow> {
        let (mut wait, mut run) = (Spread::new(), Spread::new());
        let window_ms = self.window_ms(now);
        let mut flow = |queue| {
            let Some(seconds) = self.queues.get(queue) else { return Flow::default() };
            let mut sum = Counts::default();
            wait.clear();
            run.clear();
            for Second { counts, wait: waited, run: ran, .. } in seconds {
                sum.enqueued += counts.enqueued;
                sum.started += counts.started;
                sum.succeeded += counts.succeeded;
                sum.failed += counts.failed;
                wait.add(waited);
                run.add(ran);
            }
            let rate = |count: u64| match window_ms {
                0 => 0.0,
                ms => count as f64 * 1_000.0 / ms as f64,
            };
            Flow {
                enqueued_per_second: rate(sum.enqueued),
                started_per_second: rate(sum.started),
                succeeded_per_second: rate(sum.succeeded),
                failed_per_second: rate(sum.failed),
                wait: wait.percentiles(),
                run: run.percentiles(),
            }
        };
        queues.into_iter().map(&mut flow).collect()
    }
}

fn second_of(seconds: &mut VecDeque<Second>, nth: u64) -> &mut Second {
    if seconds.back().is_none_or(|last| last.nth < nth) {
        seconds.push_back(Second { nth, ..Second::default() });
    }
    // One a second, and no more than a window of them where nobody computes.
    if seconds.len() as u64 > SECONDS {
        seconds.pop_front();
    }
    seconds.back_mut().expect("one was just put there")
}

/// How long the attempt ran that this change ended; none where it was handed back unrun.
fn ran_for(event: &JobEvent) -> Option<u64> {
    if let Some(end) = &event.end {
        return end.started_at.map(|started_at| between(started_at, end.ended_at));
    }
    let Status { started_at, finished_at, state, .. } = event.status;
    let is_end = state == State::Succeeded && !event.status.is_deleted();
    started_at.zip(finished_at).filter(|_| is_end).map(|(from, to)| between(from, to))
}

fn between(from: Millis, to: Millis) -> u64 {
    to.saturating_sub(from).max(0).cast_unsigned()
}

#[cfg(test)]
mod tests;
