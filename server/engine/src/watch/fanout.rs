//! Fans the changes of the journal out to the watches of this server.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard};

use sentinel_domain::{Job, JobId, Progress};
use sentinel_ledger::LogRow;
use sentinel_store::{JobEvent, JournalEntry, Position};
use tokio::sync::Notify;

use super::Selector;
use super::watcher::{BUFFER_BYTES, JournalChange, Watcher};
use crate::runtime::lock;

/// The estimated memory of an event without its payload.
const EVENT_BYTES: usize = 512;

#[derive(Default)]
struct Watchers {
    /// Watches by ids, so that a change is not compared with every watch.
    by_job: HashMap<JobId, Vec<Arc<Watcher>>, foldhash::fast::FixedState>,
    by_filter: Vec<Arc<Watcher>>,
    /// Summaries count the entries.
    has_summaries: bool,
    position: Position,
}

impl Watchers {
    fn is_idle(&self) -> bool {
        self.by_job.is_empty() && self.by_filter.is_empty() && !self.has_summaries
    }

    fn all(&self) -> impl Iterator<Item = &Arc<Watcher>> {
        self.by_job.values().flatten().chain(&self.by_filter)
    }
}

/// The watches of this server.
pub(crate) struct Fanout {
    watchers: Mutex<Watchers>,
    /// Notified when the first watch joins.
    wanted: Notify,
    /// The most changes that wait for one watch.
    buffer_max: usize,
}

impl Fanout {
    pub(crate) fn new(position: Position, buffer_max: usize) -> Self {
        let watchers = Mutex::new(Watchers { position, ..Watchers::default() });
        Self { watchers, wanted: Notify::new(), buffer_max }
    }

    fn lock(&self) -> MutexGuard<'_, Watchers> {
        lock(&self.watchers)
    }

    /// Adds a watch. It is offered every change after the returned position, which is `head` when
    /// there was no watch before.
    pub(super) fn join(
        &self,
        selector: Selector,
        wants_logs: bool,
        head: Position,
    ) -> (Arc<Watcher>, Position) {
        let mut watchers = self.lock();
        let position = self.begin(&mut watchers, head);
        let watcher = Arc::new(Watcher::new(selector, wants_logs, position));
        match &watcher.selector {
            Selector::Filter(_) => watchers.by_filter.push(watcher.clone()),
            Selector::Jobs(_) => {
                for id in &watcher.ids {
                    watchers.by_job.entry(*id).or_default().push(watcher.clone());
                }
            }
        }
        (watcher, position)
    }

    /// Returns the position from which the journal is read: `head` when there was no watch.
    fn begin(&self, watchers: &mut Watchers, head: Position) -> Position {
        if watchers.is_idle() {
            watchers.position = watchers.position.max(head);
            self.wanted.notify_one();
        }
        watchers.position
    }

    /// Makes the journal be read for summaries, too.
    pub(crate) fn follow_for_summaries(&self, head: Position) {
        let mut watchers = self.lock();
        self.begin(&mut watchers, head);
        watchers.has_summaries = true;
    }

    pub(crate) fn unfollow_for_summaries(&self) {
        self.lock().has_summaries = false;
    }

    pub(super) fn leave(&self, watcher: &Arc<Watcher>) {
        let mut watchers = self.lock();
        watchers.by_filter.retain(|w| !Arc::ptr_eq(w, watcher));
        for id in &watcher.ids {
            if let Some(of_job) = watchers.by_job.get_mut(id) {
                of_job.retain(|w| !Arc::ptr_eq(w, watcher));
                if of_job.is_empty() {
                    watchers.by_job.remove(id);
                }
            }
        }
    }

    /// Empties a buffer that overflowed and returns its new position. The lock is held, so that no
    /// entry is offered in part.
    pub(super) fn restart(&self, watcher: &Watcher) -> Position {
        let watchers = self.lock();
        watcher.restart(watchers.position);
        watchers.position
    }

    /// Waits for a watch and returns the position from which the journal is read.
    pub(super) async fn position(&self) -> Position {
        loop {
            let wanted = self.wanted.notified();
            {
                let watchers = self.lock();
                if !watchers.is_idle() {
                    return watchers.position;
                }
            }
            wanted.await;
        }
    }

    /// Offers entries to the watches that may select their jobs.
    pub(super) fn offer(&self, entries: Vec<Arc<JournalEntry>>) {
        let mut watchers = self.lock();
        // If all watches left and others joined since the entries were read, the position has
        // moved beyond them.
        let from = watchers.position;
        for entry in entries.into_iter().filter(|entry| entry.position > from) {
            let bytes = entry_bytes(&entry).min(BUFFER_BYTES);
            for (index, event) in entry.jobs.iter().enumerate() {
                let change = JournalChange { entry: entry.clone(), index };
                for watcher in watchers.by_job.get(&event.id).into_iter().flatten() {
                    watcher.offer(change.clone(), bytes, self.buffer_max);
                }
                for watcher in watchers.by_filter.iter().filter(|w| w.may_select(event)) {
                    watcher.offer(change.clone(), bytes, self.buffer_max);
                }
            }
            watchers.position = entry.position;
        }
        watchers.all().for_each(|watcher| watcher.set_position(watchers.position));
    }

    /// Makes every watch start again: entries up to a position were missed.
    pub(super) fn skip(&self, to: Position) {
        let mut watchers = self.lock();
        watchers.position = to;
        watchers.all().for_each(|watcher| watcher.overflow(to));
    }

    fn for_each_of(&self, job: &Job, offer: impl Fn(&Watcher)) {
        let watchers = self.lock();
        for watcher in watchers.by_job.get(&job.id).into_iter().flatten() {
            offer(watcher);
        }
        for watcher in watchers.by_filter.iter().filter(|w| w.selects(job)) {
            offer(watcher);
        }
    }

    /// Offers progress of a job. Only the newest waits.
    pub(crate) fn offer_progress(&self, job: &Job, attempt: u32, progress: &Progress) {
        self.for_each_of(job, |watcher| watcher.offer_progress(job, attempt, progress));
    }

    /// Offers log lines of a job, best effort.
    pub(crate) fn offer_logs(&self, job: &Job, rows: &Arc<[LogRow]>) {
        self.for_each_of(job, |watcher| watcher.offer_logs(job, rows));
    }
}

/// Returns the estimated memory of an entry.
fn entry_bytes(entry: &JournalEntry) -> usize {
    let of_event = |event: &JobEvent| {
        let data = [&event.encoded_spec, &event.status.result, &event.status.checkpoint];
        let payload = event.spec.as_ref().map_or(0, |spec| spec.payload.len());
        let data: usize = data.iter().filter_map(|b| b.as_ref()).map(|b| b.len()).sum();
        EVENT_BYTES + payload + data
    };
    entry.jobs.iter().map(of_event).sum()
}
