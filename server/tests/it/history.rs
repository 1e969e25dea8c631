//! A history checker: records what clients, watches and handlers observed during a test, and checks
//! the guarantees that must hold however often processes died. It is based only on the documented
//! guarantees and shares no code with the server.

mod check;
#[cfg(test)]
mod tests;
mod versions;

use std::collections::{BTreeMap, BTreeSet};

use sentinel_client::proto::jobs::v1::{Job, JobState, StateReason};

pub(crate) use check::{Violation, check};

/// Everything that was observed during a test.
///
/// Handlers die, so they append to a file with fsync. Clients and watches run in the test process,
/// which is never killed, so their observations stay in memory.
#[derive(Clone, Debug, Default)]
pub(crate) struct History {
    /// Jobs whose enqueue was acknowledged.
    pub(crate) acknowledged: BTreeSet<String>,
    /// The jobs returned for each request id.
    pub(crate) requests: BTreeMap<String, BTreeSet<String>>,
    /// The number of jobs that calls without a request id and without a response may have stored.
    pub(crate) unknown_jobs: usize,
    /// Cancels that were acknowledged.
    pub(crate) cancels: Vec<AcknowledgedCancel>,
    /// Retries that were acknowledged: the job and its new run.
    pub(crate) retries: Vec<(String, u32)>,
    /// The events of each watch of all jobs, in order, from before the first job.
    pub(crate) watches: Vec<Vec<RecordedEvent>>,
    /// Each acknowledged job at the end, as Get returns it from the store.
    pub(crate) got: BTreeMap<String, ObservedJob>,
    /// All jobs at the end, as List returns them from the ledger.
    pub(crate) listed: Vec<(String, ObservedJob)>,
    /// The lines that handlers wrote, in file order.
    pub(crate) side_effects: Vec<SideEffect>,
    /// Health checks that failed after the last fault had ended.
    pub(crate) health_failures: Vec<String>,
}

/// One event of a watch.
#[derive(Clone, Debug)]
pub(crate) enum RecordedEvent {
    /// One part of a snapshot.
    Snapshot(Vec<(String, ObservedJob)>),
    Change(String, ObservedJob),
    /// The watch declares that it may have missed events.
    Gap,
}

/// A cancel that was acknowledged.
#[derive(Clone, Debug)]
pub(crate) struct AcknowledgedCancel {
    pub(crate) id: String,
    pub(crate) run: u32,
    /// The job's version after the cancel.
    pub(crate) version: u64,
    /// The number of lines that handlers had written when the response arrived.
    pub(crate) lines_before: usize,
}

/// A job at one version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ObservedJob {
    pub(crate) version: u64,
    pub(crate) state: JobState,
    pub(crate) reason: StateReason,
    pub(crate) run: u32,
    pub(crate) attempt: u32,
    /// The result as text; a handler returns its fence.
    pub(crate) result: String,
}

impl From<&Job> for ObservedJob {
    fn from(job: &Job) -> Self {
        Self {
            version: job.version,
            state: job.state(),
            reason: job.reason(),
            run: job.run,
            attempt: job.attempt,
            result: String::from_utf8_lossy(&job.result).into_owned(),
        }
    }
}

/// A line that a handler wrote at its start or at its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SideEffect {
    pub(crate) id: String,
    pub(crate) run: u32,
    pub(crate) attempt: u32,
    pub(crate) epoch: u64,
    pub(crate) instance: String,
    pub(crate) is_start: bool,
}

impl SideEffect {
    /// Parses `job/run/attempt/epoch <tab> instance <tab> start|end`.
    pub(crate) fn parse(line: &str) -> Option<Self> {
        let mut columns = line.split('\t');
        let (fence, instance, event) = (columns.next()?, columns.next()?, columns.next()?);
        let mut parts = fence.split('/');
        Some(Self {
            id: parts.next()?.to_owned(),
            run: parts.next()?.parse().ok()?,
            attempt: parts.next()?.parse().ok()?,
            epoch: parts.next()?.parse().ok()?,
            instance: instance.to_owned(),
            is_start: match event {
                "start" => true,
                "end" => false,
                _ => return None,
            },
        })
    }

    pub(crate) fn fence(&self) -> String {
        format!("{}/{}/{}/{}", self.id, self.run, self.attempt, self.epoch)
    }
}

/// Reads the complete lines that handlers wrote to a file.
pub(crate) fn side_effects(file: &std::path::Path) -> Vec<SideEffect> {
    let text = std::fs::read_to_string(file).unwrap_or_default();
    let complete = text.rfind('\n').map_or("", |end| &text[..end]);
    complete.lines().map(|line| SideEffect::parse(line).expect("a line of demo.effect")).collect()
}
