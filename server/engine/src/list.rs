//! List and Counts: what the ledger has recorded, and as of when.

use sentinel_domain::{Filter, Job, JobId, Millis, Name};
use sentinel_ledger::{PageRequest, QueueCount};

use crate::{Engine, EngineError};

/// A page of jobs, newest first.
#[derive(Clone, Debug)]
pub struct JobsPage {
    pub jobs: Vec<Job>,
    /// Where the next page begins.
    pub next: Option<JobId>,
    pub as_of: Millis,
}

/// Counts per queue and state.
#[derive(Clone, Debug)]
pub struct CountsPage {
    pub counts: Vec<QueueCount>,
    pub as_of: Millis,
}

impl Engine {
    /// Jobs by filter, newest first, before one.
    pub async fn list(
        &self,
        filter: Filter,
        before: Option<JobId>,
        size: usize,
    ) -> Result<JobsPage, EngineError> {
        check(&filter)?;
        let as_of = self.ledger.as_of().await?;
        let page = self.ledger.list(filter, PageRequest { size, before }).await?;
        Ok(JobsPage { jobs: page.jobs, next: page.next, as_of })
    }

    /// How many jobs are in each state.
    pub async fn counts(&self, queues: Vec<Name>) -> Result<CountsPage, EngineError> {
        let as_of = self.ledger.as_of().await?;
        Ok(CountsPage { counts: self.ledger.counts(queues).await?, as_of })
    }
}

/// Refuses a filter that is out of bounds.
pub(crate) fn check(filter: &Filter) -> Result<(), EngineError> {
    let found = filter.violations("filter");
    if found.is_empty() { Ok(()) } else { Err(EngineError::Invalid(found)) }
}
