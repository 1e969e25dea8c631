//! When a call is tried again (after AIP-194): only when there was no answer or UNAVAILABLE, with
//! pauses that grow and are drawn at random, within the call's deadline, and as long as the
//! client's budget lasts, so that a fleet of clients does not hold down a server that is
//! overloaded. All clones of a client share one budget.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use crate::Error;
use crate::backoff::Backoff;
use crate::time::after;

/// Tries of one call, the first included.
const MAX_TRIES: u32 = 4;
const PAUSE: Backoff = Backoff { base: Duration::from_millis(100), cap: Duration::from_secs(2) };

/// Tenths of a token. A failed try takes a whole one, an answer gives a tenth back; below half of
/// all of them nothing is repeated: beyond 50 failures in a row, and then while over a tenth of
/// the tries fail.
const BUDGET_MAX: u32 = 1000;
const FAILURE_COST: u32 = 10;
const ANSWER_GAIN: u32 = 1;

/// What is left for repeats.
#[derive(Clone, Debug)]
pub(crate) struct Budget {
    tenths: Arc<AtomicU32>,
}

impl Default for Budget {
    fn default() -> Self {
        Self { tenths: Arc::new(AtomicU32::new(BUDGET_MAX)) }
    }
}

impl Budget {
    fn answered(&self) {
        let gain = |tenths| (tenths < BUDGET_MAX).then_some(tenths + ANSWER_GAIN);
        // An error means that it is full.
        let _ = self.tenths.fetch_update(Ordering::Relaxed, Ordering::Relaxed, gain);
    }

    /// Whether a repeat may follow.
    fn failed(&self) -> bool {
        let cost = |tenths: u32| Some(tenths.saturating_sub(FAILURE_COST));
        let before = self.tenths.fetch_update(Ordering::Relaxed, Ordering::Relaxed, cost);
        before.unwrap_or_default().saturating_sub(FAILURE_COST) > BUDGET_MAX / 2
    }
}

/// The tries of one call.
#[derive(Debug)]
pub(crate) struct Tries<'a> {
    budget: &'a Budget,
    ends_at: Instant,
    failures: u32,
}

impl<'a> Tries<'a> {
    pub(crate) fn new(budget: &'a Budget, now: Instant, deadline: Duration) -> Self {
        Self { budget, ends_at: after(now, deadline), failures: 0 }
    }

    /// How long the next try may take.
    pub(crate) fn left(&self, now: Instant) -> Duration {
        self.ends_at.saturating_duration_since(now)
    }

    pub(crate) fn answered(&self) {
        self.budget.answered();
    }

    /// The pause before the next try; `None`: that was the last one. `unit` is uniform in 0..1.
    pub(crate) fn failed(&mut self, error: &Error, now: Instant, unit: f64) -> Option<Duration> {
        self.failures += 1;
        if !error.is_unavailable() {
            // A refusal is an answer.
            self.budget.answered();
            return None;
        }
        let is_allowed = self.budget.failed() && self.failures < MAX_TRIES;
        let pause =
            PAUSE.delay(self.failures - 1, unit).max(error.retry_after().unwrap_or_default());
        (is_allowed && pause < self.left(now)).then_some(pause)
    }
}

#[cfg(test)]
mod tests;
