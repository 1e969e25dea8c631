//! The commit loop: takes all that waits and commits it as one call.
//!
//! One call is in flight at a time. What arrives meanwhile waits for the next one, so the
//! batch grows with the load and the latency of an idle server stays that of one commit.

mod call;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use sentinel_domain::{Ack, Name, State};
use sentinel_store::{Mutation, Position, StoreError, Transaction, TransactionResult};
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::{Engine, EngineError};

/// Submissions that may wait. Reports wait for room; enqueues are turned away earlier.
const WAITING_MAX: usize = 16_384;

/// Room that enqueues leave to reports and cancels.
const RESERVED: usize = 4_096;

/// Enqueues are turned away while so much waits.
const WAITING_BYTES_MAX: usize = 256 << 20;

/// Groups and bytes of one call: they bound the latency of a commit and the size of a
/// journal entry. The last submission may go over.
const GROUPS_MAX: usize = 2_048;
const CALL_BYTES_MAX: usize = 16 << 20;

/// Kinds of new jobs that one call looks out for.
const BORN_CLASSES_MAX: usize = 32;

/// When nothing happens: other servers may have made jobs ready.
const IDLE: Duration = Duration::from_secs(1);

/// After a call that failed.
const PAUSE: Duration = Duration::from_millis(100);

/// The least wait for something that is due already, which the sweeper has to do.
const OVERDUE: Duration = Duration::from_millis(10);

/// What a change weighs beside its bytes.
const CHANGE_BYTES: usize = 256;

/// What became of a submission.
pub(crate) struct Done {
    /// One per group.
    pub(crate) verdicts: Vec<TransactionResult>,
    /// The journal after the call.
    pub(crate) position: Position,
    /// Enough replicas have it. Only asked for where it matters.
    pub(crate) is_replicated: bool,
}

type Reply = oneshot::Sender<Result<Done, StoreError>>;

/// What one use-case hands in.
pub(crate) struct Submission {
    groups: Vec<Transaction>,
    bytes: usize,
    level: Ack,
    reply: Reply,
}

/// Where use-cases hand in their groups.
pub(crate) struct Committer {
    waiting: mpsc::Sender<Submission>,
    waiting_bytes: Arc<AtomicUsize>,
}

/// Where the loop takes them.
pub(crate) struct Submissions {
    waiting: mpsc::Receiver<Submission>,
    waiting_bytes: Arc<AtomicUsize>,
}

pub(crate) fn channel() -> (Committer, Submissions) {
    let (sender, receiver) = mpsc::channel(WAITING_MAX);
    let waiting_bytes = Arc::new(AtomicUsize::new(0));
    let submissions = Submissions { waiting: receiver, waiting_bytes: waiting_bytes.clone() };
    (Committer { waiting: sender, waiting_bytes }, submissions)
}

fn weight(groups: &[Transaction]) -> usize {
    let of_change = |change: &Mutation| match change {
        Mutation::Create { spec, .. } | Mutation::ReplaceSpec { spec, .. } => {
            CHANGE_BYTES + spec.len()
        }
        Mutation::Update { job, .. } => {
            let status = &job.status;
            let kept = [&status.result, &status.checkpoint];
            CHANGE_BYTES + kept.iter().filter_map(|b| b.as_ref()).map(|b| b.len()).sum::<usize>()
        }
        Mutation::Remember(memory) => CHANGE_BYTES + memory.answer.len(),
        _ => CHANGE_BYTES,
    };
    groups.iter().flat_map(|group| &group.changes).map(of_change).sum()
}

impl Committer {
    fn submission(
        groups: Vec<Transaction>,
        level: Ack,
    ) -> (Submission, oneshot::Receiver<Result<Done, StoreError>>) {
        let (reply, answer) = oneshot::channel();
        (Submission { bytes: weight(&groups), groups, level, reply }, answer)
    }

    /// Commits groups of which nobody is told, in order, in one call. Waits for room.
    pub(crate) async fn groups(
        &self,
        groups: Vec<Transaction>,
    ) -> Result<Vec<TransactionResult>, EngineError> {
        Ok(self.submit(groups, Ack::Store).await?.verdicts)
    }

    /// The same, for somebody who is told what came of it at `level`.
    pub(crate) async fn submit(
        &self,
        groups: Vec<Transaction>,
        level: Ack,
    ) -> Result<Done, EngineError> {
        let (submission, answer) = Self::submission(groups, level);
        let permit = self.waiting.reserve().await.map_err(|_| EngineError::ShuttingDown)?;
        self.waiting_bytes.fetch_add(submission.bytes, Ordering::Relaxed);
        permit.send(submission);
        Ok(answer.await.map_err(|_| EngineError::ShuttingDown)??)
    }

    /// Commits one group.
    pub(crate) async fn group(&self, group: Transaction) -> Result<TransactionResult, EngineError> {
        let mut verdicts = self.groups(vec![group]).await?;
        verdicts.pop().ok_or(EngineError::ShuttingDown)
    }

    /// Hands groups in, ahead of everything that is handed in later, if there is room at
    /// once. Nobody is told what became of them.
    pub(crate) fn offer(&self, groups: Vec<Transaction>) {
        if groups.is_empty() {
            return;
        }
        let (submission, _) = Self::submission(groups, Ack::Store);
        if let Ok(permit) = self.waiting.try_reserve() {
            self.waiting_bytes.fetch_add(submission.bytes, Ordering::Relaxed);
            permit.send(submission);
        }
    }

    /// Whether new work can be taken in.
    pub(crate) fn has_room(&self) -> bool {
        self.waiting.capacity() > RESERVED
            && self.waiting_bytes.load(Ordering::Relaxed) < WAITING_BYTES_MAX
    }
}

impl Submissions {
    fn took(&self, submission: &Submission) {
        self.waiting_bytes.fetch_sub(submission.bytes, Ordering::Relaxed);
    }

    async fn next(&mut self) -> Option<Submission> {
        let next = self.waiting.recv().await?;
        self.took(&next);
        Some(next)
    }

    /// Adds what waits, up to the bounds of a call.
    fn fill(&mut self, batch: &mut Vec<Submission>) {
        let mut groups: usize = batch.iter().map(|s| s.groups.len()).sum();
        let mut bytes: usize = batch.iter().map(|s| s.bytes).sum();
        while groups < GROUPS_MAX
            && bytes < CALL_BYTES_MAX
            && let Ok(next) = self.waiting.try_recv()
        {
            self.took(&next);
            groups += next.groups.len();
            bytes += next.bytes;
            batch.push(next);
        }
    }
}

/// Queue and kind of the jobs that the batch creates ready to start: who waits for such jobs
/// claims in the same call, so that one commit leads from an enqueue to its assignment.
fn created_ready(batch: &[Submission]) -> Vec<(Name, Name)> {
    let mut classes: Vec<(Name, Name)> = Vec::new();
    let changes = batch.iter().flat_map(|s| &s.groups).flat_map(|group| &group.changes);
    for change in changes {
        let Mutation::Create { job, .. } = change else { continue };
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

/// The loop. Ends when `closing` is cancelled and nothing waits.
pub(crate) async fn run(engine: Engine, mut submissions: Submissions, closing: CancellationToken) {
    let mut number = 0;
    let mut wake_at = None;
    let mut refresh_at = Instant::now() + IDLE;
    let mut is_closing = false;
    loop {
        let mut batch = Vec::new();
        if closing.is_cancelled() && !is_closing {
            is_closing = true;
            submissions.waiting.close();
        }
        // By the clock and not only when idle: submissions that never pause must not keep a
        // session from asking again.
        if Instant::now() >= refresh_at {
            refresh_at = Instant::now() + IDLE;
            engine.demand.all_may_be_ready();
        }
        if is_closing {
            match submissions.next().await {
                Some(first) => batch.push(first),
                None => return,
            }
        } else if !engine.demand.has_claims() {
            let until = refresh_at.min(Instant::now() + wait_for(&engine, wake_at));
            tokio::select! {
                biased;
                Some(first) = submissions.next() => batch.push(first),
                () = engine.demand.woken() => {}
                () = closing.cancelled() => continue,
                () = tokio::time::sleep_until(until) => {}
            }
        }
        submissions.fill(&mut batch);
        engine.demand.may_be_ready(&created_ready(&batch));
        let claims = if is_closing { Vec::new() } else { engine.demand.claims() };
        let answered = {
            let (submissions, closing) = (&mut submissions, &closing);
            let mut desk = call::Desk { engine: &engine, submissions, closing };
            call::one(&mut desk, number, batch, claims).await
        };
        number = answered.number;
        wake_at = answered.wake_at;
        if answered.has_failed {
            refresh_at = refresh_at.min(Instant::now() + PAUSE);
        }
    }
}

fn wait_for(engine: &Engine, wake_at: Option<i64>) -> Duration {
    let Some(at) = wake_at else { return IDLE };
    let wait_ms = u64::try_from(at - engine.now()).unwrap_or(0);
    if wait_ms == 0 { OVERDUE } else { Duration::from_millis(wait_ms).min(IDLE) }
}
