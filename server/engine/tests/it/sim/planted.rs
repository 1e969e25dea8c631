//! Every rule is seen to be broken: a history that keeps them all is changed in one place, and
//! exactly that violation must be told, whatever else follows from it.

use sentinel_domain::{Job, State};
use sentinel_engine::session::ReportVerdict;
use sentinel_store::JobEvent;

use super::check::check;
use super::live;
use super::notes::{History, Note, Seen};

/// Schedules that are tried until one has what is to be spoiled.
const TRIES: u64 = 60;

/// Spoils a history; false when it has nothing to spoil.
type Plant = fn(&mut History) -> bool;

fn remove(history: &mut History, is_it: impl Fn(&Note) -> bool) -> bool {
    let at = history.notes.iter().position(is_it);
    at.map(|at| history.notes.remove(at)).is_some()
}

fn repeat(history: &mut History, is_it: impl Fn(&Note) -> bool) -> bool {
    let note = history.notes.iter().find(|note| is_it(note)).cloned();
    note.map(|note| history.notes.push(note)).is_some()
}

fn recorded(note: &Note) -> bool {
    matches!(note, Note::Told { verdict: ReportVerdict::Recorded, .. })
}

/// The first change into a state.
fn event(history: &History, state: State) -> Option<usize> {
    history.journal.iter().position(|event| event.status.state == state)
}

const PLANTS: &[(&str, Plant)] = &[
    ("Lost", |h| h.ledger.pop_first().is_some()),
    ("NotFinal", |h| {
        let Some(id) = h.ledger.keys().next().copied() else { return false };
        let last = h.journal.iter_mut().rev().find(|event| event.id == id);
        last.is_some_and(|event| {
            event.status.state = State::Ready;
            true
        })
    }),
    ("RequestSplit", |h| {
        let other = h.ledger.keys().next_back().copied();
        let first = h.notes.iter().find_map(|note| match note {
            Note::Enqueued { request, id } if Some(*id) != other => Some(request.clone()),
            _ => None,
        });
        let (Some(request), Some(id)) = (first, other) else { return false };
        h.notes.push(Note::Enqueued { request, id });
        true
    }),
    ("Surplus", |h| {
        let Some(known) = h.ledger.keys().next().copied() else { return false };
        let is_it = |note: &Note| matches!(note, Note::Enqueued { id, .. } if *id == known);
        let had = h.notes.iter().any(is_it);
        h.notes.retain(|note| !is_it(note));
        had
    }),
    ("Finals", |h| {
        // One that nothing follows: what is deleted later ends once more.
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
    ("Broken", |h| {
        let Some(at) = event(h, State::Running) else { return false };
        h.journal.remove(at);
        true
    }),
    ("Disagreement", |h| {
        let job = h.got.values_mut().next();
        job.map(|job| job.status.version += 1).is_some()
    }),
    ("DeletionLost", |h| {
        let Some(id) = h.ledger.keys().next().copied() else { return false };
        h.notes.push(Note::Deleted { id });
        true
    }),
    ("NotGone", |h| {
        let is_gone = |event: &&JobEvent| event.status.is_deleted();
        let Some(gone) = h.journal.iter().find(is_gone).cloned() else { return false };
        let Some(spec) = gone.spec.clone() else { return false };
        h.got.insert(gone.id, Job { id: gone.id, spec, status: gone.status });
        true
    }),
    ("RetryLost", |h| {
        let Some(id) = h.ledger.keys().next().copied() else { return false };
        h.notes.push(Note::Retried { id, run: 99 });
        true
    }),
    ("CheckpointBack", |h| {
        let with = |event: &&mut sentinel_store::JobEvent| event.status.checkpoint.is_some();
        let Some(first) = h.journal.iter_mut().find(with) else { return false };
        let epoch = first.status.epoch;
        first.status.checkpoint = Some(format!("{epoch}:99").into());
        let id = first.id;
        h.journal.iter().filter(|e| e.id == id && e.status.epoch == epoch).count() > 2
    }),
    ("CheckpointLost", |h| {
        let seq = h.notes.iter_mut().find_map(|note| match note {
            Note::Checkpointed { seq, .. } => Some(seq),
            _ => None,
        });
        seq.map(|seq| *seq = 99).is_some()
    }),
    ("KeyTwice", |h| {
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
    ("TooEarly", |h| {
        let depends = |event: &&sentinel_store::JobEvent| {
            let parents = event.spec.as_ref().map_or(0, |spec| spec.depends_on.len());
            parents > 0 && event.status.state == State::Running && event.status.run == 1
        };
        let Some(event) = h.journal.iter().find(depends).cloned() else { return false };
        h.journal.insert(0, event);
        true
    }),
    ("StartAfterCancel", |h| {
        let Some(at) = h.notes.iter().position(recorded) else { return false };
        let Note::Told { held, .. } = h.notes[at] else { return false };
        h.notes.insert(0, Note::Cancelled { id: held.id, run: held.lease.run });
        true
    }),
    ("StartTwice", |h| repeat(h, |note| matches!(note, Note::Started { .. }))),
    ("StartWithoutLease", |h| {
        let Some(at) = h.notes.iter().position(|n| matches!(n, Note::Started { .. })) else {
            return false;
        };
        let Note::Started { mut held } = h.notes[at] else { return false };
        held.lease.epoch = 99;
        h.notes.push(Note::Started { held });
        true
    }),
    ("Overlap", |h| {
        let Some(at) = h.notes.iter().position(recorded) else { return false };
        let Note::Told { held, .. } = h.notes[at] else { return false };
        let mut later = held;
        later.lease.epoch += 1;
        remove(h, |note| *note == Note::Ended { held }) && {
            h.notes.push(Note::Started { held: later });
            true
        }
    }),
    ("RecordedTwice", |h| repeat(h, recorded)),
    ("RecordedNowhere", |h| {
        let Some(at) = h.notes.iter().position(recorded) else { return false };
        let Note::Told { held, .. } = &mut h.notes[at] else { return false };
        held.lease.epoch = 99;
        true
    }),
    ("RecordedOtherwise", |h| {
        let Some(at) = h.notes.iter().position(recorded) else { return false };
        let Note::Told { succeeds, .. } = &mut h.notes[at] else { return false };
        *succeeds = !*succeeds;
        true
    }),
    ("WatchHole", |h| {
        // Not of a stream that came back, nor the first or the last that it showed.
        let in_order = |note: &Note| match note {
            Note::Watched { seen, .. } => {
                matches!(seen, Seen::Change { version: 3, is_terminal: false, .. })
            }
            _ => false,
        };
        let is_whole = !h.notes.iter().any(|note| match note {
            Note::Watched { seen, .. } => matches!(seen, Seen::Gap | Seen::Resumed),
            _ => false,
        });
        is_whole && remove(h, in_order)
    }),
    ("WatchUnfinished", |h| {
        let is_last = |note: &&Note| matches!(note, Note::Watched { watch: 0, .. });
        let had = h.notes.iter().any(|note| is_last(&note));
        h.notes.retain(|note| !is_last(&note));
        had
    }),
    ("Leak", |h| h.leftovers.insert("rooms", 1).is_none()),
];

#[test]
fn every_rule_is_heard_when_it_is_broken() {
    for (name, plant) in PLANTS {
        let spoiled = (1..TRIES).find_map(|seed| {
            let (mut history, _) = live(seed);
            assert_eq!(check(&history).len(), 0, "seed {seed} keeps all rules");
            plant(&mut history).then_some(history)
        });
        let history = spoiled.unwrap_or_else(|| panic!("no schedule has what {name} spoils"));
        let found = check(&history);
        let is_told = found.iter().any(|violation| violation.name() == *name);
        assert!(is_told, "{name} was not told: {found:#?}");
    }
}
