//! Bulk: one verb to all jobs of a filter, step by step. What the ledger lists is only who is
//! asked; each job is decided on as it is now.

use std::collections::BTreeMap;

use futures_util::stream::{self, StreamExt};
use sentinel_domain::limits::BULK_PREVIEW_JOBS;
use sentinel_domain::{Ack, Filter, Job, JobId, State};
use sentinel_ledger::PageRequest;

use crate::batch::{ItemRefused, refused};
use crate::{CancelOutcome, Engine, EngineError, list};

/// Jobs of a step that are under way at once: a commit takes all that waits.
const AT_ONCE: usize = 64;

/// Refusals that are told one by one.
const REFUSALS_MAX: usize = 10;

/// What is done to each job.
#[derive(Clone, Debug)]
pub enum BulkAction {
    Cancel { reason: Box<str> },
    Retry,
    Delete,
}

/// What came of one job.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum BulkOutcome {
    Cancelled,
    Requested,
    Retried,
    Deleted,
    /// It is none of them any more.
    Changed,
    Refused,
}

/// What one step did.
#[derive(Clone, Debug, Default)]
pub struct BulkStep {
    pub counts: BTreeMap<BulkOutcome, u64>,
    /// The first ones.
    pub refusals: Vec<(JobId, ItemRefused)>,
    /// Where the next step begins.
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

    /// Of the filter's jobs those in a state that allows it. None: no state does.
    fn narrowed(&self, filter: &Filter) -> Result<Option<Filter>, EngineError> {
        list::check(filter)?;
        let Filter { queues, kinds, states, labels, .. } = filter;
        if queues.is_empty() && kinds.is_empty() && states.is_empty() && labels.is_empty() {
            let description = "names no queue, kind, state or label: it would be every job";
            return Err(EngineError::invalid("filter", description));
        }
        let is_asked = |state: &State| states.is_empty() || states.contains(state);
        let states: Vec<State> =
            State::ALL.into_iter().filter(|s| is_asked(s) && self.allows(*s)).collect();
        Ok((!states.is_empty()).then(|| Filter { states, ..filter.clone() }))
    }
}

impl Engine {
    /// How many jobs an action would be done to, and whether there may be more.
    pub async fn bulk_preview(
        &self,
        action: &BulkAction,
        filter: &Filter,
    ) -> Result<(u64, bool), EngineError> {
        let Some(filter) = action.narrowed(filter)? else { return Ok((0, false)) };
        self.acknowledge_all_known(Ack::Ledger).await?;
        Ok(self.ledger.count_matching(filter, BULK_PREVIEW_JOBS as usize).await?)
    }

    /// Does it to a page of the jobs, newest first.
    pub async fn bulk(
        &self,
        action: &BulkAction,
        filter: &Filter,
        page: PageRequest,
        actor: &str,
    ) -> Result<BulkStep, EngineError> {
        let Some(filter) = action.narrowed(filter)? else { return Ok(BulkStep::default()) };
        if page.before.is_none() {
            self.acknowledge_all_known(Ack::Ledger).await?;
        }
        let page = self.ledger.list(filter.clone(), page).await?;
        let turns = page.jobs.into_iter().map(|job| self.turn(action, &filter, job.id, actor));
        let mut turns = stream::iter(turns).buffered(AT_ONCE);
        let mut step = BulkStep { next: page.next, ..BulkStep::default() };
        while let Some(turn) = turns.next().await {
            let (id, outcome) = turn?;
            let outcome = outcome.unwrap_or_else(|refusal| {
                if step.refusals.len() < REFUSALS_MAX {
                    step.refusals.push((id, refusal));
                }
                BulkOutcome::Refused
            });
            *step.counts.entry(outcome).or_default() += 1;
        }
        Ok(step)
    }

    /// One job. An error is one of the whole step, which can be asked for again.
    async fn turn(
        &self,
        action: &BulkAction,
        filter: &Filter,
        id: JobId,
        actor: &str,
    ) -> Result<(JobId, Result<BulkOutcome, ItemRefused>), EngineError> {
        let done = match self.get(id).await {
            Ok(job) if filter.matches(&job) => self.act(action, &job, actor).await,
            Ok(_) => Ok(BulkOutcome::Changed),
            Err(error) => Err(error),
        };
        match done {
            Ok(outcome) => Ok((id, Ok(outcome))),
            Err(
                EngineError::JobNotFound(_)
                | EngineError::NotTerminal(_)
                | EngineError::Running(_)
                | EngineError::Contended,
            ) => Ok((id, Ok(BulkOutcome::Changed))),
            Err(error) => Ok((id, Err(refused(error)?))),
        }
    }

    async fn act(
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
