//! When a call is repeated: after an error that says that the server did not execute it or may not
//! have, since every call of this client is idempotent or has an idempotency key. It is repeated
//! with exponential backoff and jitter until its deadline. The budget limits how many repetitions
//! per second all clones of a client make: it spreads a storm, and never ends a call that has time.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tonic::Code;

use crate::Error;
use crate::backoff::Backoff;
use crate::time::after;

const BACKOFF: Backoff = Backoff { base: Duration::from_millis(100), cap: Duration::from_secs(2) };
/// No repetition starts with less time than this.
const MIN_REMAINING: Duration = Duration::from_millis(10);
/// One repetition per interval, 200 per second.
const BUDGET_INTERVAL: Duration = Duration::from_millis(5);
/// Repetitions that need not wait for the interval, after a time without any.
const BUDGET_BURST: u32 = 200;

/// The times of the repetitions of all calls of a client.
#[derive(Clone, Debug, Default)]
pub(crate) struct RetryBudget {
    /// When the repetitions that were granted so far are paid for.
    paid_at: Arc<Mutex<Option<Instant>>>,
}

impl RetryBudget {
    /// Reserves one repetition; returns how long it must wait. `None`, without a reservation, when
    /// that is longer than `max_wait`.
    fn reserve(&self, now: Instant, max_wait: Duration) -> Option<Duration> {
        let mut paid_at = self.paid_at.lock().unwrap_or_else(PoisonError::into_inner);
        let start = paid_at.map_or(now, |at| at.max(now));
        let wait = (start - now).saturating_sub(BUDGET_INTERVAL * BUDGET_BURST);
        if wait > max_wait {
            return None;
        }
        *paid_at = Some(start + BUDGET_INTERVAL);
        Some(wait)
    }
}

/// The retry state of one call.
#[derive(Debug)]
pub(crate) struct CallRetry<'a> {
    budget: &'a RetryBudget,
    deadline: Instant,
    failures: u32,
}

impl<'a> CallRetry<'a> {
    pub(crate) fn new(budget: &'a RetryBudget, now: Instant, timeout: Duration) -> Self {
        Self { budget, deadline: after(now, timeout), failures: 0 }
    }

    /// The time until the call's deadline.
    pub(crate) fn remaining(&self, now: Instant) -> Duration {
        self.deadline.saturating_duration_since(now)
    }

    /// Records a failure and returns the delay before the next RPC attempt, or `None` when the
    /// call must not be repeated. `jitter` is uniform in 0..1.
    pub(crate) fn next_delay(
        &mut self,
        error: &Error,
        now: Instant,
        jitter: f64,
    ) -> Option<Duration> {
        let remaining = self.remaining(now);
        let told = error.retry_after().unwrap_or_default();
        if !may_repeat(error) || remaining < MIN_REMAINING || told >= remaining {
            return None;
        }
        // At most half of the rest, so that a call does not give up long before its deadline.
        let backoff = BACKOFF.delay(self.failures, jitter).min(remaining / 2);
        self.failures = self.failures.saturating_add(1);
        let delay = backoff.max(told);
        Some(delay + self.budget.reserve(now, remaining - delay)?)
    }
}

/// Whether the same call may succeed later.
fn may_repeat(error: &Error) -> bool {
    let is_told_to_wait =
        error.code() == Some(Code::ResourceExhausted) && error.retry_after().is_some();
    error.is_unavailable() || is_told_to_wait
}

#[cfg(test)]
mod tests;
