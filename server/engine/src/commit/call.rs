//! One call to the store, from its first try to its answers.

use std::time::Duration;

use sentinel_domain::{Ack, SessionId};
use sentinel_store::{
    Claim, CommitRequest, CommitResult, Mutation, Position, StoreError, Transaction,
    TransactionResult,
};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::{Done, Reply, Submission, Submissions};
use crate::Engine;

/// Due jobs that one call promotes.
const PROMOTE_MAX: usize = 500;

/// Repeats of a call whose reply was lost until those who wait are told so.
const REPEATS: u32 = 8;

/// The longest pause between two repeats.
const REPEAT_AFTER_MAX_MS: u64 = 1_000;

/// What the loop goes on with.
pub(super) struct Answered {
    /// Of the last call.
    pub(super) number: u64,
    /// When the store has something to do next.
    pub(super) wake_at: Option<i64>,
    pub(super) has_failed: bool,
}

/// Where the loop works.
pub(super) struct Desk<'a> {
    pub(super) engine: &'a Engine,
    pub(super) submissions: &'a mut Submissions,
    pub(super) closing: &'a CancellationToken,
}

/// Who waits for the verdicts on how many groups.
struct Waiting {
    groups: usize,
    has_create: bool,
    level: Ack,
    /// None: was answered already.
    reply: Option<Reply>,
}

struct Flight<'a> {
    engine: &'a Engine,
    call: CommitRequest,
    waiting: Vec<Waiting>,
}

/// Commits a batch: its replies, its assignments.
pub(super) async fn one(
    desk: &mut Desk<'_>,
    number: u64,
    batch: Vec<Submission>,
    claims: Vec<Claim>,
) -> Answered {
    let engine = desk.engine;
    let mut groups = Vec::new();
    let mut waiting = Vec::with_capacity(batch.len());
    for Submission { groups: of_one, reply, level, .. } in batch {
        let has_create = of_one.iter().any(creates);
        waiting.push(Waiting { groups: of_one.len(), has_create, level, reply: Some(reply) });
        groups.extend(of_one);
    }
    let asked: Vec<_> = claims.iter().map(|c| (c.session, c.max_jobs)).collect();
    let call = CommitRequest {
        writer: engine.server,
        number: number + 1,
        now: engine.now(),
        groups,
        promote: PROMOTE_MAX,
        claims,
    };
    let mut flight = Flight { engine, call, waiting };
    let started = Instant::now();
    let mut answer = flight.fly(desk).await;
    if let Err(StoreError::Full(why)) = &answer
        && flight.waiting.iter().any(|w| w.has_create)
    {
        let why = StoreError::Full(why.clone());
        flight.without_creates(&why);
        answer = flight.fly(desk).await;
    }
    let number = flight.call.number;
    match answer {
        Ok(outcome) => {
            let claimed = outcome.claimed.iter().map(Vec::len).sum();
            engine.observer.committed(started.elapsed(), flight.call.groups.len(), claimed);
            let wake_at = outcome.wake_at;
            let is_replicated = flight.is_replicated(outcome.position).await;
            flight.landed(&asked, outcome, is_replicated);
            Answered { number, wake_at, has_failed: false }
        }
        Err(error) => {
            if !matches!(error, StoreError::RolledBack(_)) {
                tracing::warn!(%error, groups = flight.call.groups.len(), "a commit failed");
            }
            engine.demand.settle(&asked, &vec![Vec::new(); asked.len()]);
            flight.fail(&error);
            Answered { number, wake_at: None, has_failed: true }
        }
    }
}

fn creates(group: &Transaction) -> bool {
    group.changes.iter().any(|change| change.grows())
}

impl Engine {
    /// What this server has to do about a change, whoever still waits for its answer.
    fn act_on(&self, change: &Mutation) {
        match change {
            Mutation::Update { job, .. } if job.status.cancel.is_some() => self.push_cancel(job),
            Mutation::PutQueue(queue) => {
                self.queues.put(queue.clone());
                // Its ready jobs may have been held back.
                self.demand.hear_all();
            }
            _ => {}
        }
    }
}

impl Flight<'_> {
    /// Repeats a call whose fate is unknown under its own number: the store answers it
    /// once. It never gives up while the server lives, since jobs may have been claimed
    /// for sessions that would never hear of them.
    async fn fly(&mut self, desk: &mut Desk<'_>) -> Result<CommitResult, StoreError> {
        let mut tries = 0;
        loop {
            let answer = self.engine.store.commit(self.call.clone()).await;
            self.engine.note_reach(&answer);
            let why = match answer {
                Err(StoreError::Unknown(why)) => why,
                // Nothing came of this try; what came of those before is as unknown as it was.
                Err(StoreError::Unavailable(why)) if tries > 0 => why,
                _ => return answer,
            };
            tracing::warn!(%why, tries, "the reply of the store was lost: asking again");
            tries += 1;
            let pause = Duration::from_millis((10 << tries.min(7)).min(REPEAT_AFTER_MAX_MS));
            if tries < REPEATS {
                tokio::time::sleep(pause).await;
                continue;
            }
            if desk.closing.is_cancelled() {
                return Err(StoreError::Unknown(why));
            }
            self.fail(&StoreError::Unknown(why));
            refuse(desk.submissions, pause).await;
        }
    }

    /// Takes the groups that make jobs out: there is no room for them. The rest is another
    /// call.
    fn without_creates(&mut self, why: &StoreError) {
        let mut groups = std::mem::take(&mut self.call.groups).into_iter();
        for waiting in &mut self.waiting {
            let of_one = groups.by_ref().take(waiting.groups);
            if waiting.has_create {
                of_one.for_each(drop);
                waiting.groups = 0;
                if let Some(reply) = waiting.reply.take() {
                    let _ = reply.send(Err(why.clone()));
                }
            } else {
                self.call.groups.extend(of_one);
            }
        }
        self.call.number += 1;
    }

    /// One wait for all of the call. Who does not need it waits too: the store has one
    /// connection for what is written, and it is taken.
    async fn is_replicated(&self, position: Position) -> bool {
        let needs = |waiting: &Waiting| waiting.level == Ack::Replicated;
        if self.engine.settings.ack != Ack::Replicated && !self.waiting.iter().any(needs) {
            return false;
        }
        match self.engine.store.replicated(position).await {
            Ok(is_replicated) => {
                if !is_replicated {
                    tracing::warn!(%position, "too few replicas have a commit");
                }
                is_replicated
            }
            Err(error) => {
                tracing::warn!(%error, %position, "whether replicas have a commit is not known");
                false
            }
        }
    }

    fn landed(self, asked: &[(SessionId, usize)], outcome: CommitResult, is_replicated: bool) {
        let CommitResult { position, verdicts, claimed, ready, wake_at } = outcome;
        self.engine.demand.settle(asked, &claimed);
        self.engine.demand.may_be_ready(&ready);
        // More is due than one call promotes: who got some of it asks for the next at once.
        let more_is_due = wake_at.is_some_and(|at| at <= self.call.now);
        if more_is_due && claimed.iter().any(|jobs| !jobs.is_empty()) {
            self.engine.demand.all_may_be_ready();
        }
        let committed = self.call.groups.iter().zip(&verdicts);
        for (group, _) in committed.filter(|(_, verdict)| **verdict == TransactionResult::Committed)
        {
            group.changes.iter().for_each(|change| self.engine.act_on(change));
        }
        let mut verdicts = verdicts.into_iter();
        for Waiting { groups, reply, .. } in self.waiting {
            let of_one = verdicts.by_ref().take(groups).collect();
            if let Some(reply) = reply {
                // The asker may have gone away; what it asked for is committed all the same.
                let _ = reply.send(Ok(Done { verdicts: of_one, position, is_replicated }));
            }
        }
        for ((session, _), jobs) in asked.iter().zip(claimed) {
            if !jobs.is_empty() {
                self.engine.hand_out(*session, jobs);
            }
        }
    }

    fn fail(&mut self, error: &StoreError) {
        for reply in self.waiting.iter_mut().filter_map(|w| w.reply.take()) {
            let _ = reply.send(Err(error.clone()));
        }
    }
}

/// While a call is unsettled nothing can be committed: who comes is told so.
async fn refuse(submissions: &mut Submissions, pause: Duration) {
    let until = Instant::now() + pause;
    while let Ok(Some(submission)) = tokio::time::timeout_at(until, submissions.next()).await {
        let why = StoreError::Unavailable("the store does not answer".into());
        let _ = submission.reply.send(Err(why));
    }
    tokio::time::sleep_until(until).await;
}
