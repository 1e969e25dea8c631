//! The invariants of a job. The conformance suite, the property tests and the history checker
//! verify them. Each has a name for error reports.

use crate::limits::{CHECKPOINT_BYTES, CRASHES_MAX, RESULT_BYTES};
use crate::{Job, Reason, State};

/// A named invariant of a single job.
pub struct Invariant {
    pub name: &'static str,
    pub holds: fn(&Job) -> bool,
}

/// All invariants of a single job.
pub const ALL: &[Invariant] = &[
    Invariant {
        name: "lease-iff-running",
        holds: |j| j.status.lease.is_some() == (j.status.state == State::Running),
    },
    Invariant {
        name: "finished-iff-terminal",
        holds: |j| j.status.finished_at.is_some() == j.status.state.is_terminal(),
    },
    Invariant {
        name: "dependencies-iff-blocked",
        holds: |j| j.status.waiting_for.is_empty() == (j.status.state != State::Blocked),
    },
    Invariant {
        name: "attempts-within-limit",
        holds: |j| j.status.attempt <= j.spec.retry.max_attempts,
    },
    Invariant {
        name: "crashes-within-attempts-and-limit",
        holds: |j| {
            j.status.crashes <= j.status.attempt && u64::from(j.status.crashes) <= CRASHES_MAX
        },
    },
    Invariant {
        name: "lease-is-current",
        holds: |j| {
            j.status.lease.is_none_or(|l| {
                (l.id.run, l.id.attempt, l.id.epoch)
                    == (j.status.run, j.status.attempt, j.status.epoch)
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
        name: "version-and-run-start-at-one",
        holds: |j| j.status.version >= 1 && j.status.run >= 1,
    },
    Invariant {
        name: "recorded-epoch-was-granted",
        holds: |j| j.status.recorded_lease.is_none_or(|(epoch, _)| epoch <= j.status.epoch),
    },
    Invariant {
        name: "recorded-lease-has-ended",
        holds: |j| match (j.status.lease, j.status.recorded_lease) {
            (Some(lease), Some((epoch, _))) => epoch < lease.id.epoch,
            _ => true,
        },
    },
    Invariant {
        name: "reason-matches-state",
        holds: |j| reason_matches(j.status.state, j.status.reason),
    },
    Invariant {
        name: "running-has-started",
        holds: |j| {
            let s = &j.status;
            s.state != State::Running
                || (s.attempt >= 1 && s.started_at.is_some() && s.worker.is_some())
        },
    },
    Invariant {
        name: "waiting-has-attempts-left",
        holds: |j| {
            let s = &j.status;
            !s.state.is_waiting()
                || (s.attempt < j.spec.retry.max_attempts && u64::from(s.crashes) < CRASHES_MAX)
        },
    },
    Invariant {
        name: "epoch-covers-attempts",
        holds: |j| j.status.epoch >= u64::from(j.status.attempt),
    },
    Invariant {
        name: "failed-has-error",
        holds: |j| j.status.state != State::Failed || j.status.error.is_some(),
    },
    Invariant {
        name: "cancelled-by-caller-has-cancel",
        holds: |j| j.status.reason != Reason::CancelledByCaller || j.status.cancel.is_some(),
    },
    Invariant {
        name: "waits-only-for-its-dependencies",
        holds: |j| j.status.waiting_for.iter().all(|id| j.spec.depends_on.contains(id)),
    },
    Invariant {
        name: "sizes-within-limits",
        holds: |j| {
            let len = |bytes: &Option<bytes::Bytes>| bytes.as_ref().map_or(0, |b| b.len() as u64);
            len(&j.status.result) <= RESULT_BYTES && len(&j.status.checkpoint) <= CHECKPOINT_BYTES
        },
    },
];

/// Returns whether a state can have a reason.
fn reason_matches(state: State, reason: Reason) -> bool {
    use Reason as R;
    match state {
        _ if reason == R::Deleted => state.is_terminal(),
        State::Blocked | State::Running | State::Succeeded => reason == R::None,
        State::Scheduled => {
            matches!(reason, R::None | R::HandlerError | R::Timeout | R::Snoozed)
        }
        State::Ready => matches!(
            reason,
            R::None | R::HandlerError | R::Timeout | R::Snoozed | R::WorkerLost | R::Released
        ),
        State::Failed => matches!(
            reason,
            R::HandlerError | R::NotRetryable | R::Timeout | R::WorkerLost | R::Poisoned
        ),
        State::Cancelled => {
            matches!(reason, R::CancelledByCaller | R::Replaced | R::DependencyFailed)
        }
        State::Expired => reason == R::StartDeadline,
    }
}

/// Returns the names of the violated invariants of a job.
pub fn violated(job: &Job) -> Vec<&'static str> {
    ALL.iter().filter(|i| !(i.holds)(job)).map(|i| i.name).collect()
}

/// Returns whether a transition starts the next attempt under the next epoch.
fn is_start(before: &Job, after: &Job) -> bool {
    let (b, a) = (&before.status, &after.status);
    b.state == State::Ready
        && a.state == State::Running
        && (a.run, a.attempt, a.epoch) == (b.run, b.attempt + 1, b.epoch + 1)
}

/// Returns whether the spec is unchanged, or is a new revision of a job that has not started.
fn is_spec_transition(before: &Job, after: &Job) -> bool {
    let (b, a) = (&before.status, &after.status);
    let (old, new) = (&before.spec, &after.spec);
    let is_revised = a.revision == b.revision + 1
        && a.state.is_waiting()
        && b.state.is_waiting()
        && a.attempt == 0
        && a.run == 1
        && (&old.queue, &old.kind, &old.unique, &old.depends_on)
            == (&new.queue, &new.kind, &new.unique, &new.depends_on);
    is_revised || (a.revision == b.revision && old == new)
}

/// Returns the names of the invariants that a transition between two versions of a job violates.
pub fn violated_transition(before: &Job, after: &Job) -> Vec<&'static str> {
    let (b, a) = (&before.status, &after.status);
    let started = a.epoch > b.epoch;
    let deleted =
        a.is_deleted() && a.state.is_terminal() && (a.state == b.state || !b.state.is_terminal());
    let rules: [(&'static str, bool); 12] = [
        ("same-job", before.id == after.id && is_spec_transition(before, after)),
        ("version-dense", a.version == b.version + 1),
        ("epoch-never-decreases", a.epoch >= b.epoch),
        ("lease-never-reused", a.lease.is_none() || a.lease == b.lease || a.epoch > b.epoch),
        ("terminal-left-only-by-retry", !b.state.is_terminal() || a.run == b.run + 1 || deleted),
        ("no-change-after-deletion", !b.is_deleted()),
        ("time-never-decreases", a.updated_at >= b.updated_at),
        ("run-changes-only-from-terminal", a.run == b.run || b.state.is_terminal()),
        ("retry-resets-attempts", a.run == b.run || (a.state == State::Ready && a.attempt == 0)),
        ("start-raises-epoch-by-one", !started || is_start(before, after)),
        ("no-attempt-after-cancel", !started || b.cancel.is_none()),
        (
            "crashes-rise-by-one",
            a.run != b.run || a.crashes == b.crashes || a.crashes == b.crashes + 1,
        ),
    ];
    rules.into_iter().filter(|(_, holds)| !holds).map(|(name, _)| name).collect()
}
