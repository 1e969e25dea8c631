//! The injected clock: the only reader of the wall time.

use std::sync::Arc;
use std::time::Instant;

use sentinel_domain::Millis;

/// A clock. Cheap to clone.
#[derive(Clone)]
pub struct Clock(Arc<dyn Fn() -> Millis + Send + Sync>);

impl Clock {
    /// Returns the wall time at the start plus the monotonic time since then.
    ///
    /// It never runs backwards, so a step of the system clock expires no lease. It falls behind
    /// while the machine is suspended.
    pub fn system() -> Self {
        #[expect(clippy::disallowed_methods, reason = "the only reader of the wall clock")]
        let wall = std::time::SystemTime::now();
        let base = wall.duration_since(std::time::UNIX_EPOCH).map_or(0, |d| d.as_millis() as i64);
        let start = Instant::now();
        Self(Arc::new(move || base + start.elapsed().as_millis() as i64))
    }

    /// Returns a clock that calls `now`, for tests.
    pub fn new(now: impl Fn() -> Millis + Send + Sync + 'static) -> Self {
        Self(Arc::new(now))
    }

    /// Returns the milliseconds since the Unix epoch.
    pub fn now(&self) -> Millis {
        (self.0)()
    }
}
