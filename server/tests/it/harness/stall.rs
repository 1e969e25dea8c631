//! Whether the machine let the test run: a ticker that notes how late it is woken.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tokio::task::JoinHandle;

const EVERY: Duration = Duration::from_millis(10);

/// Ticks until it is dropped.
pub(crate) struct Stalls {
    worst_ms: Arc<AtomicU64>,
    ticking: JoinHandle<()>,
}

impl Stalls {
    pub(crate) fn watch() -> Self {
        let worst_ms = Arc::new(AtomicU64::new(0));
        let ticking = tokio::spawn(tick(worst_ms.clone()));
        Self { worst_ms, ticking }
    }

    /// How late the latest wake-up was so far.
    pub(crate) fn worst(&self) -> Duration {
        Duration::from_millis(self.worst_ms.load(Ordering::Relaxed))
    }
}

impl Drop for Stalls {
    fn drop(&mut self) {
        self.ticking.abort();
    }
}

async fn tick(worst_ms: Arc<AtomicU64>) {
    let mut ticks = tokio::time::interval(EVERY);
    let mut before = Instant::now();
    loop {
        ticks.tick().await;
        let late = before.elapsed().saturating_sub(EVERY);
        let late_ms = u64::try_from(late.as_millis()).unwrap_or(u64::MAX);
        worst_ms.fetch_max(late_ms, Ordering::Relaxed);
        before = Instant::now();
    }
}
