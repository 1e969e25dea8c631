//! The checked properties: invariants of the journal, and its consistency with what workers did and
//! callers received.

use std::sync::Arc;

use sentinel_domain::{AttemptOutcome, Job, invariant};
use sentinel_store::{JobEvent, JournalPage, Store};

use super::poll::poll_now;
use super::state::{JobHistory, ModelState};

/// A violated property.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Violation {
    /// A version of a job, or a transition, violates an invariant of the domain.
    Invariant(&'static str),
    /// A run reached a terminal state twice.
    SecondTerminalState,
    /// One request created two jobs.
    SecondJob,
    /// A handler started after its cancel was acknowledged as CANCELLED.
    StartAfterCancel,
    /// Two handlers ran concurrently, and the lease of the first one was not recorded as lost.
    Overlap,
    /// A report was acknowledged as RECORDED twice.
    RecordedTwice,
    /// A job does not finish, however long it waits.
    Stuck,
}

/// Checks the journal entries and the handlers of the last step.
pub(crate) fn check(state: &mut ModelState, found: &mut Vec<Violation>) {
    let JournalPage::Entries(entries) =
        poll_now(state.store.read_journal(state.observed.read_to, usize::MAX))
    else {
        panic!("the oracle trims nothing");
    };
    for entry in entries {
        state.observed.read_to = entry.position;
        for event in &entry.jobs {
            record(state.history(event.id), event, found);
        }
    }
    for history in state.observed.jobs.values() {
        handlers(history, found);
    }
}

fn record(history: &mut JobHistory, event: &JobEvent, found: &mut Vec<Violation>) {
    let spec = event.spec.clone().expect("the oracle keeps every spec");
    let job = Arc::new(Job { id: event.id, spec, status: event.status.clone() });
    found.extend(invariant::violated(&job).into_iter().map(Violation::Invariant));
    match &history.last {
        Some(before) if job.status.version == 1 => {
            found.push(Violation::SecondJob);
            debug_assert_eq!(before.id, job.id);
        }
        Some(before) => {
            let violation = invariant::violated_transition(before, &job);
            found.extend(violation.into_iter().map(Violation::Invariant));
        }
        None => {}
    }
    if job.status.state.is_terminal() && !history.terminal_runs.insert(job.status.run) {
        found.push(Violation::SecondTerminalState);
    }
    if let Some(end) = &event.attempt_end {
        use AttemptOutcome::{Lost, NotReceived, Revoked, TimedOut};
        if matches!(end.outcome, Lost | NotReceived | Revoked | TimedOut) {
            history.lost.insert(end.epoch);
        }
    }
    history.last = Some(job);
}

fn handlers(history: &JobHistory, found: &mut Vec<Violation>) {
    for (at, (_, first)) in history.open.iter().enumerate() {
        let later = history.open[at + 1..].iter().map(|(_, epoch)| epoch);
        if later.into_iter().any(|second| !history.lost.contains(first.min(second))) {
            found.push(Violation::Overlap);
        }
    }
    if history.started_after_cancel {
        found.push(Violation::StartAfterCancel);
    }
    if history.recorded_twice {
        found.push(Violation::RecordedTwice);
    }
}
