//! The sweeper: decides about jobs whose deadline has passed, whose worker is lost, or whose
//! parent has finished.
//!
//! It reads the due work, decides, and commits with preconditions. Two sweepers, or a sweeper and
//! a report, may race: the preconditions let one of them win.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use sentinel_domain::{Command, Job, JobId, deadline_command, decide};
use sentinel_store::{
    DueWork, Mutation, Precondition, SessionRow, Store, Transaction, TransactionResult,
};
use tokio_util::sync::CancellationToken;

use super::{AssignmentReturner, SessionRegistry};
use crate::cluster::StoreHealth;
use crate::commit::{Committer, update_transaction};
use crate::{Clock, EngineError, Observer, Rng, Settings};

const EVERY: Duration = Duration::from_millis(100);

/// The most jobs of one round.
const LIMIT: usize = 1_000;

/// After a pause of this length the sweeper cannot tell a silent worker from its own absence.
const ABSENT_MS: i64 = 2_000;

/// The sweeper of one server.
pub(crate) struct Sweeper {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) health: Arc<StoreHealth>,
    pub(crate) committer: Committer,
    pub(crate) registry: Arc<SessionRegistry>,
    pub(crate) returner: AssignmentReturner,
    pub(crate) clock: Clock,
    pub(crate) rng: Rng,
    pub(crate) observer: Arc<dyn Observer>,
    pub(crate) settings: Settings,
}

impl Sweeper {
    /// Runs until `closing` is cancelled.
    pub(crate) async fn run(self, closing: CancellationToken) {
        let mut swept_at = self.clock.now();
        loop {
            tokio::select! {
                () = tokio::time::sleep(EVERY) => {}
                () = closing.cancelled() => return,
            }
            let now = self.clock.now();
            let swept = if now - swept_at > ABSENT_MS {
                self.extend_sessions(now, now - swept_at).await
            } else {
                self.sweep(now).await
            };
            match swept {
                Ok(()) => swept_at = now,
                Err(error) if error.is_already_logged() => {}
                Err(error) => tracing::warn!(%error, "sweep failed, retrying"),
            }
        }
    }

    async fn extend_sessions(&self, now: i64, absent_ms: i64) -> Result<(), EngineError> {
        tracing::warn!(absent_ms, "no sweep for a while, extending all sessions");
        let extended = self.store.extend_sessions(now + self.settings.session_ttl_ms).await;
        self.health.record(&extended);
        Ok(extended?)
    }

    async fn sweep(&self, now: i64) -> Result<(), EngineError> {
        let due_work = self.store.due_work(now, LIMIT).await;
        self.health.record(&due_work);
        let DueWork { past_deadline, lost, expired_sessions, unblocked } = due_work?;
        for held in self.returner.hand_back(self.registry.take_orphans(), None).await {
            self.registry.push_revoked(held.id, held.lease);
        }
        let mut commands: Vec<(Arc<Job>, Command)> = Vec::new();
        for job in lost {
            if let Some(lease) = job.status.lease {
                self.observer.lease_lost(&job);
                commands.push((job, Command::MarkLost { session: lease.id.session }));
            }
        }
        for job in past_deadline {
            if let Some(command) = deadline_command(&job, now, self.rng.next_u32()) {
                commands.push((job, command));
            }
        }
        for u in unblocked {
            commands.push((u.job, Command::Unblock { parent: u.parent, outcome: u.outcome }));
        }
        self.commit(commands).await?;
        // A returning session registers before it touches its row. So a transaction that is
        // submitted under the registry's lock is committed before the row of a new stream.
        self.registry.with_disconnected(
            |row: &SessionRow| row.id,
            expired_sessions,
            |rows| self.committer.offer(rows.into_iter().map(drop_session).collect()),
        );
        Ok(())
    }

    /// Decides and commits. Several commands of one job, such as the ends of its dependencies, are
    /// decided in order, each on the job as the one before leaves it. A job with a conflict has
    /// changed; if it still needs a decision, the next sweep finds it again.
    async fn commit(&self, commands: Vec<(Arc<Job>, Command)>) -> Result<(), EngineError> {
        let now = self.clock.now();
        let mut transactions = Vec::new();
        let mut decided = Vec::new();
        let mut latest: HashMap<JobId, Arc<Job>> = HashMap::new();
        for (job, command) in commands {
            let job = latest.get(&job.id).cloned().unwrap_or(job);
            if let Ok(decision) = decide(&job, &command, now) {
                let (transaction, after) = update_transaction(&job, decision, Vec::new());
                latest.insert(job.id, after.clone());
                transactions.push(transaction);
                decided.push((job, after));
            }
        }
        if transactions.is_empty() {
            return Ok(());
        }
        let results = self.committer.submit_all(transactions).await?;
        for ((before, after), result) in decided.into_iter().zip(results) {
            if result != TransactionResult::Committed {
                continue;
            }
            if let (Some(lease), None) = (before.status.lease, after.status.lease) {
                self.observer.attempt_finished(&before, &after);
                self.registry.push_revoked(before.id, lease.id);
            }
        }
        Ok(())
    }
}

/// The row stays if a peer adopted the session since, or received a frame of its worker.
fn drop_session(row: SessionRow) -> Transaction {
    Transaction {
        idempotency: None,
        preconditions: vec![Precondition::SessionRow(row)],
        mutations: vec![Mutation::DropSession(row.id)],
    }
}
