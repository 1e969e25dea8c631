//! One commit request, from its first try to its replies.

use std::sync::Arc;
use std::time::Duration;

use sentinel_domain::{Ack, Millis, SessionId};
use sentinel_store::{
    Claim, CommitRequest, CommitResult, Mutation, Position, ServerId, Store, StoreError,
    Transaction, TransactionResult,
};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::committer::{CommitQueue, Reply, Submission, Submitted};
use crate::cluster::StoreHealth;
use crate::dispatch::{ClaimScheduler, SessionRegistry};
use crate::queues::QueueCache;
use crate::{Clock, Observer, Settings};

/// The most due jobs that one commit request promotes.
const PROMOTE_MAX: usize = 500;

/// How often a request with a lost reply is repeated before its submitters receive the error.
const RETRIES_BEFORE_REPLY: u32 = 8;

/// The longest pause between two tries.
const RETRY_AFTER_MAX_MS: u64 = 1_000;

/// What the commit loop works on.
pub(crate) struct CommitContext {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) server: ServerId,
    pub(crate) clock: Clock,
    pub(crate) observer: Arc<dyn Observer>,
    pub(crate) settings: Settings,
    pub(crate) health: Arc<StoreHealth>,
    pub(crate) scheduler: Arc<ClaimScheduler>,
    pub(crate) registry: Arc<SessionRegistry>,
    pub(crate) queues: Arc<QueueCache>,
}

/// The state of the loop after a commit request.
pub(super) struct Completed {
    /// The number of the last request.
    pub(super) number: u64,
    /// When the store has due work next.
    pub(super) next_due_at: Option<Millis>,
    pub(super) has_failed: bool,
}

/// A submitter that waits for the results of its transactions.
struct Waiting {
    transactions: usize,
    needs_space: bool,
    level: Ack,
    /// None once it was replied to.
    reply: Option<Reply>,
}

/// A commit request that the store has not answered yet.
pub(super) struct InFlightCommit<'a> {
    context: &'a CommitContext,
    request: CommitRequest,
    waiting: Vec<Waiting>,
    claims: Vec<(SessionId, usize)>,
}

impl<'a> InFlightCommit<'a> {
    pub(super) fn new(
        context: &'a CommitContext,
        number: u64,
        batch: Vec<Submission>,
        claims: Vec<Claim>,
    ) -> Self {
        let mut transactions = Vec::new();
        let mut waiting = Vec::with_capacity(batch.len());
        for Submission { transactions: submitted, reply, level, .. } in batch {
            waiting.push(Waiting {
                transactions: submitted.len(),
                needs_space: submitted.iter().any(needs_space),
                level,
                reply: Some(reply),
            });
            transactions.extend(submitted);
        }
        let asked = claims.iter().map(|claim| (claim.session, claim.max_jobs)).collect();
        let request = CommitRequest {
            writer: context.server,
            number,
            now: context.clock.now(),
            transactions,
            promote_limit: PROMOTE_MAX,
            claims,
        };
        Self { context, request, waiting, claims: asked }
    }

    /// Commits the request, replies to the submitters and assigns the claimed jobs.
    pub(super) async fn commit(
        mut self,
        submissions: &mut CommitQueue,
        closing: &CancellationToken,
    ) -> Completed {
        let started = Instant::now();
        let mut answer = self.send(submissions, closing).await;
        if let Err(error @ StoreError::Full(_)) = &answer
            && self.waiting.iter().any(|waiting| waiting.needs_space)
        {
            let error = error.clone();
            self.remove_creates(&error);
            answer = self.send(submissions, closing).await;
        }
        let number = self.request.number;
        match answer {
            Ok(result) => {
                let claimed = result.claimed.iter().map(Vec::len).sum();
                let transactions = self.request.transactions.len();
                self.context.observer.committed(started.elapsed(), transactions, claimed);
                let next_due_at = result.next_due_at;
                let is_replicated = self.wait_replicated(result.position).await;
                self.complete(result, is_replicated);
                Completed { number, next_due_at, has_failed: false }
            }
            Err(error) => {
                if !matches!(error, StoreError::RolledBack(_)) {
                    let transactions = self.request.transactions.len();
                    tracing::warn!(%error, transactions, "commit failed");
                }
                let nothing = vec![Vec::new(); self.claims.len()];
                self.context.scheduler.settle(&self.claims, &nothing);
                self.fail(&error);
                Completed { number, next_due_at: None, has_failed: true }
            }
        }
    }

    /// Sends the request until its outcome is known.
    ///
    /// A repeat has the number of the request, so the store applies it once. The loop gives up
    /// only at shutdown: jobs may have been claimed for sessions that would never receive them.
    async fn send(
        &mut self,
        submissions: &mut CommitQueue,
        closing: &CancellationToken,
    ) -> Result<CommitResult, StoreError> {
        let mut tries = 0;
        loop {
            let answer = self.context.store.commit(self.request.clone()).await;
            self.context.health.record(&answer);
            let reason = match answer {
                Err(StoreError::OutcomeUnknown(reason)) => reason,
                // This try was not applied; the outcome of the tries before is still unknown.
                Err(StoreError::Unavailable(reason)) if tries > 0 => reason,
                _ => return answer,
            };
            tracing::warn!(%reason, tries, "reply of the store was lost, repeating the commit");
            tries += 1;
            let pause = Duration::from_millis((10 << tries.min(7)).min(RETRY_AFTER_MAX_MS));
            if tries < RETRIES_BEFORE_REPLY {
                tokio::time::sleep(pause).await;
                continue;
            }
            if closing.is_cancelled() {
                return Err(StoreError::OutcomeUnknown(reason));
            }
            self.fail(&StoreError::OutcomeUnknown(reason));
            refuse_for(submissions, pause).await;
        }
    }

    /// Removes the submissions that a full store has no space for. The rest is another request.
    fn remove_creates(&mut self, error: &StoreError) {
        let mut transactions = std::mem::take(&mut self.request.transactions).into_iter();
        for waiting in &mut self.waiting {
            let submitted = transactions.by_ref().take(waiting.transactions);
            if waiting.needs_space {
                submitted.for_each(drop);
                waiting.transactions = 0;
                if let Some(reply) = waiting.reply.take() {
                    let _ = reply.send(Err(error.clone()));
                }
            } else {
                self.request.transactions.extend(submitted);
            }
        }
        self.request.number += 1;
    }

    /// Waits for the replicas once for the whole request, if any submission needs it. Submissions
    /// that do not need it wait too: the store has one connection for writes, which is in use.
    async fn wait_replicated(&self, position: Position) -> bool {
        let needs = |waiting: &Waiting| waiting.level == Ack::Replicated;
        if self.context.settings.ack != Ack::Replicated && !self.waiting.iter().any(needs) {
            return false;
        }
        match self.context.store.wait_replicated(position).await {
            Ok(is_replicated) => {
                if !is_replicated {
                    tracing::warn!(%position, "too few replicas have the commit");
                }
                is_replicated
            }
            Err(error) => {
                tracing::warn!(%error, %position, "replication of the commit could not be checked");
                false
            }
        }
    }

    fn complete(self, result: CommitResult, is_replicated: bool) {
        let CommitResult { position, results, claimed, ready, next_due_at } = result;
        let CommitContext { scheduler, registry, observer, clock, .. } = self.context;
        scheduler.settle(&self.claims, &claimed);
        scheduler.wake_local(&ready);
        // More jobs are due than one request promotes: sessions that got some claim again at once.
        let more_is_due = next_due_at.is_some_and(|at| at <= self.request.now);
        if more_is_due && claimed.iter().any(|jobs| !jobs.is_empty()) {
            scheduler.wake_all_local();
        }
        for (transaction, result) in self.request.transactions.iter().zip(&results) {
            if *result == TransactionResult::Committed {
                transaction.mutations.iter().for_each(|mutation| self.apply(mutation));
            }
        }
        let mut results = results.into_iter();
        for Waiting { transactions, reply, .. } in self.waiting {
            let results = results.by_ref().take(transactions).collect();
            if let Some(reply) = reply {
                // The submitter may have gone; its changes are committed all the same.
                let _ = reply.send(Ok(Submitted { results, position, is_replicated }));
            }
        }
        for ((session, _), jobs) in self.claims.iter().zip(claimed) {
            if !jobs.is_empty() {
                let now = clock.now();
                jobs.iter().for_each(|job| observer.started(job, now));
                registry.assign(*session, jobs);
            }
        }
    }

    /// Applies a committed mutation to the in-memory state, whether its submitter still waits or
    /// not.
    fn apply(&self, mutation: &Mutation) {
        match mutation {
            Mutation::Update { job, .. } if job.status.cancel.is_some() => {
                self.context.registry.push_cancel(job);
            }
            Mutation::PutQueue(queue) => {
                self.context.queues.put(queue.clone());
                // A resumed queue has jobs that were ready before.
                self.context.scheduler.wake_all();
            }
            _ => {}
        }
    }

    fn fail(&mut self, error: &StoreError) {
        for reply in self.waiting.iter_mut().filter_map(|waiting| waiting.reply.take()) {
            let _ = reply.send(Err(error.clone()));
        }
    }
}

fn needs_space(transaction: &Transaction) -> bool {
    transaction.mutations.iter().any(Mutation::needs_space)
}

/// Refuses submissions for a while: nothing can be committed before the outcome is known.
async fn refuse_for(submissions: &mut CommitQueue, pause: Duration) {
    let until = Instant::now() + pause;
    while let Ok(Some(submission)) = tokio::time::timeout_at(until, submissions.next()).await {
        let error = StoreError::Unavailable("the store does not answer".into());
        let _ = submission.reply.send(Err(error));
    }
    tokio::time::sleep_until(until).await;
}
