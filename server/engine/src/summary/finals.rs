//! How many jobs ended, from the ledger: counted again and again, but for no more than a small
//! part of the time, since a count goes through every job up to its cap.

use std::collections::BTreeSet;
use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use foldhash::HashMap;
use sentinel_domain::Name;
use sentinel_ledger::{LedgerError, QueueCount};
use tokio::time::{Instant, timeout};

use crate::Engine;

/// The longest that a summary waits for a count: the next one has it.
const PATIENCE: Duration = Duration::from_millis(300);

/// How many times as long as a count took there is none.
const REST: u32 = 19;

type Counting = Pin<Box<dyn Future<Output = Result<Vec<QueueCount>, LedgerError>> + Send>>;

/// The newest count, and one that is under way.
#[derive(Default)]
pub(super) struct Finals {
    by_queue: HashMap<Name, Vec<QueueCount>>,
    /// What the newest was about.
    queues: BTreeSet<Name>,
    under_way: Option<(Counting, BTreeSet<Name>, Instant)>,
    not_before: Option<Instant>,
}

impl Finals {
    /// Counts the queues, if it is time to.
    pub(super) async fn bring(&mut self, engine: &Engine, queues: &BTreeSet<Name>) {
        let now = Instant::now();
        if self.under_way.is_none() {
            let has_rested = self.not_before.is_none_or(|at| at <= now);
            // Those of whom nothing is known are counted at once, and nothing else is.
            let asked: BTreeSet<Name> = match has_rested {
                true => queues.clone(),
                false => queues.difference(&self.queues).cloned().collect(),
            };
            if !asked.is_empty() {
                let (ledger, names) = (engine.ledger.clone(), asked.iter().cloned().collect());
                let counting = Box::pin(async move { ledger.finals(names).await });
                self.under_way = Some((counting, asked, now));
            }
        }
        let Some((counting, _, began_at)) = &mut self.under_way else { return };
        let Ok(counted) = timeout(PATIENCE, counting).await else { return };
        self.not_before = Some(Instant::now() + began_at.elapsed() * REST);
        let Some((_, asked, _)) = self.under_way.take() else { return };
        match counted {
            Ok(counts) => self.take(counts, asked, queues),
            Err(error) => tracing::debug!(%error, "what ended could not be counted"),
        }
    }

    fn take(&mut self, counts: Vec<QueueCount>, asked: BTreeSet<Name>, wanted: &BTreeSet<Name>) {
        self.by_queue.retain(|queue, _| wanted.contains(queue) && !asked.contains(queue));
        for count in counts {
            self.by_queue.entry(count.queue.clone()).or_default().push(count);
        }
        self.queues.extend(asked);
        self.queues.retain(|queue| wanted.contains(queue));
    }

    /// Sorted by state, zeroes left out.
    pub(super) fn of(&self, queue: &Name) -> &[QueueCount] {
        self.by_queue.get(queue).map(Vec::as_slice).unwrap_or_default()
    }
}
