//! What is true of every job at all times. Serves debug assertions, the conformance suite
//! and checks of histories; each has a name so that a report says which one broke.

use crate::limits::CRASHES_MAX;
use crate::{Job, State};

/// A named rule about one job.
pub struct Invariant {
    pub name: &'static str,
    pub holds: fn(&Job) -> bool,
}

/// All rules about one job.
pub const ALL: &[Invariant] = &[
    Invariant {
        name: "lease-iff-running",
        holds: |j| j.status.lease.is_some() == (j.status.state == State::Running),
    },
    Invariant {
        name: "finished-iff-final",
        holds: |j| j.status.finished_at.is_some() == j.status.state.is_final(),
    },
    Invariant {
        name: "waits-for-jobs-iff-blocked",
        holds: |j| j.status.waiting_for.is_empty() == (j.status.state != State::Blocked),
    },
    Invariant {
        name: "attempts-within-budget",
        holds: |j| j.status.attempt <= j.spec.retry.max_attempts,
    },
    Invariant {
        name: "crashes-within-attempts-and-limit",
        holds: |j| {
            j.status.crashes <= j.status.attempt && u64::from(j.status.crashes) <= CRASHES_MAX
        },
    },
    Invariant {
        name: "lease-is-the-newest",
        holds: |j| {
            j.status.lease.is_none_or(|l| {
                (l.run, l.attempt, l.epoch) == (j.status.run, j.status.attempt, j.status.epoch)
            })
        },
    },
    Invariant {
        name: "cancel-only-running-or-cancelled-or-succeeded",
        holds: |j| {
            j.status.cancel.is_none()
                || matches!(j.status.state, State::Running | State::Cancelled | State::Succeeded)
        },
    },
    Invariant {
        name: "result-only-succeeded",
        holds: |j| j.status.result.is_none() || j.status.state == State::Succeeded,
    },
    Invariant {
        name: "version-and-run-from-one",
        holds: |j| j.status.version >= 1 && j.status.run >= 1,
    },
    Invariant {
        name: "recorded-epoch-was-given",
        holds: |j| j.status.recorded.is_none_or(|(epoch, _)| epoch <= j.status.epoch),
    },
];

/// The names of those that do not hold.
pub fn broken(job: &Job) -> Vec<&'static str> {
    ALL.iter().filter(|i| !(i.holds)(job)).map(|i| i.name).collect()
}

/// What is true of every step from one record of a job to the next.
pub fn broken_step(before: &Job, after: &Job) -> Vec<&'static str> {
    let (b, a) = (&before.status, &after.status);
    let rules: [(&'static str, bool); 6] = [
        ("same-job", before.id == after.id && before.spec == after.spec),
        ("version-dense", a.version == b.version + 1),
        ("epoch-never-falls", a.epoch >= b.epoch),
        ("lease-never-reused", a.lease.is_none() || a.lease == b.lease || a.epoch > b.epoch),
        ("final-only-left-by-retry", !b.state.is_final() || a.run == b.run + 1),
        ("time-never-falls", a.updated_at >= b.updated_at),
    ];
    rules.into_iter().filter(|(_, holds)| !holds).map(|(name, _)| name).collect()
}
