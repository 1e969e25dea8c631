//! The numbers of terminal jobs, from the ledger.
//!
//! A count scans every job up to its cap. So they are counted continuously, but for no more than
//! a small part of the time.

use std::collections::BTreeSet;
use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use foldhash::HashMap;
use sentinel_domain::Name;
use sentinel_ledger::{Ledger, LedgerError, QueueCount};
use tokio::time::{Instant, timeout};

/// How long a summary waits for a count. After that the next summary has it.
const WAIT: Duration = Duration::from_millis(300);

/// The length of the pause after a count, in multiples of the time that the count took.
const PAUSE_FACTOR: u32 = 19;

type CountFuture = Pin<Box<dyn Future<Output = Result<Vec<QueueCount>, LedgerError>> + Send>>;

/// A count that has not finished.
struct Running {
    count: CountFuture,
    queues: BTreeSet<Name>,
    began_at: Instant,
}

/// The newest counts.
pub(super) struct TerminalCounts {
    ledger: Ledger,
    by_queue: HashMap<Name, Vec<QueueCount>>,
    /// The queues that have been counted, also those without terminal jobs.
    counted: BTreeSet<Name>,
    running: Option<Running>,
    next_allowed_at: Option<Instant>,
}

impl TerminalCounts {
    pub(super) fn new(ledger: Ledger) -> Self {
        let (by_queue, counted) = (HashMap::default(), BTreeSet::new());
        Self { ledger, by_queue, counted, running: None, next_allowed_at: None }
    }

    /// Counts the queues, if the pause is over.
    pub(super) async fn refresh(&mut self, queues: &BTreeSet<Name>) {
        let now = Instant::now();
        if self.running.is_none() {
            let is_allowed = self.next_allowed_at.is_none_or(|at| at <= now);
            // During the pause only queues without a count are counted.
            let asked: BTreeSet<Name> = match is_allowed {
                true => queues.clone(),
                false => queues.difference(&self.counted).cloned().collect(),
            };
            if !asked.is_empty() {
                let (ledger, names) = (self.ledger.clone(), asked.iter().cloned().collect());
                let count = Box::pin(async move { ledger.count_terminal(names).await });
                self.running = Some(Running { count, queues: asked, began_at: now });
            }
        }
        let Some(Running { count, began_at, .. }) = &mut self.running else { return };
        let Ok(counts) = timeout(WAIT, count).await else { return };
        self.next_allowed_at = Some(Instant::now() + began_at.elapsed() * PAUSE_FACTOR);
        let Some(Running { queues: asked, .. }) = self.running.take() else { return };
        match counts {
            Ok(counts) => self.store(counts, asked, queues),
            Err(error) => tracing::debug!(%error, "terminal jobs could not be counted"),
        }
    }

    fn store(&mut self, counts: Vec<QueueCount>, asked: BTreeSet<Name>, wanted: &BTreeSet<Name>) {
        self.by_queue.retain(|queue, _| wanted.contains(queue) && !asked.contains(queue));
        for count in counts {
            self.by_queue.entry(count.queue.clone()).or_default().push(count);
        }
        self.counted.extend(asked);
        self.counted.retain(|queue| wanted.contains(queue));
    }

    /// Returns the counts of a queue, sorted by state, without zeros.
    pub(super) fn of(&self, queue: &Name) -> &[QueueCount] {
        self.by_queue.get(queue).map(Vec::as_slice).unwrap_or_default()
    }
}
