//! The time of the store, which all its servers go by: that of the Redis, wherever their own
//! clocks stand.
//!
//! It is monotonic time since the start, led towards the time of the Redis: at most a tenth
//! faster or slower, so that no lease sees a leap, and never backwards. What the store was
//! told before is a floor, so that a new server starts where the others are, also when
//! another Redis with another clock took over.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use sentinel_domain::Millis;

/// A measurement that took longer says too little.
const ROUND_TRIP_MAX: Duration = Duration::from_millis(200);

/// What a second of correction needs, in seconds.
const SLOWNESS: i64 = 10;

/// A reading of the clock of the Redis.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Reading {
    /// Microseconds since the Unix epoch.
    pub(crate) time_us: i64,
    /// The latest time that any server told the store, in milliseconds.
    pub(crate) told: Millis,
    pub(crate) asked: Instant,
    pub(crate) answered: Instant,
}

impl Reading {
    /// Milliseconds since the Unix epoch, as the Redis had them half-way.
    fn time_at_answer(&self) -> i64 {
        self.time_us + micros(self.round_trip() / 2)
    }

    fn round_trip(&self) -> Duration {
        self.answered.saturating_duration_since(self.asked)
    }
}

fn micros(span: Duration) -> i64 {
    i64::try_from(span.as_micros()).unwrap_or(i64::MAX)
}

/// The time of the store.
#[derive(Debug)]
pub(crate) struct StoreClock(Mutex<Course>);

/// Times in microseconds.
#[derive(Debug)]
struct Course {
    /// Where it was when it was last led.
    at: Instant,
    time_us: i64,
    /// How far it has to go, beside the time that passes.
    behind_us: i64,
}

impl Course {
    fn time_us(&self, now: Instant) -> i64 {
        let passed = micros(now.saturating_duration_since(self.at));
        let most = passed / SLOWNESS;
        self.time_us + passed + self.behind_us.clamp(-most, most)
    }
}

impl StoreClock {
    pub(crate) fn new(first: Reading) -> Self {
        let time_us = first.time_at_answer().max(first.told.saturating_mul(1_000));
        Self(Mutex::new(Course { at: first.answered, time_us, behind_us: 0 }))
    }

    fn lock(&self) -> MutexGuard<'_, Course> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Milliseconds since the Unix epoch.
    pub(crate) fn now(&self) -> Millis {
        self.at(Instant::now())
    }

    fn at(&self, now: Instant) -> Millis {
        self.lock().time_us(now) / 1_000
    }

    /// Leads it towards a reading.
    pub(crate) fn lead(&self, reading: &Reading) {
        let mut course = self.lock();
        let time_us = course.time_us(reading.answered);
        let done = time_us
            - course.time_us
            - micros(reading.answered.saturating_duration_since(course.at));
        let left = course.behind_us - done;
        let time_us = time_us.max(reading.told.saturating_mul(1_000));
        let behind_us = match reading.round_trip() <= ROUND_TRIP_MAX {
            true => reading.time_at_answer() - time_us,
            false => left,
        };
        *course = Course { at: reading.answered.max(course.at), time_us, behind_us };
    }
}

#[cfg(test)]
mod tests;
