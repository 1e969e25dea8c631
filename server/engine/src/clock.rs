//! The one place that reads the time.

use std::sync::Arc;
use std::time::Instant;

use sentinel_domain::Millis;

/// Tells the time. Cheap to clone.
#[derive(Clone)]
pub struct Clock(Arc<dyn Fn() -> Millis + Send + Sync>);

impl Clock {
    /// Wall time at the start plus monotonic time since: it never runs backwards, so a
    /// step of the machine's clock ends no lease. A suspended machine falls behind.
    pub fn system() -> Self {
        #[expect(clippy::disallowed_methods, reason = "the only reader of the wall clock")]
        let wall = std::time::SystemTime::now();
        let base = wall.duration_since(std::time::UNIX_EPOCH).map_or(0, |d| d.as_millis() as i64);
        let start = Instant::now();
        Self(Arc::new(move || base + start.elapsed().as_millis() as i64))
    }

    /// A clock of the caller's own.
    pub fn new(now: impl Fn() -> Millis + Send + Sync + 'static) -> Self {
        Self(Arc::new(now))
    }

    /// Milliseconds since the Unix epoch.
    pub fn now(&self) -> Millis {
        (self.0)()
    }
}
