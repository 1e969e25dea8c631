//! Deterministic simulation of a whole system in one process: the engine with all its loops, a real
//! ledger, and the reference store behind fault injection. Workers, clients and watchers act at
//! random from one seed. Servers and workers crash, streams break, responses are lost. Then the
//! system settles, and the rules compare what everyone observed with the journal and the ledger.
//!
//! Time is paused and jumps to the next timer, so minutes of a schedule take milliseconds. One
//! thread runs everything, including SQLite, and every id, pause and fault comes from the seed. A
//! seed therefore reproduces its schedule.

mod check;
mod client;
mod observations;
mod report;
mod rule_tests;
mod schedule;
mod system;
mod watcher;
mod worker;

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use check::check;
use observations::{History, Observation, WatchObservation};
use schedule::Schedule;
use sentinel_engine::session::ReportVerdict;
use sentinel_store::conformance::seed_from_env;

/// Runs one schedule.
fn run_schedule(seed: u64) -> (History, BTreeMap<&'static str, u64>) {
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    let runtime = runtime.enable_time().start_paused(true).build();
    let runtime = runtime.expect("a runtime");
    runtime.block_on(async { Schedule::new(seed).await.run().await })
}

/// The number of schedules of one run. A soak test runs for a time instead.
const SCHEDULES: u64 = 2_000;

/// The number of schedules that run twice.
const REPEATED: u64 = 100;

/// What the schedules together must have reached; otherwise they prove nothing.
const REQUIRED: &[&str] = &[
    "cancel",
    "retry",
    "delete",
    "run now",
    "broken stream",
    "crashed worker",
    "second stream",
    "silent worker",
    "killed server",
    "stopped server",
    "store fault",
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
    "cancel before the start",
    "watch gap",
];

type Reached = BTreeMap<String, u64>;

/// Counts what a history has reached.
fn count_reached(history: &History, reached: &mut Reached) {
    let mut reach = |what: &str| *reached.entry(what.to_owned()).or_default() += 1;
    for end in history.journal.iter().filter_map(|event| event.attempt_end.as_ref()) {
        reach(&format!("{:?}", end.outcome));
    }
    for observation in &history.observations {
        match observation {
            Observation::ReportVerdict { verdict: ReportVerdict::Duplicate, .. } => {
                reach("duplicate report")
            }
            Observation::ReportVerdict { verdict: ReportVerdict::Fenced, .. } => {
                reach("fenced report")
            }
            Observation::Cancelled { .. } => reach("cancel before the start"),
            Observation::Watched { seen: WatchObservation::Gap, .. } => reach("watch gap"),
            _ => {}
        }
    }
}

/// Runs schedules from seed `first` while `go_on` returns true, and checks each one.
fn run_schedules(first: u64, go_on: impl Fn(u64) -> bool) -> Reached {
    let mut reached = Reached::new();
    for nth in (0..).take_while(|nth| go_on(*nth)) {
        let seed = first.wrapping_add(nth);
        let (history, counts) = run_schedule(seed);
        let violations = check(&history);
        assert!(
            violations.is_empty(),
            "{}\nSENTINEL_TEST_SEED={seed} reproduces this: {violations:#?}",
            report::report(&history)
        );
        count_reached(&history, &mut reached);
        for (what, count) in counts {
            *reached.entry(what.to_owned()).or_default() += count;
        }
    }
    reached
}

#[test]
fn guarantees_hold_in_every_schedule() {
    let reached = run_schedules(seed_from_env(), |nth| nth < SCHEDULES);
    println!("{SCHEDULES} schedules reached {reached:?}");
    for what in REQUIRED {
        assert!(reached.contains_key(*what), "no schedule reached: {what}");
    }
}

#[test]
#[ignore = "runs for minutes: cargo xtask soak"]
fn soak_guarantees_hold_in_every_schedule() {
    let minutes = std::env::var("SENTINEL_SOAK_MINUTES").ok().and_then(|text| text.parse().ok());
    let deadline = Instant::now() + Duration::from_secs(60 * minutes.unwrap_or(1));
    let reached = run_schedules(seed_from_env(), |_| Instant::now() < deadline);
    println!("reached {reached:?}");
}

#[test]
fn a_seed_reproduces_its_schedule() {
    let first = seed_from_env();
    for seed in (0..REPEATED).map(|nth| first.wrapping_add(nth)) {
        assert_eq!(
            run_schedule(seed).0.observations,
            run_schedule(seed).0.observations,
            "SENTINEL_TEST_SEED={seed}"
        );
    }
}
