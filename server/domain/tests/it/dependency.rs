//! Jobs with dependencies: their initial state, and when they are unblocked.

use std::sync::Arc;

use proptest::prelude::*;
use sentinel_domain::{
    Command, Dependency, DependencyFailure, Job, JobId, NewJob, Reason, State, decide,
    initial_state, invariant, next_deadline,
};

use crate::fixture::{T0, new_job};
use crate::property::runner;

fn id(at: usize) -> JobId {
    JobId::from_u128(0x100 + at as u128)
}

fn new_child(states: &[State], policy: DependencyFailure, delay_ms: i64) -> Job {
    let new = NewJob {
        depends_on: (0..states.len()).map(|at| id(at).to_string()).collect(),
        on_dependency_failure: Some(policy),
        delay_ms: Some(delay_ms),
        ..new_job()
    };
    let spec = new.into_spec("spec", "", T0, 0).expect("a valid job");
    let dependencies: Vec<Dependency> = states
        .iter()
        .enumerate()
        .map(|(at, state)| Dependency { id: id(at), state: *state })
        .collect();
    initial_state(JobId::from_u128(1), Arc::new(spec), &dependencies, T0)
}

/// Returns the expected state of the job for the known states of its parents.
fn expected(states: &[State], policy: DependencyFailure, due: bool) -> State {
    let has_failed = |state: &State| state.is_terminal() && *state != State::Succeeded;
    if policy == DependencyFailure::Cancel && states.iter().any(has_failed) {
        State::Cancelled
    } else if states.iter().any(|state| !state.is_terminal()) {
        State::Blocked
    } else if due {
        State::Ready
    } else {
        State::Scheduled
    }
}

fn any_state() -> impl Strategy<Value = State> {
    prop_oneof![
        3 => Just(State::Succeeded),
        3 => Just(State::Running),
        1 => (0..State::ALL.len()).prop_map(|at| State::ALL[at]),
    ]
}

#[test]
fn a_job_is_unblocked_by_its_last_parent() {
    // The states of the parents at the enqueue, then the outcomes of the live ones in any order.
    let parents = proptest::collection::vec((any_state(), 4..8_usize, any::<u32>()), 0..6);
    let all = (parents, any::<bool>(), prop_oneof![Just(0), Just(5_000)]);
    runner(1_000)
        .run(&all, |(parents, cancels, delay_ms)| {
            let policy = if cancels { DependencyFailure::Cancel } else { DependencyFailure::Run };
            let mut known: Vec<State> = parents.iter().map(|parent| parent.0).collect();
            let mut job = new_child(&known, policy, delay_ms);
            prop_assert_eq!(job.status.state, expected(&known, policy, delay_ms == 0));
            prop_assert_eq!(invariant::violated(&job), [""; 0]);
            let mut order: Vec<usize> = (0..parents.len()).collect();
            order.sort_by_key(|at| parents[*at].2);
            let mut now = T0;
            for at in order {
                now += 2_000;
                let waits = !known[at].is_terminal() && job.status.state == State::Blocked;
                let early = Command::Unblock { parent: id(at), outcome: State::Running };
                prop_assert!(decide(&job, &early, now).is_err(), "a live parent does not unblock");
                known[at] =
                    if known[at].is_terminal() { known[at] } else { State::ALL[parents[at].1] };
                let command = Command::Unblock { parent: id(at), outcome: known[at] };
                let result = decide(&job, &command, now);
                prop_assert_eq!(result.is_ok(), waits);
                let Ok(decision) = result else { continue };
                prop_assert_eq!(invariant::violated(&decision.job), [""; 0]);
                prop_assert_eq!(invariant::violated_transition(&job, &decision.job), [""; 0]);
                job = decision.job;
                let due = now >= T0 + delay_ms;
                prop_assert_eq!(job.status.state, expected(&known, policy, due));
                prop_assert!(decide(&job, &command, now).is_err(), "a repeat changes nothing");
            }
            prop_assert!(job.status.state != State::Blocked);
            prop_assert_eq!(next_deadline(&job), None);
            Ok(())
        })
        .expect("all outcomes are handled");
}

#[test]
fn a_job_with_a_failed_parent_is_created_cancelled() {
    let job = new_child(&[State::Running, State::Failed], DependencyFailure::Cancel, 0);
    let status = &job.status;
    assert_eq!((status.state, status.reason), (State::Cancelled, Reason::DependencyFailed));
    assert!(status.waiting_for.is_empty() && status.finished_at == Some(T0));
}
