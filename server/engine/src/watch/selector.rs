//! What a watch is about.

use sentinel_domain::limits::WATCH_JOBS;
use sentinel_domain::{Filter, JobId};

use crate::EngineError;
use crate::history::check_filter;

/// The jobs of a watch.
#[derive(Clone, Debug)]
pub enum Selector {
    Jobs(Vec<JobId>),
    Filter(Filter),
}

impl Selector {
    pub(super) fn check(&self) -> Result<(), EngineError> {
        match self {
            Self::Jobs(ids) if ids.is_empty() || ids.len() as u64 > WATCH_JOBS => {
                let description = format!("{} ids is out of range: 1..={WATCH_JOBS}", ids.len());
                Err(EngineError::invalid("jobs.ids", description))
            }
            Self::Jobs(_) => Ok(()),
            Self::Filter(filter) => {
                let has_times = filter.created_after.is_some() || filter.created_before.is_some();
                if has_times || !filter.states.is_empty() {
                    let description = "times and states are not allowed in a watch";
                    return Err(EngineError::invalid("filter", description));
                }
                check_filter(filter)
            }
        }
    }
}
