//! Rules about the handlers: when they may begin, and what becomes of their reports.

use std::collections::{BTreeMap, BTreeSet};

use sentinel_domain::{AttemptOutcome, JobId, State};
use sentinel_engine::session::{Held, ReportVerdict};
use sentinel_store::JobEvent;

use super::{Lease, Violation};
use crate::sim::notes::{History, Note};

/// What the journal says about one lease.
#[derive(Default)]
struct Fate<'a> {
    is_given: bool,
    /// Taken from its worker without a report of it.
    is_lost: bool,
    /// The change that its report made.
    recorded: Option<&'a JobEvent>,
}

type Fates<'a> = BTreeMap<Lease, Fate<'a>>;

fn fates(history: &History) -> Fates<'_> {
    use AttemptOutcome::{Lost, NotReceived, Revoked, TimedOut};
    let mut fates = Fates::new();
    for (id, life) in history.lives() {
        let mut recorded = None;
        for event in life {
            let run = event.status.run;
            if let Some(lease) = event.status.lease {
                let lease = Lease { id, run, epoch: lease.epoch };
                fates.entry(lease).or_default().is_given = true;
            }
            if let Some(end) = &event.end {
                let lease = Lease { id, run: end.run, epoch: end.epoch };
                fates.entry(lease).or_default().is_lost |=
                    matches!(end.outcome, Lost | TimedOut | Revoked | NotReceived);
            }
            if event.status.recorded != recorded
                && let Some((epoch, _)) = event.status.recorded
            {
                recorded = event.status.recorded;
                fates.entry(Lease { id, run, epoch }).or_default().recorded = Some(event);
            }
        }
    }
    fates
}

pub(super) fn check(history: &History, found: &mut BTreeSet<Violation>) {
    let fates = fates(history);
    let mut cancelled: BTreeSet<(JobId, u32)> = BTreeSet::new();
    let mut begun = BTreeSet::new();
    let mut open: BTreeMap<JobId, Vec<Lease>> = BTreeMap::new();
    let mut recorded = BTreeSet::new();
    for note in &history.notes {
        match note {
            Note::Cancelled { id, run } => {
                cancelled.insert((*id, *run));
            }
            Note::Started { held } => {
                let lease = Lease::from(held);
                // A worker that slept may begin what it was sent before its lease was lost.
                let is_late = fates.get(&lease).is_some_and(|fate| fate.is_lost);
                if cancelled.contains(&(lease.id, lease.run)) && !is_late {
                    found.insert(Violation::StartAfterCancel { lease });
                }
                if !begun.insert(lease) {
                    found.insert(Violation::StartTwice { lease });
                }
                let open = open.entry(lease.id).or_default();
                start(lease, open, &fates, found);
                open.push(lease);
            }
            Note::Ended { held } => {
                open.entry(held.id).or_default().retain(|lease| *lease != Lease::from(held));
            }
            Note::Told { held, verdict, succeeds } => {
                let is_new = *verdict == ReportVerdict::Recorded;
                if is_new && !recorded.insert(Lease::from(held)) {
                    found.insert(Violation::RecordedTwice { lease: Lease::from(held) });
                }
                if is_new || *verdict == ReportVerdict::Duplicate {
                    told(held, *succeeds, &fates, found);
                }
            }
            _ => {}
        }
    }
}

fn start(lease: Lease, open: &[Lease], fates: &Fates<'_>, found: &mut BTreeSet<Violation>) {
    if !fates.get(&lease).is_some_and(|fate| fate.is_given) {
        found.insert(Violation::StartWithoutLease { lease });
    }
    for other in open {
        // By their leases: a worker that slept begins late.
        let (first, second) = (lease.min(*other), lease.max(*other));
        if !fates.get(&first).is_some_and(|fate| fate.is_lost) {
            found.insert(Violation::Overlap { first, second });
        }
    }
}

fn told(held: &Held, succeeds: bool, fates: &Fates<'_>, found: &mut BTreeSet<Violation>) {
    let lease = Lease::from(held);
    match fates.get(&lease).and_then(|fate| fate.recorded) {
        None => found.insert(Violation::RecordedNowhere { lease }),
        Some(event) if (event.status.state == State::Succeeded) != succeeds => {
            found.insert(Violation::RecordedOtherwise { lease })
        }
        Some(_) => false,
    };
}
