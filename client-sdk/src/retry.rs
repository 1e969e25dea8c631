//! When a call is retried (after AIP-194): only when there was no response or UNAVAILABLE, with
//! exponential backoff and jitter, within the call's deadline, and while the client's retry
//! throttle allows it. The throttle (gRPC A6) keeps many clients from overloading a server that
//! is already failing. All clones of a client share one throttle.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use crate::Error;
use crate::backoff::Backoff;
use crate::time::after;

/// RPC attempts of one call, the first one included.
const MAX_RPC_ATTEMPTS: u32 = 4;
const BACKOFF: Backoff = Backoff { base: Duration::from_millis(100), cap: Duration::from_secs(2) };

/// Tokens of the throttle, in tenths. A failure costs one token, a response returns a tenth.
/// Below half of the maximum no call is retried: that is after 50 failures in a row, and then
/// while more than a tenth of the RPC attempts fail.
const MAX_TOKENS: u32 = 1000;
const FAILURE_COST: u32 = 10;
const RESPONSE_GAIN: u32 = 1;

/// A token bucket that stops retries while too many RPC attempts fail.
#[derive(Clone, Debug)]
pub(crate) struct RetryThrottle {
    tokens: Arc<AtomicU32>,
}

impl Default for RetryThrottle {
    fn default() -> Self {
        Self { tokens: Arc::new(AtomicU32::new(MAX_TOKENS)) }
    }
}

impl RetryThrottle {
    fn record_response(&self) {
        let gain = |tokens| (tokens < MAX_TOKENS).then_some(tokens + RESPONSE_GAIN);
        // An error means that the bucket is full.
        let _ = self.tokens.fetch_update(Ordering::Relaxed, Ordering::Relaxed, gain);
    }

    /// Takes the cost of a failure; returns whether a retry is allowed.
    fn record_failure(&self) -> bool {
        let cost = |tokens: u32| Some(tokens.saturating_sub(FAILURE_COST));
        let before = self.tokens.fetch_update(Ordering::Relaxed, Ordering::Relaxed, cost);
        before.unwrap_or_default().saturating_sub(FAILURE_COST) > MAX_TOKENS / 2
    }
}

/// The retry state of one call.
#[derive(Debug)]
pub(crate) struct CallRetry<'a> {
    throttle: &'a RetryThrottle,
    deadline: Instant,
    failures: u32,
}

impl<'a> CallRetry<'a> {
    pub(crate) fn new(throttle: &'a RetryThrottle, now: Instant, timeout: Duration) -> Self {
        Self { throttle, deadline: after(now, timeout), failures: 0 }
    }

    /// The time until the call's deadline.
    pub(crate) fn remaining(&self, now: Instant) -> Duration {
        self.deadline.saturating_duration_since(now)
    }

    pub(crate) fn succeeded(&self) {
        self.throttle.record_response();
    }

    /// Records a failure and returns the delay before the next RPC attempt, or `None` when the
    /// call must not be retried. `jitter` is uniform in 0..1.
    pub(crate) fn next_delay(
        &mut self,
        error: &Error,
        now: Instant,
        jitter: f64,
    ) -> Option<Duration> {
        self.failures += 1;
        if !error.is_unavailable() {
            // The server responded, so it is not overloaded.
            self.throttle.record_response();
            return None;
        }
        let is_allowed = self.throttle.record_failure() && self.failures < MAX_RPC_ATTEMPTS;
        let delay =
            BACKOFF.delay(self.failures - 1, jitter).max(error.retry_after().unwrap_or_default());
        (is_allowed && delay < self.remaining(now)).then_some(delay)
    }
}

#[cfg(test)]
mod tests;
