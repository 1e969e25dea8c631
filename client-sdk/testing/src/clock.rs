//! The time of a test's server: that of the machine, and what the test added to it.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use sentinel_server::assembly::Clock;

/// A clock that can be put forward. It goes on by itself in between, so that leases and pauses of a
/// second pass as in production. Cheap to clone; clones are the same clock.
#[derive(Clone, Debug, Default)]
pub struct TestClock {
    ahead_ms: Arc<AtomicI64>,
}

impl TestClock {
    /// Puts the clock forward: delays, deadlines and retries come due. Sessions of workers that
    /// are connected live on.
    pub fn advance(&self, by: Duration) {
        let by_ms = i64::try_from(by.as_millis()).unwrap_or(i64::MAX);
        self.ahead_ms.fetch_add(by_ms, Ordering::SeqCst);
    }

    pub(crate) fn for_server(&self) -> Clock {
        let (machine, ahead_ms) = (Clock::system(), self.ahead_ms.clone());
        Clock::new(move || machine.now().saturating_add(ahead_ms.load(Ordering::SeqCst)))
    }
}
