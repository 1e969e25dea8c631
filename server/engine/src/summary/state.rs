//! What the readers of summaries, the summary loop and the journal reader share.

use std::sync::{Arc, Mutex};

use foldhash::HashMap;
use sentinel_domain::{JobId, Millis, Name};
use sentinel_store::{JournalEntry, Position, Store};
use tokio::sync::{Notify, watch};

use super::computation::Computation;
use super::journal_counter::{JournalCounter, QueueActivity};
use super::selection::SummarySelection;
use crate::Clock;
use crate::runtime::lock;

/// The most jobs of one lookup of their queues.
const LOOKUP_JOBS: usize = 1_000;

/// The shared state of summaries.
pub(crate) struct SummaryState {
    /// The selections of the readers, with the number of readers of each.
    readers: Mutex<Vec<(SummarySelection, usize)>>,
    /// Notified when a reader joins.
    pub(super) joined: Notify,
    /// Present while the journal is followed.
    counter: Mutex<Option<JournalCounter>>,
    pub(super) newest: watch::Sender<Option<Arc<Computation>>>,
}

impl Default for SummaryState {
    fn default() -> Self {
        let newest = watch::Sender::new(None);
        Self { readers: Mutex::default(), joined: Notify::new(), counter: Mutex::default(), newest }
    }
}

impl SummaryState {
    pub(super) fn selections(&self) -> Vec<SummarySelection> {
        lock(&self.readers).iter().map(|(selection, _)| selection.clone()).collect()
    }

    pub(super) fn join(&self, selection: &SummarySelection) {
        let mut readers = lock(&self.readers);
        match readers.iter_mut().find(|(of, _)| of == selection) {
            Some((_, count)) => *count += 1,
            None => readers.push((selection.clone(), 1)),
        }
        drop(readers);
        self.joined.notify_one();
    }

    pub(super) fn leave(&self, selection: &SummarySelection) {
        let mut readers = lock(&self.readers);
        if let Some(at) = readers.iter().position(|(of, _)| of == selection) {
            readers[at].1 -= 1;
            if readers[at].1 == 0 {
                readers.swap_remove(at);
            }
        }
    }

    pub(super) fn start_counting(&self, from: Position, now: Millis) {
        *lock(&self.counter) = Some(JournalCounter::new(from, now));
    }

    pub(super) fn stop_counting(&self) {
        *lock(&self.counter) = None;
    }

    /// Counts from zero again: entries were missed, or another journal begins.
    pub(crate) fn skip(&self, to: Position, now: Millis) {
        if let Some(counter) = &mut *lock(&self.counter) {
            *counter = JournalCounter::new(to, now);
        }
    }

    /// Counts entries of the journal, while there are readers. Reads the queues of jobs that the
    /// entries do not name.
    pub(crate) async fn count(
        &self,
        entries: &[Arc<JournalEntry>],
        store: &dyn Store,
        clock: &Clock,
    ) {
        let missing = match &*lock(&self.counter) {
            Some(counter) => counter.jobs_without_queue(entries),
            None => return,
        };
        let mut queues: HashMap<JobId, Name> = HashMap::default();
        for ids in missing.chunks(LOOKUP_JOBS) {
            match store.read(ids.to_vec()).await {
                Ok(jobs) => {
                    let jobs = jobs.into_iter().flatten();
                    queues.extend(jobs.map(|job| (job.id, job.spec.queue.clone())));
                }
                // These jobs are then not counted.
                Err(error) => tracing::debug!(%error, "queues of jobs could not be read"),
            }
        }
        let now = clock.now();
        if let Some(counter) = &mut *lock(&self.counter) {
            counter.count(entries, &queues, now);
        }
    }

    /// Returns the activity of queues, and the length of the window that it is measured over.
    pub(super) fn activities<'a>(
        &self,
        queues: impl IntoIterator<Item = &'a Name>,
        now: Millis,
    ) -> (u64, Vec<QueueActivity>) {
        match &mut *lock(&self.counter) {
            Some(counter) => {
                counter.evict_before_window(now);
                (counter.window_ms(now), counter.activities(queues, now))
            }
            None => (0, Vec::new()),
        }
    }
}
