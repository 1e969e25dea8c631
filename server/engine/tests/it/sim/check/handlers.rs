//! Rules about handlers: when they may start, and how their reports are recorded.

use std::collections::{BTreeMap, BTreeSet};

use sentinel_domain::{AttemptOutcome, JobId, State};
use sentinel_engine::session::{HeldLease, ReportVerdict};
use sentinel_store::JobEvent;

use super::{Lease, Violation};
use crate::sim::observations::{History, Observation};

/// What the journal contains about one lease.
#[derive(Default)]
struct LeaseHistory<'a> {
    is_granted: bool,
    /// The server ended the lease without a report.
    is_lost: bool,
    /// The change made by its report.
    recorded: Option<&'a JobEvent>,
}

type LeaseHistories<'a> = BTreeMap<Lease, LeaseHistory<'a>>;

fn leases(history: &History) -> LeaseHistories<'_> {
    use AttemptOutcome::{Lost, NotReceived, Revoked, TimedOut};
    let mut leases = LeaseHistories::new();
    for (id, changes) in history.changes_by_job() {
        let mut recorded = None;
        for event in changes {
            let run = event.status.run;
            if let Some(lease) = event.status.lease {
                let lease = Lease { id, run, epoch: lease.id.epoch };
                leases.entry(lease).or_default().is_granted = true;
            }
            if let Some(end) = &event.attempt_end {
                let lease = Lease { id, run: end.run, epoch: end.epoch };
                leases.entry(lease).or_default().is_lost |=
                    matches!(end.outcome, Lost | TimedOut | Revoked | NotReceived);
            }
            if event.status.recorded_lease != recorded
                && let Some((epoch, _)) = event.status.recorded_lease
            {
                recorded = event.status.recorded_lease;
                leases.entry(Lease { id, run, epoch }).or_default().recorded = Some(event);
            }
        }
    }
    leases
}

pub(super) fn check(history: &History, found: &mut BTreeSet<Violation>) {
    let leases = leases(history);
    let mut cancelled: BTreeSet<(JobId, u32)> = BTreeSet::new();
    let mut started = BTreeSet::new();
    let mut open: BTreeMap<JobId, Vec<Lease>> = BTreeMap::new();
    let mut recorded = BTreeSet::new();
    for observation in &history.observations {
        match observation {
            Observation::Cancelled { id, run } => {
                cancelled.insert((*id, *run));
            }
            Observation::Started { held } => {
                let lease = Lease::from(held);
                // A paused worker may start a job that it received before it lost the lease.
                let is_late = leases.get(&lease).is_some_and(|lease_history| lease_history.is_lost);
                if cancelled.contains(&(lease.id, lease.run)) && !is_late {
                    found.insert(Violation::StartAfterCancel { lease });
                }
                if !started.insert(lease) {
                    found.insert(Violation::DoubleStart { lease });
                }
                let open = open.entry(lease.id).or_default();
                check_start(lease, open, &leases, found);
                open.push(lease);
            }
            Observation::Finished { held } => {
                open.entry(held.id).or_default().retain(|lease| *lease != Lease::from(held));
            }
            Observation::ReportVerdict { held, verdict, succeeds } => {
                let is_new = *verdict == ReportVerdict::Recorded;
                if is_new && !recorded.insert(Lease::from(held)) {
                    found.insert(Violation::RecordedTwice { lease: Lease::from(held) });
                }
                if is_new || *verdict == ReportVerdict::Duplicate {
                    check_recorded(held, *succeeds, &leases, found);
                }
            }
            _ => {}
        }
    }
}

fn check_start(
    lease: Lease,
    open: &[Lease],
    leases: &LeaseHistories<'_>,
    found: &mut BTreeSet<Violation>,
) {
    if !leases.get(&lease).is_some_and(|lease_history| lease_history.is_granted) {
        found.insert(Violation::StartWithoutLease { lease });
    }
    for other in open {
        // Ordered by lease, because a paused worker starts late.
        let (first, second) = (lease.min(*other), lease.max(*other));
        if !leases.get(&first).is_some_and(|lease_history| lease_history.is_lost) {
            found.insert(Violation::Overlap { first, second });
        }
    }
}

fn check_recorded(
    held: &HeldLease,
    succeeds: bool,
    leases: &LeaseHistories<'_>,
    found: &mut BTreeSet<Violation>,
) {
    let lease = Lease::from(held);
    match leases.get(&lease).and_then(|lease_history| lease_history.recorded) {
        None => found.insert(Violation::ReportLost { lease }),
        Some(event) if (event.status.state == State::Succeeded) != succeeds => {
            found.insert(Violation::WrongOutcome { lease })
        }
        Some(_) => false,
    };
}
