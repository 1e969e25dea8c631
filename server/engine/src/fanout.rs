//! Watch fan-out: one reader of the journal, a bounded ring per watcher. A slow watcher
//! loses its place in the ring and nothing else waits for it.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use sentinel_domain::{Job, JobId, Progress};
use sentinel_ledger::LogRow;
use sentinel_store::{Entry, JobEvent, JournalPage, Position};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use crate::Engine;
use crate::watch::Selector;

/// Of the entries that wait for a watcher; a single one that has more passes.
const RING_BYTES: usize = 64 << 20;

/// Jobs with progress, and log batches, that may wait for a watcher. Beyond, the newest are dropped.
const VOLATILE: usize = 1_024;

const ENTRIES_MAX: usize = 512;

/// A change for a watcher: an event of an entry.
#[derive(Clone)]
pub(crate) struct Live {
    pub(crate) entry: Arc<Entry>,
    pub(crate) index: usize,
}

impl Live {
    pub(crate) fn event(&self) -> &JobEvent {
        &self.entry.jobs[self.index]
    }
}

/// What waits for one watcher.
#[derive(Default)]
struct Ring {
    changes: VecDeque<Live>,
    /// Of the entries that the changes keep in memory.
    bytes: usize,
    /// The newest progress per job, with its attempt.
    progress: HashMap<JobId, (u32, Progress)>,
    logs: VecDeque<(JobId, Arc<[LogRow]>)>,
    /// Changes were dropped.
    has_overflowed: bool,
    /// All entries up to here were looked at.
    seen: Position,
}

/// What a watch took out of its ring.
pub(crate) struct Taken {
    pub(crate) changes: VecDeque<Live>,
    pub(crate) progress: HashMap<JobId, (u32, Progress)>,
    pub(crate) logs: VecDeque<(JobId, Arc<[LogRow]>)>,
    /// All of these are from entries up to here, and nothing of them is left.
    pub(crate) seen: Position,
}

pub(crate) struct Watcher {
    selector: Selector,
    ids: HashSet<JobId>,
    wants_logs: bool,
    ring: Mutex<Ring>,
    filled: Notify,
}

impl Watcher {
    fn ring(&self) -> MutexGuard<'_, Ring> {
        self.ring.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) async fn filled(&self) {
        self.filled.notified().await;
    }

    pub(crate) fn wants(&self, job: &JobEvent) -> bool {
        match (&self.selector, &job.spec) {
            (Selector::Jobs(_), _) => self.ids.contains(&job.id),
            // Without its spec it can not be judged here; the watch looks it up.
            (Selector::Filter(_), None) => true,
            (Selector::Filter(filter), Some(spec)) => filter.admits(spec, job.status.state),
        }
    }

    /// Empties the ring; none when changes were dropped.
    pub(crate) fn take(&self) -> Option<Taken> {
        let mut ring = self.ring();
        if ring.has_overflowed {
            return None;
        }
        ring.bytes = 0;
        Some(Taken {
            changes: std::mem::take(&mut ring.changes),
            progress: std::mem::take(&mut ring.progress),
            logs: std::mem::take(&mut ring.logs),
            seen: ring.seen,
        })
    }

    fn wants_job(&self, job: &Job) -> bool {
        match &self.selector {
            Selector::Jobs(_) => self.ids.contains(&job.id),
            Selector::Filter(filter) => filter.matches(job),
        }
    }

    fn offer(&self, live: Live, entry_bytes: usize, ring_max: usize) {
        let mut ring = self.ring();
        // An entry is kept as a whole as long as one of its changes waits.
        let is_same = ring.changes.back().is_some_and(|last| Arc::ptr_eq(&last.entry, &live.entry));
        let more = if is_same { 0 } else { entry_bytes };
        if ring.changes.len() >= ring_max || ring.bytes.saturating_add(more) > RING_BYTES {
            ring.changes = VecDeque::new();
            ring.bytes = 0;
            ring.has_overflowed = true;
        }
        if !ring.has_overflowed {
            ring.bytes += more;
            ring.changes.push_back(live);
        }
    }
}

#[derive(Default)]
struct Watchers {
    /// Watchers by ids, found without asking every one of them.
    by_job: HashMap<JobId, Vec<Arc<Watcher>>, foldhash::fast::FixedState>,
    by_filter: Vec<Arc<Watcher>>,
    /// The entries are counted for summaries.
    are_counted: bool,
    position: Position,
}

impl Watchers {
    fn are_none(&self) -> bool {
        self.by_job.is_empty() && self.by_filter.is_empty() && !self.are_counted
    }
}

/// All watchers of this server.
pub(crate) struct Fanout {
    watchers: Mutex<Watchers>,
    /// The first watcher is there.
    wanted: Notify,
    /// Changes that may wait for a watcher.
    ring_max: usize,
}

/// About what an entry takes in memory.
fn entry_bytes(entry: &Entry) -> usize {
    let of_event = |event: &JobEvent| {
        let parts = [&event.new, &event.status.result, &event.status.checkpoint];
        let payload = event.spec.as_ref().map_or(0, |spec| spec.payload.len());
        512 + payload + parts.iter().filter_map(|b| b.as_ref()).map(|b| b.len()).sum::<usize>()
    };
    entry.jobs.iter().map(of_event).sum()
}

impl Fanout {
    pub(crate) fn new(position: Position, ring_max: usize) -> Self {
        let watchers = Mutex::new(Watchers { position, ..Watchers::default() });
        Self { watchers, wanted: Notify::new(), ring_max }
    }

    fn lock(&self) -> MutexGuard<'_, Watchers> {
        self.watchers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// From now on the watcher is offered everything after the position answered, which is the
    /// head when nobody has watched so far.
    pub(crate) fn join(
        &self,
        selector: Selector,
        wants_logs: bool,
        head: Position,
    ) -> (Arc<Watcher>, Position) {
        let ids = match &selector {
            Selector::Jobs(ids) => ids.iter().copied().collect(),
            Selector::Filter(_) => HashSet::new(),
        };
        let mut watchers = self.lock();
        let position = self.begin(&mut watchers, head);
        let ring = Mutex::new(Ring { seen: position, ..Ring::default() });
        let watcher = Arc::new(Watcher { selector, ids, wants_logs, ring, filled: Notify::new() });
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

    /// Where the journal is read from, which is the head when nobody has watched so far.
    fn begin(&self, watchers: &mut Watchers, head: Position) -> Position {
        if watchers.are_none() {
            watchers.position = watchers.position.max(head);
            self.wanted.notify_one();
        }
        watchers.position
    }

    /// From now on entries are read for summaries too.
    pub(crate) fn follow(&self, head: Position) {
        let mut watchers = self.lock();
        self.begin(&mut watchers, head);
        watchers.are_counted = true;
    }

    /// They are not any more.
    pub(crate) fn unfollow(&self) {
        self.lock().are_counted = false;
    }

    pub(crate) fn leave(&self, watcher: &Arc<Watcher>) {
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

    /// Empties a ring that overflowed. Under the lock, so that no entry is half offered.
    pub(crate) fn rejoin(&self, watcher: &Watcher) -> Position {
        let watchers = self.lock();
        let mut ring = watcher.ring();
        ring.changes.clear();
        ring.bytes = 0;
        ring.has_overflowed = false;
        ring.seen = watchers.position;
        watchers.position
    }

    /// Where the watchers are; waits for one.
    async fn position(&self) -> Position {
        loop {
            let wanted = self.wanted.notified();
            {
                let watchers = self.lock();
                if !watchers.are_none() {
                    return watchers.position;
                }
            }
            wanted.await;
        }
    }

    fn offer(&self, entries: Vec<Arc<Entry>>) {
        let mut watchers = self.lock();
        // All have left and others have come since these were read: nobody asks for them.
        let from = watchers.position;
        for entry in entries.into_iter().filter(|entry| entry.position > from) {
            let bytes = entry_bytes(&entry).min(RING_BYTES);
            for (index, event) in entry.jobs.iter().enumerate() {
                let live = Live { entry: entry.clone(), index };
                for watcher in watchers.by_job.get(&event.id).into_iter().flatten() {
                    watcher.offer(live.clone(), bytes, self.ring_max);
                    watcher.filled.notify_one();
                }
                for watcher in watchers.by_filter.iter().filter(|w| w.wants(event)) {
                    watcher.offer(live.clone(), bytes, self.ring_max);
                    watcher.filled.notify_one();
                }
            }
            watchers.position = entry.position;
        }
        let seen = watchers.position;
        for watcher in watchers.by_job.values().flatten().chain(&watchers.by_filter) {
            watcher.ring().seen = seen;
        }
    }

    /// Entries were missed: every watcher begins anew.
    fn skip(&self, to: Position) {
        let mut watchers = self.lock();
        watchers.position = to;
        for watcher in watchers.by_job.values().flatten().chain(&watchers.by_filter) {
            let mut ring = watcher.ring();
            ring.has_overflowed = true;
            ring.seen = to;
            drop(ring);
            watcher.filled.notify_one();
        }
    }

    fn each_of(&self, job: &Job, offer: impl Fn(&Watcher)) {
        let watchers = self.lock();
        for watcher in watchers.by_job.get(&job.id).into_iter().flatten() {
            offer(watcher);
        }
        for watcher in watchers.by_filter.iter().filter(|w| w.wants_job(job)) {
            offer(watcher);
        }
    }

    /// Offers progress; the newest per job waits.
    pub(crate) fn progress(&self, job: &Job, attempt: u32, progress: &Progress) {
        self.each_of(job, |watcher| {
            let mut ring = watcher.ring();
            if ring.progress.len() < VOLATILE || ring.progress.contains_key(&job.id) {
                ring.progress.insert(job.id, (attempt, progress.clone()));
            }
            drop(ring);
            watcher.filled.notify_one();
        });
    }

    /// Offers log lines, best effort.
    pub(crate) fn logs(&self, job: &Job, rows: &Arc<[LogRow]>) {
        self.each_of(job, |watcher| {
            if !watcher.wants_logs {
                return;
            }
            let mut ring = watcher.ring();
            if ring.logs.len() < VOLATILE {
                ring.logs.push_back((job.id, rows.clone()));
            }
            drop(ring);
            watcher.filled.notify_one();
        });
    }
}

/// The loop: reads the journal as it grows, while somebody watches.
pub(crate) async fn run(engine: Engine, closing: CancellationToken) {
    let mut head = engine.store.head();
    loop {
        let after = tokio::select! {
            after = engine.fanout.position() => after,
            () = closing.cancelled() => return,
        };
        match engine.store.tail(after, ENTRIES_MAX).await {
            Ok(JournalPage::Entries(entries)) if entries.is_empty() => {
                tokio::select! {
                    _ = head.changed() => {}
                    () = closing.cancelled() => return,
                }
            }
            Ok(JournalPage::Entries(entries)) => {
                engine.tally(&entries).await;
                engine.fanout.offer(entries);
            }
            Ok(JournalPage::Trimmed | JournalPage::OtherEpoch) => {
                let to = *head.borrow();
                engine.summing.skip(to, engine.now());
                engine.fanout.skip(to);
            }
            Err(error) => {
                tracing::warn!(%error, "the journal could not be read for watchers");
                tokio::select! {
                    () = tokio::time::sleep(Duration::from_millis(200)) => {}
                    () = closing.cancelled() => return,
                }
            }
        }
    }
}
