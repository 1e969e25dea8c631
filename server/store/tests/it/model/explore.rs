//! The exhaustive exploration: every step from every state, with all properties checked after each.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use sentinel_domain::{Job, State};

use super::fingerprint::fingerprint;
use super::rules::{Violation, check};
use super::state::{JOBS, ModelState, RequestState, WORKERS};
use super::step::{CommitOutcome, End, Step};

/// The result of an exploration.
#[derive(Debug, Default)]
pub(crate) struct Exploration {
    pub(crate) states: usize,
    pub(crate) steps: usize,
    /// How often each event happened.
    pub(crate) reached: BTreeMap<&'static str, usize>,
    /// The first violation, with the steps that lead to it.
    pub(crate) violation: Option<(Violation, Vec<Step>)>,
}

/// A state with the steps that lead to it. Paths share their prefixes.
struct At {
    state: ModelState,
    path: Option<Arc<Path>>,
}

struct Path {
    step: Step,
    before: Option<Arc<Path>>,
}

fn steps_of(mut path: Option<&Arc<Path>>) -> Vec<Step> {
    let mut steps = Vec::new();
    while let Some(at) = path {
        steps.push(at.step);
        path = at.before.as_ref();
    }
    steps.reverse();
    steps
}

/// Explores all states from `start`, up to the first violation.
pub(crate) fn explore(start: ModelState) -> Exploration {
    let mut found = Exploration::default();
    let mut seen = HashSet::from([fingerprint(&start)]);
    let mut finishing: HashSet<u64> = HashSet::new();
    let mut open = vec![At { state: start, path: None }];
    while let Some(At { state, path }) = open.pop() {
        found.states += 1;
        if !all_jobs_finish(&state, &mut finishing) {
            found.violation = Some((Violation::Stuck, steps_of(path.as_ref())));
            return found;
        }
        for step in state.steps() {
            found.steps += 1;
            let mut next = state.after(step);
            let mut violations = Vec::new();
            check(&mut next, &mut violations);
            note(&state, step, &next, &mut found.reached);
            let path = Some(Arc::new(Path { step, before: path.clone() }));
            if let Some(first) = violations.into_iter().next() {
                found.violation = Some((first, steps_of(path.as_ref())));
                return found;
            }
            if seen.insert(fingerprint(&next)) {
                open.push(At { state: next, path });
            }
        }
    }
    found
}

/// More steps than any run of two jobs without faults needs.
const MAX_FAIR_STEPS: usize = 120;

/// Returns whether all jobs finish without further faults, if every enabled step is taken
/// (liveness). States that are known to finish are not explored again.
fn all_jobs_finish(state: &ModelState, finishing: &mut HashSet<u64>) -> bool {
    let mut path = Vec::new();
    let mut state = state.clone();
    for _ in 0..MAX_FAIR_STEPS {
        let fingerprint = fingerprint(&state);
        if finishing.contains(&fingerprint) {
            break;
        }
        path.push(fingerprint);
        let Some(step) = next_fault_free_step(&state) else { break };
        state = state.after(step);
        check(&mut state, &mut Vec::new());
        if path.len() == MAX_FAIR_STEPS {
            return false;
        }
    }
    finishing.extend(path);
    true
}

fn is_over(state: &ModelState) -> bool {
    let is_terminal = |job: &Arc<Job>| job.status.state.is_terminal();
    (0..JOBS).all(|index| match state.clients[index].enqueue {
        RequestState::NotSent => true,
        RequestState::Pending => false,
        RequestState::Answered => state.job(state.ids[index]).is_some_and(is_terminal),
    })
}

/// Returns the next step without faults. Time passes if no other step is enabled.
fn next_fault_free_step(state: &ModelState) -> Option<Step> {
    let steps = state.steps();
    let is_wanted = |step: &&Step| match **step {
        Step::Enqueue(index) => state.clients[index].enqueue == RequestState::Pending,
        Step::ServerStarts | Step::Join(_) | Step::Commit(CommitOutcome::Acknowledged) => true,
        Step::Deliver(_) | Step::End(_, _, End::Success) | Step::Report(..) | Step::Sweep => true,
        _ => false,
    };
    let first = steps.iter().find(is_wanted).copied();
    first.or_else(|| (!is_over(state)).then_some(Step::Tick))
}

/// Records the events of a step, so that a loss of coverage is noticed.
fn note(
    before: &ModelState,
    step: Step,
    after: &ModelState,
    reached: &mut BTreeMap<&'static str, usize>,
) {
    let mut reach = |what| *reached.entry(what).or_default() += 1;
    for id in before.ids {
        let (old, new) = (before.job(id), after.job(id));
        let (Some(old), Some(new)) = (old, new) else { continue };
        match (old.status.state, new.status.state) {
            (State::Running, State::Succeeded) => reach("succeeded"),
            (State::Running, State::Failed) => reach("failed"),
            (State::Running, State::Cancelled) => reach("cancelled while running"),
            (State::Running, State::Ready | State::Scheduled) => reach("returned to the queue"),
            (State::Blocked, State::Ready) => reach("unblocked"),
            (old, State::Cancelled) if old.is_waiting() => reach("cancelled while waiting"),
            (old, State::Ready) if old.is_terminal() => reach("retried"),
            _ => {}
        }
        if new.status.crashes > old.status.crashes {
            reach("lease lost");
        }
    }
    let handlers =
        |state: &ModelState| state.observed.jobs.values().any(|history| history.open.len() > 1);
    if !handlers(before) && handlers(after) {
        reach("two concurrent handlers");
    }
    let repeats = before.server.as_ref().is_some_and(|server| server.in_flight.is_some());
    if repeats && matches!(step, Step::Commit(CommitOutcome::Acknowledged)) {
        reach("repeated request");
    }
    let reports =
        |state: &ModelState| (0..WORKERS).map(|w| state.workers[w].handlers.len()).sum::<usize>();
    if matches!(step, Step::Join(_)) && reports(before) > 0 {
        reach("rejoined with leases");
    }
    if matches!(step, Step::ServerStarts) {
        reach("server restarted");
    }
}
