//! The rules, asked after every step: of the record itself, and of the record beside what
//! workers did and callers were told.

use std::sync::Arc;

use sentinel_domain::{AttemptOutcome, Job, invariant};
use sentinel_store::{JobEvent, JournalPage, Store};

use super::ask::now;
use super::world::{Life, World};

/// A broken rule.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Violation {
    /// A record, or a step between two, that the domain forbids.
    Broken(&'static str),
    /// A second final record of a run.
    SecondFinal,
    /// One request, two jobs.
    SecondBirth,
    /// A handler began after its cancel had been answered CANCELLED.
    StartAfterCancel,
    /// Two handlers at once, and the lease of the first was not lost on record.
    Overlap,
    /// A report was RECORDED twice.
    RecordedTwice,
    /// However long one waits, a job does not end.
    Stuck,
}

/// Reads what the last step wrote and what it made workers do.
pub(crate) fn check(world: &mut World, found: &mut Vec<Violation>) {
    let JournalPage::Entries(entries) = now(world.store.read_journal(world.notes.read_to, usize::MAX))
    else {
        panic!("the oracle forgets nothing");
    };
    for entry in entries {
        world.notes.read_to = entry.position;
        for event in &entry.jobs {
            record(world.life(event.id), event, found);
        }
    }
    for life in world.notes.jobs.values() {
        handlers(life, found);
    }
}

fn record(life: &mut Life, event: &JobEvent, found: &mut Vec<Violation>) {
    let spec = event.spec.clone().expect("the oracle has it at hand");
    let job = Arc::new(Job { id: event.id, spec, status: event.status.clone() });
    found.extend(invariant::violated(&job).into_iter().map(Violation::Broken));
    match &life.last {
        Some(before) if job.status.version == 1 => {
            found.push(Violation::SecondBirth);
            debug_assert_eq!(before.id, job.id);
        }
        Some(before) => {
            let broken = invariant::violated_transition(before, &job);
            found.extend(broken.into_iter().map(Violation::Broken));
        }
        None => {}
    }
    if job.status.state.is_terminal() && !life.ended_runs.insert(job.status.run) {
        found.push(Violation::SecondFinal);
    }
    if let Some(end) = &event.attempt_end {
        use AttemptOutcome::{Lost, NotReceived, Revoked, TimedOut};
        if matches!(end.outcome, Lost | NotReceived | Revoked | TimedOut) {
            life.lost.insert(end.epoch);
        }
    }
    life.last = Some(job);
}

fn handlers(life: &Life, found: &mut Vec<Violation>) {
    for (at, (_, first)) in life.open.iter().enumerate() {
        let later = life.open[at + 1..].iter().map(|(_, epoch)| epoch);
        if later.into_iter().any(|second| !life.lost.contains(first.min(second))) {
            found.push(Violation::Overlap);
        }
    }
    if life.began_late {
        found.push(Violation::StartAfterCancel);
    }
    if life.told_twice {
        found.push(Violation::RecordedTwice);
    }
}
