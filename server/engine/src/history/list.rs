//! List and Counts: what the ledger has recorded, and as of when.

use sentinel_domain::{Filter, Job, JobId, Millis, Name};
use sentinel_ledger::{PageRequest, QueueCount};

use super::History;
use crate::EngineError;

/// A page of jobs, newest first.
#[derive(Clone, Debug)]
pub struct JobsPage {
    pub jobs: Vec<Job>,
    /// Where the next page begins. None after the last one.
    pub next: Option<JobId>,
    pub as_of: Millis,
}

/// Counts per queue and state.
#[derive(Clone, Debug)]
pub struct CountsPage {
    pub counts: Vec<QueueCount>,
    pub as_of: Millis,
}

impl History {
    /// Returns jobs that match a filter, newest first, before one.
    pub async fn list(
        &self,
        filter: Filter,
        before: Option<JobId>,
        size: usize,
    ) -> Result<JobsPage, EngineError> {
        check_filter(&filter)?;
        let as_of = self.ledger.as_of().await?;
        let page = self.ledger.list(filter, PageRequest { size, before }).await?;
        Ok(JobsPage { jobs: page.jobs, next: page.next, as_of })
    }

    /// Returns the number of jobs per queue and state.
    pub async fn counts(&self, queues: Vec<Name>) -> Result<CountsPage, EngineError> {
        let as_of = self.ledger.as_of().await?;
        Ok(CountsPage { counts: self.ledger.count_by_state(queues).await?, as_of })
    }
}

/// Checks the limits of a filter.
pub(crate) fn check_filter(filter: &Filter) -> Result<(), EngineError> {
    let found = filter.violations("filter");
    if found.is_empty() { Ok(()) } else { Err(EngineError::Invalid(found)) }
}
