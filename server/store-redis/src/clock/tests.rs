//! Tests of the clock with various readings.

use std::time::{Duration, Instant};

use super::{ClockReading, StoreClock};

const HOUR_MS: i64 = 3_600_000;
const T0: i64 = 1_700_000_000_000;

fn reading(at: Instant, time_ms: i64, store_now: i64) -> ClockReading {
    ClockReading { time_us: time_ms * 1_000, store_now, sent_at: at, received_at: at }
}

fn after(start: Instant, ms: i64) -> Instant {
    start + Duration::from_millis(ms.unsigned_abs())
}

#[test]
fn it_starts_with_the_time_of_the_store() {
    let start = Instant::now();
    let clock = StoreClock::new(reading(start, T0, 0));
    assert_eq!(clock.at(after(start, 250)), T0 + 250);
    // After a failover the clock of Redis is behind. The clocks of the other servers did not go
    // back.
    let clock = StoreClock::new(reading(start, T0 - HOUR_MS, T0));
    assert_eq!(clock.at(start), T0);
}

/// The readings jump by an hour, as after a failover.
#[test]
fn it_is_adjusted_slowly_and_never_goes_back() {
    for jump in [-HOUR_MS, HOUR_MS] {
        let start = Instant::now();
        let clock = StoreClock::new(reading(start, T0, 0));
        let mut last = clock.at(start);
        for second in 1..=40_000 {
            let at = after(start, second * 1_000);
            clock.adjust(&reading(at, T0 + jump + second * 1_000, 0));
            let step = clock.at(at) - last;
            assert!((899..=1_101).contains(&step), "{step} ms in a second");
            last = clock.at(at);
        }
        assert_eq!(last, T0 + jump + 40_000_000, "the correction is complete");
    }
}

#[test]
fn it_is_not_behind_the_time_that_other_servers_reported() {
    let start = Instant::now();
    let clock = StoreClock::new(reading(start, T0, 0));
    // This machine was suspended while other servers ran.
    let at = after(start, 1_000);
    clock.adjust(&reading(at, T0 + HOUR_MS, T0 + HOUR_MS - 500));
    assert_eq!(clock.at(at), T0 + HOUR_MS - 500);
}

#[test]
fn a_slow_reading_is_ignored() {
    let start = Instant::now();
    let clock = StoreClock::new(reading(start, T0, 0));
    let (sent_at, received_at) = (after(start, 1_000), after(start, 1_400));
    let slow = ClockReading { time_us: (T0 + 90_000) * 1_000, store_now: 0, sent_at, received_at };
    clock.adjust(&slow);
    assert_eq!(clock.at(after(start, 60_000)), T0 + 60_000);
}
