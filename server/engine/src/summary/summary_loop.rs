//! The loop that computes the summaries of all readers.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use foldhash::HashMap;
use sentinel_domain::{Millis, Name, State};
use sentinel_ledger::QueueCount;
use sentinel_store::{Depth, Store};
use tokio::time::{Instant, timeout_at};
use tokio_util::sync::CancellationToken;

use super::computation::{Computation, QueueSummary};
use super::journal_counter::QueueActivity;
use super::selection::SummarySelection;
use super::state::SummaryState;
use super::terminal_counts::TerminalCounts;
use crate::queues::QueueCache;
use crate::watch::Fanout;
use crate::workers::Workers;
use crate::{Clock, EngineError};

/// The interval of computations.
const EVERY: Duration = Duration::from_secs(1);

/// The least time between two computations when a reader of other queues joins.
const SPACING: Duration = Duration::from_millis(200);

/// How long the loop counts on without a reader, so that a page that is reloaded has its rates.
const LINGER: Duration = Duration::from_secs(15);

/// Computes summaries while there are readers.
pub(crate) struct SummaryLoop {
    pub(crate) state: Arc<SummaryState>,
    pub(crate) store: Arc<dyn Store>,
    pub(crate) ledger: sentinel_ledger::Ledger,
    pub(crate) clock: Clock,
    pub(crate) queues: Arc<QueueCache>,
    pub(crate) workers: Workers,
    pub(crate) fanout: Arc<Fanout>,
}

impl SummaryLoop {
    /// Runs until `closing` is cancelled.
    pub(crate) async fn run(self, closing: CancellationToken) {
        loop {
            while self.state.selections().is_empty() {
                tokio::select! {
                    () = self.state.joined.notified() => {}
                    () = closing.cancelled() => return,
                }
            }
            let head = *self.store.head().borrow();
            // Before the journal is followed: every entry from then on is counted.
            self.state.start_counting(head, self.clock.now());
            self.fanout.follow_for_summaries(head);
            tokio::select! {
                () = self.compute_while_read() => {}
                () = closing.cancelled() => return,
            }
            self.fanout.unfollow_for_summaries();
            self.state.stop_counting();
            self.state.newest.send_replace(None);
        }
    }

    /// Computes every second, until there was no reader for [`LINGER`].
    async fn compute_while_read(&self) {
        let mut terminal = TerminalCounts::new(self.ledger.clone());
        let mut read_at = Instant::now();
        while read_at.elapsed() < LINGER {
            let began_at = Instant::now();
            let selections = self.state.selections();
            if !selections.is_empty() {
                read_at = began_at;
                match self.compute(selections, &mut terminal).await {
                    Ok(computation) => {
                        self.state.newest.send_replace(Some(Arc::new(computation)));
                    }
                    Err(error) => tracing::debug!(%error, "summaries could not be computed"),
                }
            }
            let other_reader = self.until_other_selection();
            if timeout_at(began_at + EVERY, other_reader).await.is_ok() {
                tokio::time::sleep_until(began_at + SPACING).await;
            }
        }
    }

    /// Waits for a reader whose selection is not in the newest computation.
    async fn until_other_selection(&self) {
        loop {
            self.state.joined.notified().await;
            let newest = self.state.newest.borrow().clone();
            let newest = newest.filter(|computation| computation.is_fresh());
            let is_included = |asked: &SummarySelection| {
                newest.as_ref().is_some_and(|computation| computation.selections.contains(asked))
            };
            if !self.state.selections().iter().all(is_included) {
                return;
            }
        }
    }

    async fn compute(
        &self,
        selections: Vec<SummarySelection>,
        terminal: &mut TerminalCounts,
    ) -> Result<Computation, EngineError> {
        let computed_at = Instant::now();
        let depths = self.store.depths().await?;
        let mut names = self.queues.names();
        names.extend(depths.iter().map(|depth| depth.queue.clone()));
        let wanted: BTreeSet<Name> =
            selections.iter().flat_map(|selection| selection.of(&names)).cloned().collect();
        let oldest = self.oldest_ready(&depths, &wanted).await?;
        let workers = self.workers.live_sessions().await?.count();
        terminal.refresh(&wanted).await;
        let as_of = self.clock.now();
        let (window_ms, activities) = self.state.activities(&wanted, as_of);
        let mut live = live_counts(depths);
        let summary = |(queue, activity): (Name, QueueActivity)| {
            let mut states = live.remove(&queue).unwrap_or_default();
            states.extend_from_slice(terminal.of(&queue));
            let ready_at = oldest.get(&queue);
            let oldest_ready_ms =
                ready_at.map(|at| as_of.saturating_sub(*at).max(0).cast_unsigned());
            let summary = QueueSummary { queue: queue.clone(), states, oldest_ready_ms, activity };
            (queue, Arc::new(summary))
        };
        let queues = wanted.into_iter().zip(activities).map(summary).collect();
        Ok(Computation { computed_at, as_of, window_ms, selections, names, queues, workers })
    }

    /// Returns the time since which the oldest job of each queue has been READY.
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

/// Returns the counts of jobs that are not terminal. All of them are in the store; of the terminal
/// ones the store has only the newest.
fn live_counts(depths: Vec<Depth>) -> HashMap<Name, Vec<QueueCount>> {
    let mut found: HashMap<Name, Vec<QueueCount>> = HashMap::default();
    for Depth { queue, state, count } in depths {
        if !state.is_terminal() {
            let of_queue = found.entry(queue.clone()).or_default();
            of_queue.push(QueueCount { queue, state, count, capped: false });
        }
    }
    found
}
