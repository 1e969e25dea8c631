//! An exhaustive model check with two jobs, two workers and one server at a time.
//!
//! It explores every order of enqueue, claim, receipt, report, cancel and retry, with lost requests
//! and responses, broken streams, crashed workers and servers, and timeouts, up to a number of
//! faults. The store is the oracle, and the rules of a job are those of the domain.

mod client;
mod commit;
mod explore;
mod fingerprint;
mod poll;
mod rules;
mod server;
mod state;
mod step;
mod worker;

use explore::{Exploration, explore};
use rules::Violation;
use state::{InjectedBug, ModelState, Remaining};

const NONE: Remaining =
    Remaining { faults: 0, ticks: 0, cancels: 0, retries: 0, other_outcomes: 0 };

/// Explores with two independent jobs, and with a job that depends on the other one. Fails if there
/// are fewer than `states_min` states or an event of `reached` never happened.
fn explore_all(remaining: Remaining, states_min: usize, reached: &[&str]) {
    for is_chain in [false, true] {
        let found = explore(ModelState::new(is_chain, remaining, None));
        let Exploration { states, steps, .. } = found;
        println!(
            "{remaining:?}, chain {is_chain}: {states} states, {steps} steps, {:?}",
            found.reached
        );
        assert_eq!(found.violation, None);
        assert!(states > states_min, "only {states} states");
        let unblocked = is_chain.then_some("unblocked");
        for what in reached.iter().copied().chain(unblocked) {
            assert!(found.reached.contains_key(what), "{what} never happened");
        }
    }
}

#[test]
fn all_properties_hold_with_two_faults() {
    let remaining = Remaining { faults: 2, ticks: 1, ..NONE };
    let reached = [
        "succeeded",
        "returned to the queue",
        "lease lost",
        "two concurrent handlers",
        "repeated request",
        "rejoined with leases",
        "server restarted",
    ];
    explore_all(remaining, 10_000, &reached);
}

#[test]
fn all_properties_hold_with_a_cancel_and_a_fault() {
    let remaining = Remaining { faults: 1, ticks: 2, cancels: 1, ..NONE };
    let reached = ["cancelled while running", "cancelled while waiting", "lease lost", "succeeded"];
    explore_all(remaining, 10_000, &reached);
}

#[test]
fn all_properties_hold_with_a_failure_a_retry_and_a_fault() {
    let remaining = Remaining { faults: 1, ticks: 1, retries: 1, other_outcomes: 1, ..NONE };
    explore_all(
        remaining,
        10_000,
        &["retried", "returned to the queue", "lease lost", "succeeded"],
    );
}

#[test]
fn injected_bugs_are_detected() {
    let bugs = [
        (InjectedBug::NoPreconditions, Violation::Invariant("version-dense")),
        (InjectedBug::NewRequestNumber, Violation::Stuck),
        (InjectedBug::NoSweeper, Violation::Stuck),
        (InjectedBug::StartsAfterTimeout, Violation::StartAfterCancel),
        (InjectedBug::StartsTwice, Violation::Overlap),
    ];
    for (bug, expected) in bugs {
        let remaining = Remaining { faults: 1, ticks: 1, cancels: 1, ..NONE };
        let found = explore(ModelState::new(false, remaining, Some(bug)));
        let (violation, path) =
            found.violation.unwrap_or_else(|| panic!("{bug:?} was not detected"));
        println!("{bug:?}: {violation:?} after {path:?}");
        assert_eq!(violation, expected, "{bug:?} after {path:?}");
    }
}
