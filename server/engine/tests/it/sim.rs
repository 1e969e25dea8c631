//! A whole system in one process: the real engine with all its loops and a real ledger, over
//! the naive store behind faults, with workers, callers and watchers thrown from one seed.
//! Servers and workers die, streams break, replies are lost; then everything settles, and
//! what everybody saw is held against what is on record.
//!
//! Time is paused and jumps to the next instant at which anybody has something to do, so
//! minutes of a schedule take milliseconds. One thread runs everything but the ledger's
//! SQLite, which has threads of its own; while one of them works, time stands still. Ids, pauses
//! and faults come from the seed. What is not thrown from it: in which order tasks that
//! became ready at the same instant run when one of them waits for the ledger, and the order of
//! the groups of one call that a session gives back together.

mod check;
mod client;
mod notes;
mod schedule;
mod story;
mod watcher;
mod worker;
mod world;

use std::collections::BTreeMap;

use check::check;
use notes::History;
use schedule::Schedule;
use sentinel_broker::conformance::seed_from_env;

/// Lives one schedule.
fn live(seed: u64) -> (History, BTreeMap<&'static str, u64>) {
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    let runtime = runtime.enable_time().start_paused(true).max_blocking_threads(4).build();
    let runtime = runtime.expect("a runtime");
    runtime.block_on(async { Schedule::new(seed).await.run().await })
}

/// Schedules of one run; a soak goes on as long as it is told to.
const SCHEDULES: u64 = 2_000;

/// Lives schedules from `first` on while `go_on` says so.
fn live_many(first: u64, go_on: impl Fn(u64) -> bool) -> BTreeMap<&'static str, u64> {
    let mut reached: BTreeMap<&'static str, u64> = BTreeMap::new();
    for nth in (0..).take_while(|nth| go_on(*nth)) {
        let seed = first.wrapping_add(nth);
        let (history, of_one) = live(seed);
        let violations = check(&history);
        assert!(
            violations.is_empty(),
            "{}\nSENTINEL_TEST_SEED={seed}, schedule {nth}: {violations:#?}",
            story::story(&history)
        );
        for (what, count) in of_one {
            *reached.entry(what).or_default() += count;
        }
    }
    reached
}

#[test]
fn every_promise_is_kept_in_every_schedule() {
    let count = std::env::var("SCHEDULES").ok().and_then(|c| c.parse().ok()).unwrap_or(SCHEDULES);
    let reached = live_many(seed_from_env(), |nth| nth < count);
    println!("{reached:?}");
}
