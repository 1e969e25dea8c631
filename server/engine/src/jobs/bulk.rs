//! Bulk: one action on all jobs of a filter, page by page.
//!
//! The ledger only lists the candidates. Each job is decided on its current version.

use std::collections::BTreeMap;

use futures_util::stream::{self, StreamExt};
use sentinel_domain::limits::BULK_PREVIEW_JOBS;
use sentinel_domain::{Ack, Filter, Job, JobId, State};
use sentinel_ledger::PageRequest;

use super::{CancelOutcome, Jobs};
use crate::EngineError;
use crate::error::ItemError;
use crate::history::check_filter;

/// The jobs of a step that are decided concurrently. The commit loop groups their commits.
const CONCURRENCY: usize = 64;

/// The most refusals that a step returns.
const REFUSALS_MAX: usize = 10;

/// The action on each job.
#[derive(Clone, Debug)]
pub enum BulkAction {
    Cancel { reason: Box<str> },
    Retry,
    Delete,
}

/// The effect on one job.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum BulkOutcome {
    Cancelled,
    Requested,
    Retried,
    Deleted,
    /// The job no longer matches the filter, or no longer allows the action.
    Changed,
    Refused,
}

/// The effect of one step.
#[derive(Clone, Debug, Default)]
pub struct BulkStep {
    pub counts: BTreeMap<BulkOutcome, u64>,
    /// The first refusals.
    pub refusals: Vec<(JobId, ItemError)>,
    /// Where the next step begins. None after the last one.
    pub next: Option<JobId>,
}

impl BulkAction {
    fn allows(&self, state: State) -> bool {
        match self {
            Self::Cancel { .. } => state.can_be_cancelled(),
            Self::Retry => state.can_be_retried(),
            Self::Delete => state.can_be_deleted(),
        }
    }

    /// Returns the filter for the jobs whose state allows the action. None when no state does.
    fn narrow(&self, filter: &Filter) -> Result<Option<Filter>, EngineError> {
        check_filter(filter)?;
        let Filter { queues, kinds, states, labels, .. } = filter;
        if queues.is_empty() && kinds.is_empty() && states.is_empty() && labels.is_empty() {
            let description = "must name a queue, kind, state or label: it would match every job";
            return Err(EngineError::invalid("filter", description));
        }
        let is_asked = |state: &State| states.is_empty() || states.contains(state);
        let states: Vec<State> =
            State::ALL.into_iter().filter(|s| is_asked(s) && self.allows(*s)).collect();
        Ok((!states.is_empty()).then(|| Filter { states, ..filter.clone() }))
    }
}

impl Jobs {
    /// Returns how many jobs an action would affect, and whether there may be more.
    pub async fn bulk_preview(
        &self,
        action: &BulkAction,
        filter: &Filter,
    ) -> Result<(u64, bool), EngineError> {
        let Some(filter) = action.narrow(filter)? else { return Ok((0, false)) };
        self.durability.wait_for_committed(Ack::Ledger).await?;
        Ok(self.ledger.count_matching(filter, BULK_PREVIEW_JOBS as usize).await?)
    }

    /// Applies an action to one page of jobs, newest first.
    pub async fn bulk(
        &self,
        action: &BulkAction,
        filter: &Filter,
        page: PageRequest,
        actor: &str,
    ) -> Result<BulkStep, EngineError> {
        let Some(filter) = action.narrow(filter)? else { return Ok(BulkStep::default()) };
        if page.before.is_none() {
            self.durability.wait_for_committed(Ack::Ledger).await?;
        }
        let page = self.ledger.list(filter.clone(), page).await?;
        let outcomes =
            page.jobs.into_iter().map(|job| self.bulk_one(action, &filter, job.id, actor));
        let mut outcomes = stream::iter(outcomes).buffered(CONCURRENCY);
        let mut step = BulkStep { next: page.next, ..BulkStep::default() };
        while let Some(outcome) = outcomes.next().await {
            let (id, outcome) = outcome?;
            let outcome = outcome.unwrap_or_else(|error| {
                if step.refusals.len() < REFUSALS_MAX {
                    step.refusals.push((id, error));
                }
                BulkOutcome::Refused
            });
            *step.counts.entry(outcome).or_default() += 1;
        }
        Ok(step)
    }

    /// Applies an action to one job. An error concerns the whole step, which can be repeated.
    async fn bulk_one(
        &self,
        action: &BulkAction,
        filter: &Filter,
        id: JobId,
        actor: &str,
    ) -> Result<(JobId, Result<BulkOutcome, ItemError>), EngineError> {
        let outcome = match self.reader.get(id).await {
            Ok(job) if filter.matches(&job) => self.bulk_apply(action, &job, actor).await,
            Ok(_) => Ok(BulkOutcome::Changed),
            Err(error) => Err(error),
        };
        match outcome {
            Ok(outcome) => Ok((id, Ok(outcome))),
            Err(
                EngineError::JobNotFound(_)
                | EngineError::NotTerminal(_)
                | EngineError::JobRunning(_)
                | EngineError::Contended,
            ) => Ok((id, Ok(BulkOutcome::Changed))),
            Err(error) => Ok((id, Err(ItemError::try_from(error)?))),
        }
    }

    async fn bulk_apply(
        &self,
        action: &BulkAction,
        job: &Job,
        actor: &str,
    ) -> Result<BulkOutcome, EngineError> {
        match action {
            BulkAction::Cancel { reason } => {
                let cancelled = self.cancel(job.id, reason, actor).await?;
                Ok(match cancelled.outcome {
                    CancelOutcome::Cancelled => BulkOutcome::Cancelled,
                    CancelOutcome::Requested => BulkOutcome::Requested,
                    CancelOutcome::AlreadyTerminal => BulkOutcome::Changed,
                })
            }
            BulkAction::Retry => self.retry(job.id, None).await.map(|_| BulkOutcome::Retried),
            BulkAction::Delete => {
                self.delete(job.id, actor, None).await.map(|()| BulkOutcome::Deleted)
            }
        }
    }
}
