//! Takes every step from every state, each state once, and asks the rules after each.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use sentinel_domain::{Job, State};

use super::print::print;
use super::rules::{Violation, check};
use super::step::{End, Fate, Step};
use super::world::{Asked, JOBS, WORKERS, World};

/// What was found.
#[derive(Debug, Default)]
pub(crate) struct Found {
    pub(crate) states: usize,
    pub(crate) steps: usize,
    /// How often each thing happened.
    pub(crate) reached: BTreeMap<&'static str, usize>,
    /// The first broken rule, and the way there.
    pub(crate) broken: Option<(Violation, Vec<Step>)>,
}

/// A state with the way there; ways share their beginnings.
struct At {
    world: World,
    way: Option<Arc<Way>>,
}

struct Way {
    step: Step,
    before: Option<Arc<Way>>,
}

fn steps_of(mut way: Option<&Arc<Way>>) -> Vec<Step> {
    let mut steps = Vec::new();
    while let Some(at) = way {
        steps.push(at.step);
        way = at.before.as_ref();
    }
    steps.reverse();
    steps
}

/// Explores until nothing is new or a rule is broken.
pub(crate) fn explore(start: World) -> Found {
    let mut found = Found::default();
    let mut seen = HashSet::from([print(&start)]);
    let mut ends: HashSet<u64> = HashSet::new();
    let mut open = vec![At { world: start, way: None }];
    while let Some(At { world, way }) = open.pop() {
        found.states += 1;
        if !settles(&world, &mut ends) {
            found.broken = Some((Violation::Stuck, steps_of(way.as_ref())));
            return found;
        }
        for step in world.steps() {
            found.steps += 1;
            let mut next = world.after(step);
            let mut violations = Vec::new();
            check(&mut next, &mut violations);
            note(&world, step, &next, &mut found.reached);
            let way = Some(Arc::new(Way { step, before: way.clone() }));
            if let Some(first) = violations.into_iter().next() {
                found.broken = Some((first, steps_of(way.as_ref())));
                return found;
            }
            if seen.insert(print(&next)) {
                open.push(At { world: next, way });
            }
        }
    }
    found
}

/// Longer than any life of two jobs without faults.
const PATIENCE: usize = 120;

/// Without further faults and with everybody doing what is to be done, every job that was asked
/// for ends. What is known to end is not walked twice.
fn settles(world: &World, ends: &mut HashSet<u64>) -> bool {
    let mut way = Vec::new();
    let mut world = world.clone();
    for _ in 0..PATIENCE {
        let print = print(&world);
        if ends.contains(&print) {
            break;
        }
        way.push(print);
        let Some(step) = next_fair(&world) else { break };
        world = world.after(step);
        check(&mut world, &mut Vec::new());
        if way.len() == PATIENCE {
            return false;
        }
    }
    ends.extend(way);
    true
}

fn is_over(world: &World) -> bool {
    let is_terminal = |job: &Arc<Job>| job.status.state.is_terminal();
    (0..JOBS).all(|which| match world.clients[which].enqueue {
        Asked::Never => true,
        Asked::Open => false,
        Asked::Answered => world.job(world.ids[which]).is_some_and(is_terminal),
    })
}

/// What a world without faults does next; time passes when nobody has anything to do.
fn next_fair(world: &World) -> Option<Step> {
    let steps = world.steps();
    let is_wanted = |step: &&Step| match **step {
        Step::Enqueue(which) => world.clients[which].enqueue == Asked::Open,
        Step::ServerStarts | Step::Join(_) | Step::Commit(Fate::Told) => true,
        Step::Deliver(_) | Step::End(_, _, End::Success) | Step::Report(..) | Step::Sweep => true,
        _ => false,
    };
    let first = steps.iter().find(is_wanted).copied();
    first.or_else(|| (!is_over(world)).then_some(Step::Tick))
}

/// What a step was good for, so that a world that has become small is noticed.
fn note(before: &World, step: Step, after: &World, reached: &mut BTreeMap<&'static str, usize>) {
    let mut reach = |what| *reached.entry(what).or_default() += 1;
    for id in before.ids {
        let (old, new) = (before.job(id), after.job(id));
        let (Some(old), Some(new)) = (old, new) else { continue };
        match (old.status.state, new.status.state) {
            (State::Running, State::Succeeded) => reach("succeeded"),
            (State::Running, State::Failed) => reach("failed"),
            (State::Running, State::Cancelled) => reach("cancelled while running"),
            (State::Running, State::Ready | State::Scheduled) => reach("came back"),
            (State::Blocked, State::Ready) => reach("unblocked"),
            (old, State::Cancelled) if old.is_waiting() => reach("cancelled while waiting"),
            (old, State::Ready) if old.is_terminal() => reach("retried"),
            _ => {}
        }
        if new.status.crashes > old.status.crashes {
            reach("lease lost");
        }
    }
    let handlers = |world: &World| world.notes.jobs.values().any(|life| life.open.len() > 1);
    if !handlers(before) && handlers(after) {
        reach("two handlers at once");
    }
    let repeats = before.server.as_ref().is_some_and(|server| server.unsettled.is_some());
    if repeats && matches!(step, Step::Commit(Fate::Told)) {
        reach("repeated call");
    }
    let reports = |world: &World| (0..WORKERS).map(|w| world.workers[w].hands.len()).sum::<usize>();
    if matches!(step, Step::Join(_)) && reports(before) > 0 {
        reach("came back with leases");
    }
    if matches!(step, Step::ServerStarts) {
        reach("server restarted");
    }
}
