//! The clock of the store, which all of its servers use. It follows the clock of Redis.
//!
//! The clock is monotonic time since the start, adjusted towards the time of Redis by at most a
//! tenth, so that it never jumps and never goes back. The latest time that any server reported to
//! the store is a lower bound. So a new server agrees with the others, even after a failover to a
//! Redis with another clock.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use sentinel_domain::Millis;

/// The maximum round trip of a reading. A slower one is not accurate enough.
const ROUND_TRIP_MAX: Duration = Duration::from_millis(200);

/// The number of seconds over which one second is corrected.
const CORRECTION_FACTOR: i64 = 10;

/// A reading of the clock of Redis.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ClockReading {
    /// Microseconds since the Unix epoch.
    pub(crate) time_us: i64,
    /// The latest time that any server reported to the store, in milliseconds.
    pub(crate) store_now: Millis,
    pub(crate) sent_at: Instant,
    pub(crate) received_at: Instant,
}

impl ClockReading {
    /// Returns the time of Redis when the reply arrived, in microseconds since the Unix epoch.
    fn time_at_reply(&self) -> i64 {
        self.time_us + micros(self.round_trip() / 2)
    }

    fn round_trip(&self) -> Duration {
        self.received_at.saturating_duration_since(self.sent_at)
    }
}

fn micros(span: Duration) -> i64 {
    i64::try_from(span.as_micros()).unwrap_or(i64::MAX)
}

/// The clock of the store.
#[derive(Debug)]
pub(crate) struct StoreClock(Mutex<ClockState>);

/// The state of the clock; times are in microseconds.
#[derive(Debug)]
struct ClockState {
    /// When the clock was last adjusted.
    at: Instant,
    time_us: i64,
    /// The remaining correction.
    correction_us: i64,
}

impl ClockState {
    fn time_us(&self, now: Instant) -> i64 {
        let passed = micros(now.saturating_duration_since(self.at));
        let max_correction = passed / CORRECTION_FACTOR;
        self.time_us + passed + self.correction_us.clamp(-max_correction, max_correction)
    }
}

impl StoreClock {
    pub(crate) fn new(first: ClockReading) -> Self {
        let time_us = first.time_at_reply().max(first.store_now.saturating_mul(1_000));
        Self(Mutex::new(ClockState { at: first.received_at, time_us, correction_us: 0 }))
    }

    fn lock(&self) -> MutexGuard<'_, ClockState> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the time in milliseconds since the Unix epoch.
    pub(crate) fn now(&self) -> Millis {
        self.at(Instant::now())
    }

    fn at(&self, now: Instant) -> Millis {
        self.lock().time_us(now) / 1_000
    }

    /// Adjusts the clock towards a reading.
    pub(crate) fn adjust(&self, reading: &ClockReading) {
        let mut state = self.lock();
        let time_us = state.time_us(reading.received_at);
        let corrected = time_us
            - state.time_us
            - micros(reading.received_at.saturating_duration_since(state.at));
        let remaining = state.correction_us - corrected;
        let time_us = time_us.max(reading.store_now.saturating_mul(1_000));
        let correction_us = match reading.round_trip() <= ROUND_TRIP_MAX {
            true => reading.time_at_reply() - time_us,
            false => remaining,
        };
        *state = ClockState { at: reading.received_at.max(state.at), time_us, correction_us };
    }
}

#[cfg(test)]
mod tests;
