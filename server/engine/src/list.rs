//! List and Counts: what the ledger has recorded, and as of when.

use sentinel_domain::limits::{FILTER_LABELS, FILTER_NAMES};
use sentinel_domain::{Job, JobId, Label, Millis, Name, Spec, State, Violation};
use sentinel_ledger::{Filter, PageRequest, QueueCount};

use crate::{Engine, EngineError};

/// Which jobs, with everything empty meaning all.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Selection {
    pub queues: Vec<Name>,
    pub kinds: Vec<Name>,
    pub states: Vec<State>,
    pub labels: Vec<Label>,
    pub created_after: Option<Millis>,
    pub created_before: Option<Millis>,
}

impl Selection {
    /// Checks the bounds of a filter.
    pub fn check(&self, path: &str) -> Result<(), EngineError> {
        let bounds = [
            ("queues", self.queues.len(), FILTER_NAMES),
            ("kinds", self.kinds.len(), FILTER_NAMES),
            ("labels", self.labels.len(), FILTER_LABELS),
        ];
        let over = bounds.into_iter().filter(|(_, count, max)| *count as u64 > *max);
        let found: Vec<_> = over
            .map(|(field, count, max)| {
                Violation::new(
                    format!("{path}.{field}"),
                    format!("{count} is too many: at most {max}"),
                )
            })
            .collect();
        if found.is_empty() { Ok(()) } else { Err(EngineError::Invalid(found)) }
    }

    /// Whether a job is one of them; the same rule as the ledger's.
    pub fn matches(&self, job: &Job) -> bool {
        self.admits(&job.spec, job.status.state)
    }

    pub(crate) fn admits(&self, spec: &Spec, state: State) -> bool {
        (self.queues.is_empty() || self.queues.contains(&spec.queue))
            && (self.kinds.is_empty() || self.kinds.contains(&spec.kind))
            && (self.states.is_empty() || self.states.contains(&state))
            && self.labels.iter().all(|label| spec.labels.contains(label))
            && self.created_after.is_none_or(|after| spec.created_at >= after)
            && self.created_before.is_none_or(|before| spec.created_at < before)
    }

    fn filter(&self) -> Filter {
        Filter {
            queues: self.queues.clone(),
            kinds: self.kinds.clone(),
            states: self.states.clone(),
            labels: self.labels.clone(),
            created_after: self.created_after,
            created_before: self.created_before,
        }
    }
}

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
        selection: &Selection,
        before: Option<JobId>,
        size: usize,
    ) -> Result<JobsPage, EngineError> {
        selection.check("filter")?;
        let as_of = self.ledger.as_of().await?;
        let page = self.ledger.list(selection.filter(), PageRequest { size, before }).await?;
        Ok(JobsPage { jobs: page.jobs, next: page.next, as_of })
    }

    /// How many jobs are in each state.
    pub async fn counts(&self, queues: Vec<Name>) -> Result<CountsPage, EngineError> {
        let as_of = self.ledger.as_of().await?;
        Ok(CountsPage { counts: self.ledger.counts(queues).await?, as_of })
    }
}
