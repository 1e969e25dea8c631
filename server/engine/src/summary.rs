//! Figures of queues, once a second while somebody watches: computed once for all readers. The
//! counts of what waits and runs are the store's, those of what ended the ledger's, and rates and
//! times come from the journal, which holds what every server does.

mod finals;
mod spread;
mod tally;

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use foldhash::HashMap;
use sentinel_domain::limits::{SUMMARY_QUEUES, SUMMARY_SHOWN};
use sentinel_domain::{Millis, Name, Scopes, State, check_name};
use sentinel_ledger::QueueCount;
use sentinel_store::{Depth, Entry, Position};
use tokio::sync::{Notify, watch};
use tokio::time::{Instant, timeout_at};
use tokio_util::sync::CancellationToken;

use self::finals::Finals;
pub use self::spread::Percentiles;
pub use self::tally::Flow;
use self::tally::Tally;
use crate::reach::until_cut_off;
use crate::{Engine, EngineError};

const EVERY: Duration = Duration::from_secs(1);

/// Between two computations where somebody came who asks for other queues.
const APART: Duration = Duration::from_millis(200);

/// For how long the counting goes on without a reader: a page that is loaded anew finds its rates.
const LINGER: Duration = Duration::from_secs(15);

/// A sign of life when there is no summary to send.
const KEEPALIVE: Duration = Duration::from_secs(10);

/// Jobs of one look-up of their queues.
const LOOKUP_JOBS: usize = 1_000;

/// Which queues a summary is about.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SummarySelection {
    /// Sorted. Empty: all, the first [`SUMMARY_SHOWN`] by name.
    pub queues: Vec<Name>,
    /// No others, whatever is asked for.
    pub within: Scopes,
}

impl SummarySelection {
    /// Those of some sorted names that are selected.
    fn of<'a>(&'a self, names: &'a BTreeSet<Name>) -> Box<dyn Iterator<Item = &'a Name> + 'a> {
        if self.queues.is_empty() {
            let all = names.iter().filter(|name| self.within.has(name));
            return Box::new(all.take(SUMMARY_SHOWN as usize));
        }
        let asked = self.queues.iter().filter(|name| self.within.has(name));
        Box::new(asked.filter_map(|name| names.get(name)))
    }
}

/// What goes on in one queue.
#[derive(Clone, Debug, PartialEq)]
pub struct QueueSummary {
    pub queue: Name,
    /// States with at least one job.
    pub states: Vec<QueueCount>,
    /// For how long the oldest READY job has been; none where none is.
    pub oldest_ready_ms: Option<u64>,
    pub flow: Flow,
}

/// What goes on in the selected queues.
#[derive(Clone, Debug)]
pub struct Summary {
    /// Sorted by name.
    pub queues: Vec<Arc<QueueSummary>>,
    pub as_of: Millis,
    /// What rates and times are over.
    pub window_ms: u64,
    /// Live ones of all servers; none for whom it does not concern.
    pub workers: Option<usize>,
}

/// One computation, for all readers.
struct Board {
    computed_at: Instant,
    as_of: Millis,
    window_ms: u64,
    selections: Vec<SummarySelection>,
    names: BTreeSet<Name>,
    rows: HashMap<Name, Arc<QueueSummary>>,
    workers: usize,
}

impl Board {
    fn is_fresh(&self) -> bool {
        self.computed_at.elapsed() <= EVERY
    }

    fn summary(&self, selection: &SummarySelection) -> Summary {
        let rows = selection.of(&self.names).filter_map(|name| self.rows.get(name)).cloned();
        let workers = selection.within.is_all().then_some(self.workers);
        Summary { queues: rows.collect(), as_of: self.as_of, window_ms: self.window_ms, workers }
    }
}

/// Who reads, what was counted, and what came of it.
pub(crate) struct Summing {
    /// What readers select, with how many do.
    readers: Mutex<Vec<(SummarySelection, usize)>>,
    /// Somebody came.
    asked: Notify,
    /// There while the journal is followed.
    tally: Mutex<Option<Tally>>,
    newest: watch::Sender<Option<Arc<Board>>>,
}

impl Default for Summing {
    fn default() -> Self {
        let newest = watch::Sender::new(None);
        Self { readers: Mutex::default(), asked: Notify::new(), tally: Mutex::default(), newest }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Summing {
    fn selections(&self) -> Vec<SummarySelection> {
        lock(&self.readers).iter().map(|(selection, _)| selection.clone()).collect()
    }

    fn join(&self, selection: &SummarySelection) {
        let mut readers = lock(&self.readers);
        match readers.iter_mut().find(|(of, _)| of == selection) {
            Some((_, count)) => *count += 1,
            None => readers.push((selection.clone(), 1)),
        }
        drop(readers);
        self.asked.notify_one();
    }

    fn leave(&self, selection: &SummarySelection) {
        let mut readers = lock(&self.readers);
        if let Some(at) = readers.iter().position(|(of, _)| of == selection) {
            readers[at].1 -= 1;
            if readers[at].1 == 0 {
                readers.swap_remove(at);
            }
        }
    }

    /// Entries were missed, or those to come are of another history: the counting begins anew.
    pub(crate) fn skip(&self, to: Position, now: Millis) {
        if let Some(tally) = &mut *lock(&self.tally) {
            *tally = Tally::new(to, now);
        }
    }
}

/// The summaries of one reader.
pub struct Summaries {
    engine: Engine,
    selection: SummarySelection,
    newest: watch::Receiver<Option<Arc<Board>>>,
    cut_off: watch::Receiver<bool>,
    has_begun: bool,
    is_a_watch: bool,
}

impl Drop for Summaries {
    fn drop(&mut self) {
        self.engine.summing.leave(&self.selection);
        if self.is_a_watch {
            self.engine.observer.watches(-1);
        }
    }
}

impl Summaries {
    /// The newest summary, once: at once for the first time, then as it is computed. None when
    /// there was none for a while. May be dropped and called again.
    pub async fn next(&mut self) -> Result<Option<Summary>, EngineError> {
        let keepalive_at = Instant::now() + KEEPALIVE;
        loop {
            self.engine.refuse_if_cut_off()?;
            if let Some(board) = self.unseen() {
                return Ok(Some(board.summary(&self.selection)));
            }
            tokio::select! {
                changed = self.newest.changed() => {
                    if changed.is_err() {
                        return Err(EngineError::ShuttingDown);
                    }
                    self.newest.mark_changed();
                }
                () = until_cut_off(&mut self.cut_off) => {}
                () = tokio::time::sleep_until(keepalive_at) => return Ok(None),
            }
        }
    }

    /// The newest computation, where this reader has not seen it and it knows of this reader.
    fn unseen(&mut self) -> Option<Arc<Board>> {
        if self.has_begun && !self.newest.has_changed().unwrap_or_default() {
            return None;
        }
        let board = self.newest.borrow_and_update().clone()?;
        let is_fresh = self.has_begun || board.is_fresh();
        (is_fresh && board.selections.contains(&self.selection)).then(|| {
            self.has_begun = true;
            board
        })
    }
}

impl Engine {
    /// Summaries of queues. `is_a_watch`: it stands alone and counts as a watch.
    pub fn summaries(
        &self,
        mut selection: SummarySelection,
        is_a_watch: bool,
    ) -> Result<Summaries, EngineError> {
        check(&selection)?;
        self.refuse_if_cut_off()?;
        selection.queues.sort();
        selection.queues.dedup();
        self.summing.join(&selection);
        if is_a_watch {
            self.observer.watches(1);
        }
        let (newest, cut_off) = (self.summing.newest.subscribe(), self.cut_off());
        let engine = self.clone();
        Ok(Summaries { engine, selection, newest, cut_off, has_begun: false, is_a_watch })
    }

    /// Counts entries of the journal, while there are readers.
    pub(crate) async fn tally(&self, entries: &[Arc<Entry>]) {
        let lacking = match &*lock(&self.summing.tally) {
            Some(tally) => tally.lacking(entries),
            None => return,
        };
        let mut found = HashMap::default();
        for ids in lacking.chunks(LOOKUP_JOBS) {
            match self.store.read(ids.to_vec()).await {
                Ok(jobs) => {
                    let jobs = jobs.into_iter().flatten();
                    found.extend(jobs.map(|job| (job.id, job.spec.queue.clone())));
                }
                // The figures lack what can not be told.
                Err(error) => tracing::debug!(%error, "queues of jobs could not be read"),
            }
        }
        let now = self.now();
        if let Some(tally) = &mut *lock(&self.summing.tally) {
            tally.count(entries, &found, now);
        }
    }
}

fn check(selection: &SummarySelection) -> Result<(), EngineError> {
    let count = selection.queues.len();
    if count as u64 > SUMMARY_QUEUES {
        let description = format!("{count} queues is too many: at most {SUMMARY_QUEUES}");
        return Err(EngineError::invalid("summary.queues", description));
    }
    let mut found = Vec::new();
    for queue in &selection.queues {
        check_name(&mut found, "summary.queues", queue);
    }
    if found.is_empty() { Ok(()) } else { Err(EngineError::Invalid(found)) }
}

/// The loop: follows the journal and computes while there are readers, and a while longer.
pub(crate) async fn run(engine: Engine, closing: CancellationToken) {
    loop {
        while engine.summing.selections().is_empty() {
            tokio::select! {
                () = engine.summing.asked.notified() => {}
                () = closing.cancelled() => return,
            }
        }
        let head = *engine.store.head().borrow();
        // First: what is read from then on is counted.
        *lock(&engine.summing.tally) = Some(Tally::new(head, engine.now()));
        engine.fanout.follow(head);
        tokio::select! {
            () = follow(&engine) => {}
            () = closing.cancelled() => return,
        }
        engine.fanout.unfollow();
        *lock(&engine.summing.tally) = None;
        engine.summing.newest.send_replace(None);
    }
}

/// Computes every second, until nobody has read for a while.
async fn follow(engine: &Engine) {
    let mut finals = Finals::default();
    let mut read_at = Instant::now();
    while read_at.elapsed() < LINGER {
        let began_at = Instant::now();
        let selections = engine.summing.selections();
        if !selections.is_empty() {
            read_at = began_at;
            match engine.compute(selections, &mut finals).await {
                Ok(board) => {
                    engine.summing.newest.send_replace(Some(Arc::new(board)));
                }
                Err(error) => tracing::debug!(%error, "no summary of the queues"),
            }
        }
        let others = engine.until_others_are_asked_for();
        if timeout_at(began_at + EVERY, others).await.is_ok() {
            tokio::time::sleep_until(began_at + APART).await;
        }
    }
}

impl Engine {
    /// Until there is a reader of whom the newest computation does not know.
    async fn until_others_are_asked_for(&self) {
        loop {
            self.summing.asked.notified().await;
            let newest = self.summing.newest.borrow().clone();
            let newest = newest.filter(|board| board.is_fresh());
            let is_known =
                |asked| newest.as_ref().is_some_and(|board| board.selections.contains(asked));
            if !self.summing.selections().iter().all(is_known) {
                return;
            }
        }
    }

    async fn compute(
        &self,
        selections: Vec<SummarySelection>,
        finals: &mut Finals,
    ) -> Result<Board, EngineError> {
        let computed_at = Instant::now();
        let depths = self.store.depths().await?;
        let mut names = self.queues.names();
        names.extend(depths.iter().map(|depth| depth.queue.clone()));
        let wanted: BTreeSet<Name> =
            selections.iter().flat_map(|selection| selection.of(&names)).cloned().collect();
        let oldest = self.oldest_ready(&depths, &wanted).await?;
        let workers = self.live_sessions().await?.count();
        finals.bring(self, &wanted).await;
        let as_of = self.now();
        let (window_ms, flows) = match &mut *lock(&self.summing.tally) {
            Some(tally) => {
                tally.forget(as_of);
                (tally.window_ms(as_of), tally.flows(&wanted, as_of))
            }
            None => (0, Vec::new()),
        };
        let mut hot = by_queue(depths);
        let row = |(queue, flow): (Name, Flow)| {
            let mut states = hot.remove(&queue).unwrap_or_default();
            states.extend_from_slice(finals.of(&queue));
            let since = oldest.get(&queue);
            let oldest_ready_ms = since.map(|at| as_of.saturating_sub(*at).max(0).cast_unsigned());
            (queue.clone(), Arc::new(QueueSummary { queue, states, oldest_ready_ms, flow }))
        };
        let rows = wanted.into_iter().zip(flows).map(row).collect();
        Ok(Board { computed_at, as_of, window_ms, selections, names, rows, workers })
    }

    /// Since when, of those queues that have ready jobs.
    async fn oldest_ready(
        &self,
        depths: &[Depth],
        wanted: &BTreeSet<Name>,
    ) -> Result<HashMap<Name, Millis>, EngineError> {
        let is_asked =
            |depth: &&Depth| depth.state == State::Ready && wanted.contains(&depth.queue);
        let queues: Vec<Name> =
            depths.iter().filter(is_asked).map(|depth| depth.queue.clone()).collect();
        if queues.is_empty() {
            return Ok(HashMap::default());
        }
        let oldest = self.store.oldest_ready(queues.clone()).await?;
        Ok(queues.into_iter().zip(oldest).filter_map(|(queue, at)| Some((queue, at?))).collect())
    }
}

/// What has not ended, which is all in the store; of the rest it holds only the newest.
fn by_queue(depths: Vec<Depth>) -> HashMap<Name, Vec<QueueCount>> {
    let mut found: HashMap<Name, Vec<QueueCount>> = HashMap::default();
    for Depth { queue, state, count } in depths {
        if !state.is_terminal() {
            let of_queue = found.entry(queue.clone()).or_default();
            of_queue.push(QueueCount { queue, state, count, capped: false });
        }
    }
    found
}
