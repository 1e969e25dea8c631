//! What clients, workers and watchers of a schedule observed, in order, and the journal, the ledger
//! and Get at the end. The rules compare the two.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use sentinel_domain::{Job, JobId, State};
use sentinel_engine::session::{HeldLease, ReportVerdict};
use sentinel_store::JobEvent;

/// One observation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Observation {
    /// A call of Enqueue returned this job.
    Enqueued { request: String, id: JobId },
    /// A cancel returned CANCELLED: this run has not started and will not start.
    Cancelled { id: JobId, run: u32 },
    /// A deletion was acknowledged.
    Deleted { id: JobId },
    /// A retry returned this run.
    Retried { id: JobId, run: u32 },
    /// A handler started.
    Started { held: HeldLease },
    /// A handler returned, lost its lease, or crashed with its worker.
    Finished { held: HeldLease },
    /// A report got a verdict; `succeeds` is true for a reported success.
    ReportVerdict { held: HeldLease, verdict: ReportVerdict, succeeds: bool },
    /// A checkpoint got the verdict RECORDED.
    Checkpointed { held: HeldLease, seq: u64 },
    /// A watch sent an event.
    Watched { watch: usize, seen: WatchObservation },
}

/// An event of a watch, with the parts that rules need.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum WatchObservation {
    /// The stream resumed at a cursor: changes may repeat.
    Resumed,
    Gap,
    Snapshot(Vec<(JobId, u64)>),
    Change {
        id: JobId,
        version: u64,
        is_terminal: bool,
    },
    /// A watch by ids has ended.
    End,
}

/// The shared list of observations.
#[derive(Clone, Default)]
pub(crate) struct EventLog(Arc<Mutex<Vec<Observation>>>);

impl EventLog {
    pub(crate) fn write(&self, observation: Observation) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(observation);
    }

    pub(crate) fn all(&self) -> Vec<Observation> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// The input of the rules.
#[derive(Clone, Debug, Default)]
pub(crate) struct History {
    pub(crate) observations: Vec<Observation>,
    /// Every change of every job in commit order.
    pub(crate) journal: Vec<JobEvent>,
    /// Jobs as the ledger has them.
    pub(crate) ledger: BTreeMap<JobId, Job>,
    /// Jobs as Get returns them.
    pub(crate) got: BTreeMap<JobId, Job>,
    /// The job ids of each watch; `None` for all jobs.
    pub(crate) watches: Vec<Option<Vec<JobId>>>,
    /// What is left after everyone has disconnected, by kind of resource.
    pub(crate) leftovers: BTreeMap<&'static str, usize>,
}

impl History {
    /// Returns the changes of each job, oldest first. A retry writes a job from the ledger back
    /// unchanged: the same version counts as the same change.
    pub(crate) fn changes_by_job(&self) -> BTreeMap<JobId, Vec<&JobEvent>> {
        let mut changes: BTreeMap<JobId, Vec<&JobEvent>> = BTreeMap::new();
        for event in &self.journal {
            let changes = changes.entry(event.id).or_default();
            let is_copy = |last: &&JobEvent| {
                let is_same = last.status.version == event.status.version;
                is_same && last.status.state.is_terminal() && event.encoded_spec.is_some()
            };
            // Stored progress is an event with the current version.
            let is_progress = |last: &&JobEvent| {
                let mut status = last.status.clone();
                status.progress.clone_from(&event.status.progress);
                status == event.status && status.state == State::Running
            };
            let previous = changes.last().copied();
            if previous.as_ref().is_some_and(|last| is_copy(last) || is_progress(last)) {
                continue;
            }
            changes.push(event);
        }
        changes
    }
}
