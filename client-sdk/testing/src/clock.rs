//! The clock of a test server: the system clock plus an offset.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use sentinel_server::assembly::Clock;

/// A clock that the test can advance. It also runs by itself, so that leases and short delays pass
/// as in production. Cheap to clone; clones are the same clock.
#[derive(Clone, Debug, Default)]
pub struct TestClock {
    offset_ms: Arc<AtomicI64>,
}

impl TestClock {
    /// Advances the clock, so that delays, deadlines and retries become due. Connected workers keep
    /// their sessions.
    pub fn advance(&self, by: Duration) {
        let by_ms = i64::try_from(by.as_millis()).unwrap_or(i64::MAX);
        self.offset_ms.fetch_add(by_ms, Ordering::SeqCst);
    }

    pub(crate) fn for_server(&self) -> Clock {
        let (system, offset_ms) = (Clock::system(), self.offset_ms.clone());
        Clock::new(move || system.now().saturating_add(offset_ms.load(Ordering::SeqCst)))
    }
}
