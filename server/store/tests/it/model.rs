//! Everything that can happen in a small world: two jobs, two workers, one server at a time.
//! Every order of enqueue, claim, receipt, report, cancel and retry, with replies and calls that
//! are lost, streams that break, workers and servers that die, and time that passes, up to a
//! number of faults. The store is the oracle, the rules of a job are the real ones.

mod ask;
mod client;
mod commit;
mod explore;
mod print;
mod rules;
mod server;
mod step;
mod worker;
mod world;

use explore::{Found, explore};
use rules::Violation;
use world::{Left, Plant, World};

const NOTHING: Left = Left { faults: 0, ticks: 0, cancels: 0, retries: 0, turns: 0 };

/// Explores with jobs that do not know each other, and with one that waits for the other.
/// A world that has become small proves nothing: so many states at the least, and all of
/// these must have happened.
fn whatever_happens(left: Left, states_min: usize, reached: &[&str]) {
    for is_chain in [false, true] {
        let found = explore(World::new(is_chain, left, None));
        let Found { states, steps, .. } = found;
        println!("{left:?}, chain {is_chain}: {states} states, {steps} steps, {:?}", found.reached);
        assert_eq!(found.broken, None);
        assert!(states > states_min, "only {states} states");
        let unblocked = is_chain.then_some("unblocked");
        for what in reached.iter().copied().chain(unblocked) {
            assert!(found.reached.contains_key(what), "{what} never happened");
        }
    }
}

#[test]
fn two_faults_at_any_two_points() {
    let left = Left { faults: 2, ticks: 1, ..NOTHING };
    let reached = [
        "succeeded",
        "came back",
        "lease lost",
        "two handlers at once",
        "repeated call",
        "came back with leases",
        "server restarted",
    ];
    whatever_happens(left, 10_000, &reached);
}

#[test]
fn a_cancel_and_a_fault_at_any_two_points() {
    let left = Left { faults: 1, ticks: 2, cancels: 1, ..NOTHING };
    let reached = ["cancelled while running", "cancelled while waiting", "lease lost", "succeeded"];
    whatever_happens(left, 10_000, &reached);
}

#[test]
fn a_failure_a_retry_and_a_fault_at_any_points() {
    let left = Left { faults: 1, ticks: 1, retries: 1, turns: 1, ..NOTHING };
    whatever_happens(left, 10_000, &["retried", "came back", "lease lost", "succeeded"]);
}

#[test]
fn every_rule_is_heard_when_it_is_broken() {
    let plants = [
        (Plant::NoGuards, Violation::Broken("version-dense")),
        (Plant::NewNumber, Violation::Stuck),
        (Plant::NoSweep, Violation::Stuck),
        (Plant::BeginsLate, Violation::StartAfterCancel),
        (Plant::BeginsTwice, Violation::Overlap),
    ];
    for (plant, expected) in plants {
        let left = Left { faults: 1, ticks: 1, cancels: 1, ..NOTHING };
        let found = explore(World::new(false, left, Some(plant)));
        let (violation, way) = found.broken.unwrap_or_else(|| panic!("{plant:?} was not seen"));
        println!("{plant:?}: {violation:?} after {way:?}");
        assert_eq!(violation, expected, "{plant:?} after {way:?}");
    }
}
