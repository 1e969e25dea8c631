//! Detects that the machine did not schedule the test: a ticker records how late it wakes up.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tokio::task::JoinHandle;

const TICK: Duration = Duration::from_millis(10);

/// A ticker that runs until it is dropped.
pub(crate) struct StallMonitor {
    worst_ms: Arc<AtomicU64>,
    ticking: JoinHandle<()>,
}

impl StallMonitor {
    pub(crate) fn start() -> Self {
        let worst_ms = Arc::new(AtomicU64::new(0));
        let ticking = tokio::spawn(tick(worst_ms.clone()));
        Self { worst_ms, ticking }
    }

    /// Returns the longest delay of a wake-up so far.
    pub(crate) fn worst(&self) -> Duration {
        Duration::from_millis(self.worst_ms.load(Ordering::Relaxed))
    }
}

impl Drop for StallMonitor {
    fn drop(&mut self) {
        self.ticking.abort();
    }
}

async fn tick(worst_ms: Arc<AtomicU64>) {
    let mut ticks = tokio::time::interval(TICK);
    let mut previous = Instant::now();
    loop {
        ticks.tick().await;
        let late = previous.elapsed().saturating_sub(TICK);
        let late_ms = u64::try_from(late.as_millis()).unwrap_or(u64::MAX);
        worst_ms.fetch_max(late_ms, Ordering::Relaxed);
        previous = Instant::now();
    }
}
