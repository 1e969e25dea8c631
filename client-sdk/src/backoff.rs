//! Exponential backoff with full jitter, so that clients that failed together do not retry
//! together.

use std::time::Duration;

/// The delay range: `base`, doubled with each failure, at most `cap`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Backoff {
    pub(crate) base: Duration,
    pub(crate) cap: Duration,
}

impl Backoff {
    /// The delay after `failures + 1` failures in a row. `jitter` is uniform in 0..1.
    pub(crate) fn delay(&self, failures: u32, jitter: f64) -> Duration {
        let doubled = self.base.saturating_mul(1u32 << failures.min(20));
        doubled.min(self.cap).mul_f64(jitter.clamp(0.0, 1.0))
    }

    /// As `delay`, but the first reconnect after a healthy connection is immediate: most
    /// connections are lost because one server restarts while others are available.
    #[cfg(feature = "worker")]
    pub(crate) fn reconnect_delay(&self, failures: u32, jitter: f64) -> Duration {
        match failures {
            0 => Duration::ZERO,
            n => self.delay(n - 1, jitter),
        }
    }
}

#[cfg(test)]
mod tests;
