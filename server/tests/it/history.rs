//! What clients, watchers and handlers noted during a run, and the rules that it must keep
//! however often processes died. Independent of the code under test: it knows the promises
//! only.

mod check;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};

use sentinel_client::proto::jobs::v1::{Job, JobState, StateReason};

pub use check::{Violation, check};

/// Everything that was noted.
#[derive(Clone, Debug, Default)]
pub struct History {
    /// Jobs whose enqueue was acknowledged.
    pub acknowledged: BTreeSet<String>,
    /// Jobs that were answered to each request id.
    pub requests: BTreeMap<String, BTreeSet<String>>,
    /// Calls without a request id that got no answer, with the jobs they may have stored.
    pub unknown_jobs: usize,
    /// Cancels of waiting jobs that were acknowledged.
    pub cancels: Vec<Cancelled>,
    /// Retries that were acknowledged: the job and its new run.
    pub retries: Vec<(String, u32)>,
    /// Changes by job, as a watch showed them.
    pub changes: BTreeMap<String, Vec<Look>>,
    /// Each acknowledged job at the end, by Get.
    pub got: BTreeMap<String, Look>,
    /// All jobs at the end, by List.
    pub listed: Vec<(String, Look)>,
    /// What handlers wrote, in the order of the file.
    pub effects: Vec<Effect>,
}

/// A cancel that ended a waiting job.
#[derive(Clone, Debug)]
pub struct Cancelled {
    pub id: String,
    pub run: u32,
    /// Lines that the handlers had written when the answer was there.
    pub lines_before: usize,
}

/// A job at one version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Look {
    pub version: u64,
    pub state: JobState,
    pub reason: StateReason,
    pub run: u32,
    pub attempt: u32,
    /// The result as text; a handler answers its fence.
    pub result: String,
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
pub struct Effect {
    pub id: String,
    pub run: u32,
    pub attempt: u32,
    pub epoch: u64,
    pub instance: String,
    pub is_start: bool,
}

impl Effect {
    /// `job/run/attempt/epoch <tab> instance <tab> start|end`.
    pub fn parse(line: &str) -> Option<Self> {
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

    pub fn fence(&self) -> String {
        format!("{}/{}/{}/{}", self.id, self.run, self.attempt, self.epoch)
    }
}
