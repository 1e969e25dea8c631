//! The rules. They check the guarantees of the system without knowledge of the implementation.

mod handlers;
mod journal;
mod watch;

use std::collections::{BTreeMap, BTreeSet};

use sentinel_domain::JobId;
use sentinel_engine::session::HeldLease;

use super::observations::{History, Observation};

/// A violated guarantee.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Violation {
    /// The journal, the ledger or Get does not have an acknowledged job.
    Lost { id: JobId },
    /// A job is not in a terminal state at the end.
    NotTerminal { id: JobId },
    /// One request returned several jobs.
    RequestSplit { request: String },
    /// No response named this job, although every request was answered.
    UnexpectedJob { id: JobId },
    /// A run reached a terminal state zero times or more than once.
    TerminalStates { id: JobId, run: u32, count: usize },
    /// A job or a change of it violates an invariant of the domain.
    Invariant { id: JobId, version: u64, rule: &'static str },
    /// Journal, ledger and Get differ.
    Disagreement { id: JobId },
    /// The journal does not have an acknowledged deletion.
    DeletionLost { id: JobId },
    /// The ledger or Get still has a deleted job.
    DeletedJobVisible { id: JobId },
    /// The run of an acknowledged retry is missing.
    RetryLost { id: JobId, run: u32 },
    /// An older checkpoint of the same attempt replaced a newer one.
    CheckpointRegressed { id: JobId, version: u64 },
    /// The journal never had an acknowledged checkpoint.
    CheckpointLost { id: JobId, seq: u64 },
    /// Two live jobs hold one unique key.
    DuplicateKey { key: String },
    /// A job started before its parent was terminal.
    StartBeforeParent { id: JobId, parent: JobId },
    /// A handler started after the cancel of its job had been acknowledged.
    StartAfterCancel { lease: Lease },
    /// A handler started twice under one lease.
    DoubleStart { lease: Lease },
    /// A handler started under a lease that was never granted.
    StartWithoutLease { lease: Lease },
    /// Two handlers ran at once although the lease of the first was not lost.
    Overlap { first: Lease, second: Lease },
    /// Two reports of one lease got the verdict RECORDED.
    RecordedTwice { lease: Lease },
    /// A report got the verdict RECORDED, but the journal does not have it.
    ReportLost { lease: Lease },
    /// The journal has another outcome than the report.
    WrongOutcome { lease: Lease },
    /// A watch skipped a version without declaring a gap.
    SkippedVersion { watch: usize, id: JobId, after: u64 },
    /// A watch did not show the last version of a job.
    MissingLastVersion { watch: usize, id: JobId },
    /// Something is left after everyone has disconnected.
    Leak { what: &'static str },
}

impl Violation {
    /// Returns the name of the rule.
    pub(crate) fn name(&self) -> String {
        let text = format!("{self:?}");
        text.split(' ').next().unwrap_or_default().to_owned()
    }
}

/// The identity of a lease.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Lease {
    pub(crate) id: JobId,
    pub(crate) run: u32,
    pub(crate) epoch: u64,
}

impl From<&HeldLease> for Lease {
    fn from(held: &HeldLease) -> Self {
        Self { id: held.id, run: held.lease.run, epoch: held.lease.epoch }
    }
}

/// Returns all violations of a history.
pub(crate) fn check(history: &History) -> BTreeSet<Violation> {
    let mut found = BTreeSet::new();
    journal::check(history, &mut found);
    clients(history, &mut found);
    handlers::check(history, &mut found);
    watch::check(history, &mut found);
    let leaks = history.leftovers.iter().filter(|(_, count)| **count > 0);
    found.extend(leaks.map(|(what, _)| Violation::Leak { what }));
    found
}

/// Compares the responses that clients got with the journal, the ledger and Get.
fn clients(history: &History, found: &mut BTreeSet<Violation>) {
    let mut responses: BTreeMap<&str, JobId> = BTreeMap::new();
    let mut acknowledged = BTreeSet::new();
    let changes = history.changes_by_job();
    let last = |id: &JobId| changes.get(id).and_then(|changes| changes.last());
    let is_deleted_job = |id: &JobId| last(id).is_some_and(|last| last.status.is_deleted());
    for observation in &history.observations {
        match observation {
            Observation::Enqueued { request, id } => {
                acknowledged.insert(*id);
                if *responses.entry(request).or_insert(*id) != *id {
                    found.insert(Violation::RequestSplit { request: request.clone() });
                }
            }
            Observation::Retried { id, run }
                if !is_deleted_job(id)
                    && history.got.get(id).is_none_or(|job| job.status.run < *run) =>
            {
                found.insert(Violation::RetryLost { id: *id, run: *run });
            }
            Observation::Deleted { id } if !is_deleted_job(id) => {
                found.insert(Violation::DeletionLost { id: *id });
            }
            _ => {}
        }
    }
    for id in &acknowledged {
        if is_deleted_job(id) {
            if history.ledger.contains_key(id) || history.got.contains_key(id) {
                found.insert(Violation::DeletedJobVisible { id: *id });
            }
            continue;
        }
        let (Some(last), Some(ledger), Some(got)) =
            (last(id), history.ledger.get(id), history.got.get(id))
        else {
            found.insert(Violation::Lost { id: *id });
            continue;
        };
        if !last.status.state.is_terminal() {
            found.insert(Violation::NotTerminal { id: *id });
        }
        if last.status != ledger.status || ledger != got {
            found.insert(Violation::Disagreement { id: *id });
        }
    }
    let unexpected = changes.keys().filter(|id| !acknowledged.contains(id));
    found.extend(unexpected.map(|id| Violation::UnexpectedJob { id: *id }));
}
