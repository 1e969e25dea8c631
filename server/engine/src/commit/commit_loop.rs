//! The commit loop: commits everything that waits as one commit request.
//!
//! One request is in flight at a time. Submissions that arrive meanwhile wait for the next one,
//! so the batch grows with the load, and an idle server has the latency of a single commit.

use std::time::Duration;

use sentinel_domain::{Millis, Name, State};
use sentinel_store::Mutation;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::committer::{CommitQueue, Submission};
use super::in_flight::{CommitContext, InFlightCommit};

/// The most queues and kinds of new jobs that are claimed in the request that creates the jobs.
const CREATED_CLASSES_MAX: usize = 32;

/// The longest wait for a submission: peers may have made jobs ready.
const IDLE: Duration = Duration::from_secs(1);

/// The pause after a failed request.
const RETRY_AFTER: Duration = Duration::from_millis(100);

/// The shortest wait for work that is due already, which is up to the sweeper.
const OVERDUE: Duration = Duration::from_millis(10);

/// The only writer of this server to the store.
pub(crate) struct CommitLoop {
    pub(crate) context: CommitContext,
    pub(crate) submissions: CommitQueue,
}

impl CommitLoop {
    /// Runs until `closing` is cancelled and no submission waits.
    pub(crate) async fn run(mut self, closing: CancellationToken) {
        let scheduler = self.context.scheduler.clone();
        let mut number = 0;
        let mut next_due_at = None;
        let mut refresh_at = Instant::now() + IDLE;
        let mut is_closing = false;
        loop {
            let mut batch = Vec::new();
            if closing.is_cancelled() && !is_closing {
                is_closing = true;
                self.submissions.close();
            }
            // By the clock and not only when idle: a constant stream of submissions must not keep
            // starved sessions from claiming again.
            if Instant::now() >= refresh_at {
                refresh_at = Instant::now() + IDLE;
                scheduler.wake_all_local();
            }
            if is_closing {
                match self.submissions.next().await {
                    Some(first) => batch.push(first),
                    None => return,
                }
            } else if !scheduler.has_claims() {
                let until = refresh_at.min(Instant::now() + self.idle_time(next_due_at));
                tokio::select! {
                    biased;
                    Some(first) = self.submissions.next() => batch.push(first),
                    () = scheduler.woken() => {}
                    () = closing.cancelled() => continue,
                    () = tokio::time::sleep_until(until) => {}
                }
            }
            self.submissions.fill(&mut batch);
            scheduler.wake_local(&created_ready(&batch));
            let claims = if is_closing { Vec::new() } else { scheduler.claims() };
            let commit = InFlightCommit::new(&self.context, number + 1, batch, claims);
            let completed = commit.commit(&mut self.submissions, &closing).await;
            number = completed.number;
            next_due_at = completed.next_due_at;
            if completed.has_failed {
                refresh_at = refresh_at.min(Instant::now() + RETRY_AFTER);
            }
        }
    }

    fn idle_time(&self, next_due_at: Option<Millis>) -> Duration {
        let Some(at) = next_due_at else { return IDLE };
        let wait_ms = u64::try_from(at - self.context.clock.now()).unwrap_or(0);
        if wait_ms == 0 { OVERDUE } else { Duration::from_millis(wait_ms).min(IDLE) }
    }
}

/// Returns queue and kind of the jobs that a batch creates as READY. Sessions that wait for such
/// jobs claim in the same request, so one commit leads from an enqueue to its assignment.
fn created_ready(batch: &[Submission]) -> Vec<(Name, Name)> {
    let mut classes: Vec<(Name, Name)> = Vec::new();
    let transactions = batch.iter().flat_map(|submission| &submission.transactions);
    for mutation in transactions.flat_map(|transaction| &transaction.mutations) {
        let Mutation::Create { job, .. } = mutation else { continue };
        let (queue, kind) = (&job.spec.queue, &job.spec.kind);
        if job.status.state != State::Ready || classes.iter().any(|c| c.0 == *queue && c.1 == *kind)
        {
            continue;
        }
        classes.push((queue.clone(), kind.clone()));
        // The next request claims the rest.
        if classes.len() == CREATED_CLASSES_MAX {
            break;
        }
    }
    classes
}
