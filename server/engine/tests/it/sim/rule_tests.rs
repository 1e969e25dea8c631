//! Tests of the rules: one change to a valid history must produce the named violation. It may
//! produce others as well.

use sentinel_domain::{Job, State};
use sentinel_engine::session::ReportVerdict;
use sentinel_store::JobEvent;

use super::check::check;
use super::observations::{History, Observation, WatchObservation};
use super::run_schedule;

/// The number of schedules to try until one has what a test changes.
const MAX_SCHEDULES: u64 = 60;

/// Damages a history; returns false when it has nothing to damage.
type Damage = fn(&mut History) -> bool;

fn remove(history: &mut History, is_it: impl Fn(&Observation) -> bool) -> bool {
    let at = history.observations.iter().position(is_it);
    at.map(|at| history.observations.remove(at)).is_some()
}

fn repeat(history: &mut History, is_it: impl Fn(&Observation) -> bool) -> bool {
    let observation = history.observations.iter().find(|observation| is_it(observation)).cloned();
    observation.map(|observation| history.observations.push(observation)).is_some()
}

fn recorded(observation: &Observation) -> bool {
    matches!(observation, Observation::ReportVerdict { verdict: ReportVerdict::Recorded, .. })
}

/// Returns the index of the first change into a state.
fn first_event(history: &History, state: State) -> Option<usize> {
    history.journal.iter().position(|event| event.status.state == state)
}

const RULES: &[(&str, Damage)] = &[
    ("Lost", |h| h.ledger.pop_first().is_some()),
    ("NotTerminal", |h| {
        let Some(id) = h.ledger.keys().next().copied() else { return false };
        let last = h.journal.iter_mut().rev().find(|event| event.id == id);
        last.is_some_and(|event| {
            event.status.state = State::Ready;
            true
        })
    }),
    ("RequestSplit", |h| {
        let other = h.ledger.keys().next_back().copied();
        let first = h.observations.iter().find_map(|observation| match observation {
            Observation::Enqueued { request, id } if Some(*id) != other => Some(request.clone()),
            _ => None,
        });
        let (Some(request), Some(id)) = (first, other) else { return false };
        h.observations.push(Observation::Enqueued { request, id });
        true
    }),
    ("UnexpectedJob", |h| {
        let Some(known) = h.ledger.keys().next().copied() else { return false };
        let is_it = |observation: &Observation| matches!(observation, Observation::Enqueued { id, .. } if *id == known);
        let had = h.observations.iter().any(is_it);
        h.observations.retain(|observation| !is_it(observation));
        had
    }),
    ("TerminalStates", |h| {
        // The last change of its job: a later deletion would count as a terminal state.
        let is_last = |at: &usize| {
            let id = h.journal[*at].id;
            let is_its = |event: &JobEvent| event.id == id;
            h.journal[*at].status.state == State::Succeeded
                && !h.journal[at + 1..].iter().any(is_its)
        };
        let Some(at) = (0..h.journal.len()).find(is_last) else { return false };
        h.journal.remove(at);
        true
    }),
    ("Invariant", |h| {
        let Some(at) = first_event(h, State::Running) else { return false };
        h.journal.remove(at);
        true
    }),
    ("Disagreement", |h| {
        let job = h.got.values_mut().next();
        job.map(|job| job.status.version += 1).is_some()
    }),
    ("DeletionLost", |h| {
        let Some(id) = h.ledger.keys().next().copied() else { return false };
        h.observations.push(Observation::Deleted { id });
        true
    }),
    ("DeletedJobVisible", |h| {
        let is_deleted = |event: &&JobEvent| event.status.is_deleted();
        let Some(deleted) = h.journal.iter().find(is_deleted).cloned() else { return false };
        let Some(spec) = deleted.spec.clone() else { return false };
        h.got.insert(deleted.id, Job { id: deleted.id, spec, status: deleted.status });
        true
    }),
    ("RetryLost", |h| {
        let Some(id) = h.ledger.keys().next().copied() else { return false };
        h.observations.push(Observation::Retried { id, run: 99 });
        true
    }),
    ("CheckpointRegressed", |h| {
        let with = |event: &&mut sentinel_store::JobEvent| event.status.checkpoint.is_some();
        let Some(first) = h.journal.iter_mut().find(with) else { return false };
        let epoch = first.status.epoch;
        first.status.checkpoint = Some(format!("{epoch}:99").into());
        let id = first.id;
        h.journal.iter().filter(|e| e.id == id && e.status.epoch == epoch).count() > 2
    }),
    ("CheckpointLost", |h| {
        let seq = h.observations.iter_mut().find_map(|observation| match observation {
            Observation::Checkpointed { seq, .. } => Some(seq),
            _ => None,
        });
        seq.map(|seq| *seq = 99).is_some()
    }),
    ("DuplicateKey", |h| {
        let Some(at) = h.journal.iter().position(|event| {
            let spec = event.spec.as_ref();
            let is_live = !event.status.state.is_terminal();
            is_live && spec.is_some_and(|spec| spec.unique.is_some())
        }) else {
            return false;
        };
        let mut other = h.journal[at].clone();
        other.id = sentinel_domain::JobId::new(1, 0, 4);
        h.journal.insert(at + 1, other);
        true
    }),
    ("StartBeforeParent", |h| {
        let depends = |event: &&sentinel_store::JobEvent| {
            let parents = event.spec.as_ref().map_or(0, |spec| spec.depends_on.len());
            parents > 0 && event.status.state == State::Running && event.status.run == 1
        };
        let Some(event) = h.journal.iter().find(depends).cloned() else { return false };
        h.journal.insert(0, event);
        true
    }),
    ("StartAfterCancel", |h| {
        let Some(at) = h.observations.iter().position(recorded) else { return false };
        let Observation::ReportVerdict { held, .. } = h.observations[at] else { return false };
        h.observations.insert(0, Observation::Cancelled { id: held.id, run: held.lease.run });
        true
    }),
    ("DoubleStart", |h| {
        repeat(h, |observation| matches!(observation, Observation::Started { .. }))
    }),
    ("StartWithoutLease", |h| {
        let Some(at) = h.observations.iter().position(|n| matches!(n, Observation::Started { .. }))
        else {
            return false;
        };
        let Observation::Started { mut held } = h.observations[at] else { return false };
        held.lease.epoch = 99;
        h.observations.push(Observation::Started { held });
        true
    }),
    ("Overlap", |h| {
        let Some(at) = h.observations.iter().position(recorded) else { return false };
        let Observation::ReportVerdict { held, .. } = h.observations[at] else { return false };
        let mut later = held;
        later.lease.epoch += 1;
        remove(h, |observation| *observation == Observation::Finished { held }) && {
            h.observations.push(Observation::Started { held: later });
            true
        }
    }),
    ("RecordedTwice", |h| repeat(h, recorded)),
    ("ReportLost", |h| {
        let Some(at) = h.observations.iter().position(recorded) else { return false };
        let Observation::ReportVerdict { held, .. } = &mut h.observations[at] else { return false };
        held.lease.epoch = 99;
        true
    }),
    ("WrongOutcome", |h| {
        let Some(at) = h.observations.iter().position(recorded) else { return false };
        let Observation::ReportVerdict { succeeds, .. } = &mut h.observations[at] else {
            return false;
        };
        *succeeds = !*succeeds;
        true
    }),
    ("SkippedVersion", |h| {
        // A change in the middle, in a history without resumed watches.
        let in_order = |observation: &Observation| match observation {
            Observation::Watched { seen, .. } => {
                matches!(seen, WatchObservation::Change { version: 3, is_terminal: false, .. })
            }
            _ => false,
        };
        let is_whole = !h.observations.iter().any(|observation| match observation {
            Observation::Watched { seen, .. } => {
                matches!(seen, WatchObservation::Gap | WatchObservation::Resumed)
            }
            _ => false,
        });
        is_whole && remove(h, in_order)
    }),
    ("MissingLastVersion", |h| {
        let is_last = |observation: &&Observation| {
            matches!(observation, Observation::Watched { watch: 0, .. })
        };
        let had = h.observations.iter().any(|observation| is_last(&observation));
        h.observations.retain(|observation| !is_last(&observation));
        had
    }),
    ("Leak", |h| h.leftovers.insert("leaked", 1).is_none()),
];

#[test]
fn every_rule_finds_its_violation() {
    for (name, damage) in RULES {
        let damaged = (1..MAX_SCHEDULES).find_map(|seed| {
            let (mut history, _) = run_schedule(seed);
            assert_eq!(check(&history).len(), 0, "seed {seed} violates no rule");
            damage(&mut history).then_some(history)
        });
        let history = damaged.unwrap_or_else(|| panic!("no schedule has what {name} changes"));
        let found = check(&history);
        let is_found = found.iter().any(|violation| violation.name() == *name);
        assert!(is_found, "{name} was not found: {found:#?}");
    }
}
