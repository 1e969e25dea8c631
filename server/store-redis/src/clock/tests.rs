//! The clock against readings of every kind.

use std::time::{Duration, Instant};

use super::{Reading, StoreClock};

const HOUR_MS: i64 = 3_600_000;
const T0: i64 = 1_700_000_000_000;

fn reading(at: Instant, time_ms: i64, told: i64) -> Reading {
    Reading { time_us: time_ms * 1_000, told, asked: at, answered: at }
}

fn after(start: Instant, ms: i64) -> Instant {
    start + Duration::from_millis(ms.unsigned_abs())
}

#[test]
fn it_begins_with_the_time_of_the_store() {
    let start = Instant::now();
    let clock = StoreClock::new(reading(start, T0, 0));
    assert_eq!(clock.at(after(start, 250)), T0 + 250);
    // Another Redis took over, whose clock is behind: the others did not go back.
    let clock = StoreClock::new(reading(start, T0 - HOUR_MS, T0));
    assert_eq!(clock.at(start), T0);
}

/// The readings jump by an hour, as when another Redis takes over.
#[test]
fn it_follows_slowly_and_never_goes_back() {
    for leap in [-HOUR_MS, HOUR_MS] {
        let start = Instant::now();
        let clock = StoreClock::new(reading(start, T0, 0));
        let mut last = clock.at(start);
        for second in 1..=40_000 {
            let at = after(start, second * 1_000);
            clock.lead(&reading(at, T0 + leap + second * 1_000, 0));
            let step = clock.at(at) - last;
            assert!((899..=1_101).contains(&step), "{step} ms in a second");
            last = clock.at(at);
        }
        assert_eq!(last, T0 + leap + 40_000_000, "it is there in the end");
    }
}

#[test]
fn it_does_not_fall_behind_what_others_told_the_store() {
    let start = Instant::now();
    let clock = StoreClock::new(reading(start, T0, 0));
    // The machine slept while others went on.
    let at = after(start, 1_000);
    clock.lead(&reading(at, T0 + HOUR_MS, T0 + HOUR_MS - 500));
    assert_eq!(clock.at(at), T0 + HOUR_MS - 500);
}

#[test]
fn a_slow_answer_says_nothing() {
    let start = Instant::now();
    let clock = StoreClock::new(reading(start, T0, 0));
    let (asked, answered) = (after(start, 1_000), after(start, 1_400));
    let slow = Reading { time_us: (T0 + 90_000) * 1_000, told: 0, asked, answered };
    clock.lead(&slow);
    assert_eq!(clock.at(after(start, 60_000)), T0 + 60_000);
}
