//! The commit loop: takes all that waits and commits it as one call.
//!
//! One call is in flight at a time. What arrives meanwhile waits for the next one, so the
//! batch grows with the load and the latency of an idle server stays that of one commit.

use std::time::{Duration, Instant};

use sentinel_broker::{Call, Change, Claim, Group, Outcome, StoreError, Verdict};
use sentinel_domain::{Name, State};
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;

use crate::{Engine, EngineError};

/// Submissions that may wait. Reports wait for room; enqueues are turned away earlier.
const WAITING_MAX: usize = 16_384;

/// Room that enqueues leave to reports and cancels.
const RESERVED: usize = 4_096;

/// Groups of one call: bounds the latency of a commit and the size of a journal entry.
const GROUPS_MAX: usize = 2_048;

/// Due jobs that one call promotes.
const PROMOTE_MAX: usize = 500;

/// Kinds of new jobs that one call looks out for.
const BORN_CLASSES_MAX: usize = 32;

/// When nothing happens: other servers may have made jobs ready.
const IDLE: Duration = Duration::from_secs(1);

/// Repeats of a call whose reply was lost.
const REPEATS: u32 = 8;

pub(crate) struct Submission {
    groups: Vec<Group>,
    reply: oneshot::Sender<Result<Vec<Verdict>, StoreError>>,
}

/// Where use-cases hand in their groups.
pub(crate) struct Committer {
    waiting: mpsc::Sender<Submission>,
}

pub(crate) fn channel() -> (Committer, mpsc::Receiver<Submission>) {
    let (waiting, submissions) = mpsc::channel(WAITING_MAX);
    (Committer { waiting }, submissions)
}

impl Committer {
    /// Commits groups, in order, in one call. Waits for room.
    pub(crate) async fn groups(&self, groups: Vec<Group>) -> Result<Vec<Verdict>, EngineError> {
        let (reply, answer) = oneshot::channel();
        let submission = Submission { groups, reply };
        self.waiting.send(submission).await.map_err(|_| EngineError::ShuttingDown)?;
        Ok(answer.await.map_err(|_| EngineError::ShuttingDown)??)
    }

    /// Commits one group.
    pub(crate) async fn group(&self, group: Group) -> Result<Verdict, EngineError> {
        let mut verdicts = self.groups(vec![group]).await?;
        verdicts.pop().ok_or(EngineError::ShuttingDown)
    }

    /// Whether new work can be taken in.
    pub(crate) fn has_room(&self) -> bool {
        self.waiting.capacity() > RESERVED
    }
}

/// The loop. Ends when `closing` is cancelled and nothing waits.
pub(crate) async fn run(
    engine: Engine,
    mut submissions: mpsc::Receiver<Submission>,
    closing: CancellationToken,
) {
    let mut number = 0;
    let mut wake_at = None;
    let mut batch = Vec::new();
    let mut is_closing = false;
    loop {
        if !engine.demand.has_claims() {
            let sleep = sleep_for(&engine, wake_at);
            tokio::select! {
                biased;
                Some(first) = submissions.recv() => batch.push(first),
                () = engine.demand.woken() => {}
                () = closing.cancelled(), if !is_closing => {
                    is_closing = true;
                    submissions.close();
                }
                () = tokio::time::sleep(sleep) => engine.demand.all_may_be_ready(),
            }
        }
        let mut groups: usize = batch.iter().map(|s: &Submission| s.groups.len()).sum();
        while groups < GROUPS_MAX
            && let Ok(next) = submissions.try_recv()
        {
            groups += next.groups.len();
            batch.push(next);
        }
        if is_closing && batch.is_empty() {
            return;
        }
        engine.demand.may_be_ready(&born_ready(&batch));
        let claims = if is_closing { Vec::new() } else { engine.demand.claims() };
        number += 1;
        wake_at = one(&engine, number, std::mem::take(&mut batch), claims).await;
    }
}

/// Queue and kind of the jobs that the batch creates ready to start: who waits for such jobs
/// claims in the same call, so that one commit leads from an enqueue to its assignment.
fn born_ready(batch: &[Submission]) -> Vec<(Name, Name)> {
    let mut classes: Vec<(Name, Name)> = Vec::new();
    let changes = batch.iter().flat_map(|s| &s.groups).flat_map(|group| &group.changes);
    for change in changes {
        let Change::Create { job, .. } = change else { continue };
        let (queue, kind) = (&job.spec.queue, &job.spec.kind);
        if job.status.state != State::Ready || classes.iter().any(|c| c.0 == *queue && c.1 == *kind)
        {
            continue;
        }
        classes.push((queue.clone(), kind.clone()));
        // The rest is claimed by the call after this one.
        if classes.len() == BORN_CLASSES_MAX {
            break;
        }
    }
    classes
}

fn sleep_for(engine: &Engine, wake_at: Option<i64>) -> Duration {
    let wait_ms = wake_at.map_or(i64::MAX, |at| at - engine.now());
    Duration::from_millis(wait_ms.max(1).cast_unsigned()).min(IDLE)
}

/// One call: its replies, its assignments, and when to wake for the next promotion.
async fn one(
    engine: &Engine,
    number: u64,
    batch: Vec<Submission>,
    claims: Vec<Claim>,
) -> Option<i64> {
    let mut groups = Vec::new();
    let mut replies = Vec::with_capacity(batch.len());
    for submission in batch {
        replies.push((submission.groups.len(), submission.reply));
        groups.extend(submission.groups);
    }
    let group_count = groups.len();
    let asked: Vec<_> = claims.iter().map(|c| (c.session, c.max_jobs)).collect();
    let call = Call {
        writer: engine.server,
        number,
        now: engine.now(),
        groups,
        promote: PROMOTE_MAX,
        claims,
    };
    let started = Instant::now();
    match with_repeats(engine, call).await {
        Ok(outcome) => {
            let claimed = outcome.claimed.iter().map(Vec::len).sum();
            engine.observer.committed(started.elapsed(), group_count, claimed);
            let Outcome { verdicts, claimed, ready, wake_at, .. } = outcome;
            engine.demand.settle(&asked, &claimed);
            engine.demand.may_be_ready(&ready);
            let mut verdicts = verdicts.into_iter();
            for (count, reply) in replies {
                // The asker may have gone away; what it asked for is committed all the same.
                let _ = reply.send(Ok(verdicts.by_ref().take(count).collect()));
            }
            for ((session, _), jobs) in asked.into_iter().zip(claimed) {
                if !jobs.is_empty() {
                    engine.hand_out(session, jobs);
                }
            }
            wake_at
        }
        Err(error) => {
            tracing::warn!(%error, groups = group_count, "a commit failed");
            let none = vec![Vec::new(); asked.len()];
            engine.demand.settle(&asked, &none);
            for (_, reply) in replies {
                let _ = reply.send(Err(error.clone()));
            }
            Some(engine.now() + 100)
        }
    }
}

/// Repeats a call whose fate is unknown under its own number: the store answers it once.
async fn with_repeats(engine: &Engine, call: Call) -> Result<Outcome, StoreError> {
    let mut tries = 0;
    loop {
        let answer = engine.broker.commit(call.clone()).await;
        match answer {
            Err(StoreError::Unknown(why)) if tries < REPEATS => {
                tracing::warn!(%why, tries, "the reply of the store was lost: asking again");
                tries += 1;
                tokio::time::sleep(Duration::from_millis(10 << tries)).await;
            }
            answer => return answer,
        }
    }
}
