//! A whole system in one process: the real engine with all its loops and a real ledger, over
//! the naive store behind faults, with workers, callers and watchers thrown from one seed.
//! Servers and workers die, streams break, replies are lost; then everything settles, and
//! what everybody saw is held against what is on record.
//!
//! Time is paused and jumps to the next instant at which anybody has something to do, so
//! minutes of a schedule take milliseconds. One thread runs everything, the ledger's SQLite
//! included, and every id, pause and fault comes from the seed: it lives the same life again.

mod check;
mod client;
mod notes;
mod planted;
mod schedule;
mod story;
mod watcher;
mod worker;
mod world;

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use check::check;
use notes::{History, Note, Seen};
use schedule::Schedule;
use sentinel_engine::session::ReportVerdict;
use sentinel_store::conformance::seed_from_env;

/// Lives one schedule.
fn live(seed: u64) -> (History, BTreeMap<&'static str, u64>) {
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    let runtime = runtime.enable_time().start_paused(true).build();
    let runtime = runtime.expect("a runtime");
    runtime.block_on(async { Schedule::new(seed).await.run().await })
}

/// Schedules of one run; a soak goes on as long as it is told to.
const SCHEDULES: u64 = 2_000;

/// Schedules that are lived twice.
const TWICE: u64 = 100;

/// What some of the schedules must have met, or they prove nothing.
const WIDE: &[&str] = &[
    "cancel",
    "retry",
    "delete",
    "run now",
    "stream broken",
    "worker crashed",
    "second stream",
    "worker silent",
    "server died",
    "server left",
    "fault of the store",
    "Lost",
    "NotReceived",
    "Released",
    "Snoozed",
    "TimedOut",
    "Revoked",
    "Cancelled",
    "Failed",
    "duplicate report",
    "fenced report",
    "cancelled before it started",
    "gap in a watch",
];

type Reached = BTreeMap<String, u64>;

/// What a history is good for.
fn note_reached(history: &History, reached: &mut Reached) {
    let mut reach = |what: &str| *reached.entry(what.to_owned()).or_default() += 1;
    for end in history.journal.iter().filter_map(|event| event.end.as_ref()) {
        reach(&format!("{:?}", end.outcome));
    }
    for note in &history.notes {
        match note {
            Note::Told { verdict: ReportVerdict::Duplicate, .. } => reach("duplicate report"),
            Note::Told { verdict: ReportVerdict::Fenced, .. } => reach("fenced report"),
            Note::Cancelled { .. } => reach("cancelled before it started"),
            Note::Watched { seen: Seen::Gap, .. } => reach("gap in a watch"),
            _ => {}
        }
    }
}

/// Lives schedules from `first` on while `go_on` says so, and holds each against the rules.
fn live_many(first: u64, go_on: impl Fn(u64) -> bool) -> Reached {
    let mut reached = Reached::new();
    for nth in (0..).take_while(|nth| go_on(*nth)) {
        let seed = first.wrapping_add(nth);
        let (history, of_one) = live(seed);
        let violations = check(&history);
        assert!(
            violations.is_empty(),
            "{}\nSENTINEL_TEST_SEED={seed} lives it again: {violations:#?}",
            story::story(&history)
        );
        note_reached(&history, &mut reached);
        for (what, count) in of_one {
            *reached.entry(what.to_owned()).or_default() += count;
        }
    }
    reached
}

#[test]
fn every_promise_is_kept_in_every_schedule() {
    let reached = live_many(seed_from_env(), |nth| nth < SCHEDULES);
    println!("{SCHEDULES} schedules reached {reached:?}");
    for what in WIDE {
        assert!(reached.contains_key(*what), "no schedule met: {what}");
    }
}

#[test]
#[ignore = "runs for minutes; the profile soak runs it"]
fn soak_every_promise_is_kept_in_every_schedule() {
    let minutes = std::env::var("SENTINEL_SOAK_MINUTES").ok().and_then(|text| text.parse().ok());
    let until = Instant::now() + Duration::from_secs(60 * minutes.unwrap_or(1));
    let reached = live_many(seed_from_env(), |_| Instant::now() < until);
    println!("reached {reached:?}");
}

#[test]
fn a_seed_lives_the_same_life_again() {
    let first = seed_from_env();
    for seed in (0..TWICE).map(|nth| first.wrapping_add(nth)) {
        assert_eq!(live(seed).0.notes, live(seed).0.notes, "SENTINEL_TEST_SEED={seed}");
    }
}
