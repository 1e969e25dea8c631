//! What clients, watchers and handlers noted during a run, and the rules that it must keep
//! however often processes died. Independent of the code under test: it knows the promises
//! only.

mod check;
#[cfg(test)]
mod tests;
mod trail;

use std::collections::{BTreeMap, BTreeSet};

use sentinel_client::proto::jobs::v1::{Job, JobState, StateReason};

pub(crate) use check::{Violation, check};

/// Everything that was noted.
///
/// Handlers die, so they write to a file of their own with fsync. Clients and watchers live in
/// the process of the test, which nobody kills: what they note would gain nothing on a disk.
#[derive(Clone, Debug, Default)]
pub(crate) struct History {
    /// Jobs whose enqueue was acknowledged.
    pub(crate) acknowledged: BTreeSet<String>,
    /// Jobs that were answered to each request id.
    pub(crate) requests: BTreeMap<String, BTreeSet<String>>,
    /// Calls without a request id that got no answer, with the jobs they may have stored.
    pub(crate) unknown_jobs: usize,
    /// Cancels that were acknowledged.
    pub(crate) cancels: Vec<Cancelled>,
    /// Retries that were acknowledged: the job and its new run.
    pub(crate) retries: Vec<(String, u32)>,
    /// What each watch of all jobs showed, in order, from before the first job on.
    pub(crate) watches: Vec<Vec<Seen>>,
    /// Each acknowledged job at the end, by Get: what the hot store tells.
    pub(crate) got: BTreeMap<String, Look>,
    /// All jobs at the end, by List: what the ledger tells.
    pub(crate) listed: Vec<(String, Look)>,
    /// What handlers wrote, in the order of the file.
    pub(crate) effects: Vec<Effect>,
    /// What was not well some time after the last fault.
    pub(crate) ailments: Vec<String>,
}

/// One event of a watch.
#[derive(Clone, Debug)]
pub(crate) enum Seen {
    /// One part of a snapshot.
    Snapshot(Vec<(String, Look)>),
    Change(String, Look),
    /// It says that it may have missed something.
    Gap,
}

/// A cancel that was acknowledged.
#[derive(Clone, Debug)]
pub(crate) struct Cancelled {
    pub(crate) id: String,
    pub(crate) run: u32,
    /// Of the job after the cancel.
    pub(crate) version: u64,
    /// Lines that the handlers had written when the answer was there.
    pub(crate) lines_before: usize,
}

/// A job at one version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Look {
    pub(crate) version: u64,
    pub(crate) state: JobState,
    pub(crate) reason: StateReason,
    pub(crate) run: u32,
    pub(crate) attempt: u32,
    /// The result as text; a handler answers its fence.
    pub(crate) result: String,
}

impl From<&Job> for Look {
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

/// A line of a handler.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Effect {
    pub(crate) id: String,
    pub(crate) run: u32,
    pub(crate) attempt: u32,
    pub(crate) epoch: u64,
    pub(crate) instance: String,
    pub(crate) is_start: bool,
}

impl Effect {
    /// `job/run/attempt/epoch <tab> instance <tab> start|end`.
    pub(crate) fn parse(line: &str) -> Option<Self> {
        let mut columns = line.split('\t');
        let (fence, instance, what) = (columns.next()?, columns.next()?, columns.next()?);
        let mut parts = fence.split('/');
        Some(Self {
            id: parts.next()?.to_owned(),
            run: parts.next()?.parse().ok()?,
            attempt: parts.next()?.parse().ok()?,
            epoch: parts.next()?.parse().ok()?,
            instance: instance.to_owned(),
            is_start: match what {
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

/// What the handlers wrote to a file; a line that is being written is not one yet.
pub(crate) fn effects(file: &std::path::Path) -> Vec<Effect> {
    let text = std::fs::read_to_string(file).unwrap_or_default();
    let whole = text.rfind('\n').map_or("", |end| &text[..end]);
    whole.lines().map(|line| Effect::parse(line).expect("a line of demo.effect")).collect()
}
