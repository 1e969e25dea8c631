//! What clients, watchers and handlers noted during a run, and the rules that it must keep
//! however often processes died. Independent of the code under test: it knows the promises
//! only.

mod check;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};

use sentinel_client::proto::jobs::v1::{Job, JobState, StateReason};

pub(crate) use check::{Violation, check};

/// Everything that was noted.
#[derive(Clone, Debug, Default)]
pub(crate) struct History {
    /// Jobs whose enqueue was acknowledged.
    pub(crate) acknowledged: BTreeSet<String>,
    /// Jobs that were answered to each request id.
    pub(crate) requests: BTreeMap<String, BTreeSet<String>>,
    /// Calls without a request id that got no answer, with the jobs they may have stored.
    pub(crate) unknown_jobs: usize,
    /// Cancels of waiting jobs that were acknowledged.
    pub(crate) cancels: Vec<Cancelled>,
    /// Retries that were acknowledged: the job and its new run.
    pub(crate) retries: Vec<(String, u32)>,
    /// Changes by job, as a watch showed them.
    pub(crate) changes: BTreeMap<String, Vec<Look>>,
    /// Each acknowledged job at the end, by Get.
    pub(crate) got: BTreeMap<String, Look>,
    /// All jobs at the end, by List.
    pub(crate) listed: Vec<(String, Look)>,
    /// What handlers wrote, in the order of the file.
    pub(crate) effects: Vec<Effect>,
}

/// A cancel that ended a waiting job.
#[derive(Clone, Debug)]
pub(crate) struct Cancelled {
    pub(crate) id: String,
    pub(crate) run: u32,
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
