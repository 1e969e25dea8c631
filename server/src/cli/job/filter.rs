//! The flags that select jobs.

use std::collections::BTreeMap;

use clap::Args;
use sentinel_client::proto::jobs::v1::{JobFilter, JobState};

use super::super::parse;

/// Selects jobs by queue, kind, state and label. All given conditions must match.
#[derive(Debug, Args, Default)]
pub(super) struct FilterArgs {
    /// Queue of the jobs; repeatable, a job must match one of them.
    #[arg(long = "queue", value_name = "QUEUE")]
    queues: Vec<String>,
    /// Kind of the jobs; repeatable, a job must match one of them.
    #[arg(long = "kind", value_name = "KIND")]
    kinds: Vec<String>,
    /// State of the jobs, such as failed; repeatable, a job must match one of them.
    #[arg(long = "state", value_name = "STATE", value_parser = parse::state)]
    states: Vec<JobState>,
    /// Label of the jobs; repeatable, a job must match all of them.
    #[arg(long = "label", value_name = "KEY=VALUE", value_parser = parse::key_value)]
    labels: Vec<(String, String)>,
}

impl FilterArgs {
    /// Whether the filter matches every job.
    pub(super) fn is_empty(&self) -> bool {
        self.queues.is_empty()
            && self.kinds.is_empty()
            && self.states.is_empty()
            && self.labels.is_empty()
    }

    pub(super) fn into_proto(self) -> JobFilter {
        JobFilter {
            queues: self.queues,
            kinds: self.kinds,
            states: self.states.into_iter().map(i32::from).collect(),
            labels: self.labels.into_iter().collect::<BTreeMap<_, _>>(),
            ..JobFilter::default()
        }
    }
}
