//! Pauses between tries, with full jitter, so that clients that failed together do not return
//! together. The random unit is an argument: tests give their own.

use std::time::Duration;

/// The range that a pause is drawn from: `base`, doubled with each try, at most `cap`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Backoff {
    pub(crate) base: Duration,
    pub(crate) cap: Duration,
}

impl Backoff {
    /// The pause before try `failures + 1`; `unit` is uniform in 0..1.
    pub(crate) fn delay(&self, failures: u32, unit: f64) -> Duration {
        let doubled = self.base.saturating_mul(1u32 << failures.min(20));
        doubled.min(self.cap).mul_f64(unit.clamp(0.0, 1.0))
    }

    /// As `delay`, but the first redial after a healthy connection is immediate: most breaks are a
    /// restart of one server, and another one already listens.
    #[cfg(feature = "worker")]
    pub(crate) fn redial_delay(&self, failures: u32, unit: f64) -> Duration {
        match failures {
            0 => Duration::ZERO,
            n => self.delay(n - 1, unit),
        }
    }
}

#[cfg(test)]
mod tests;
