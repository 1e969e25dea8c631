//! What must have a change before it is acknowledged: the store, its replicas, or the ledger.
//!
//! A change that is applied and not as safe as asked in time is told so. It is like one whose
//! reply was lost: a repeat finds what was done, and waits again.

use std::time::Duration;

use sentinel_domain::{Ack, Job, Millis, NewJob, Spec};
use sentinel_store::{Mutation, Position, Transaction, TransactionResult};
use tokio::sync::{Notify, watch};
use tokio_util::sync::CancellationToken;

use crate::{Engine, EngineError};

/// Between two looks at how far the ledger is, while somebody waits: another server may be the
/// one that writes it.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// How far the ledger is known to be.
pub(crate) struct Recorded {
    at: watch::Sender<Position>,
    /// Somebody waits.
    asked: Notify,
}

impl Default for Recorded {
    fn default() -> Self {
        Self { at: watch::Sender::new(Position::default()), asked: Notify::new() }
    }
}

impl Recorded {
    /// The ledger has everything up to here.
    pub(crate) fn reached(&self, at: Position) {
        self.at.send_if_modified(|known| {
            let is_ahead = at > *known;
            *known = at.max(*known);
            is_ahead
        });
    }

    pub(crate) fn known(&self) -> Position {
        *self.at.borrow()
    }

    /// Waits until the ledger has an entry; false: the store was made anew before it had.
    async fn wait(&self, entry: Position) -> bool {
        let mut at = self.at.subscribe();
        self.asked.notify_one();
        let there = at.wait_for(|at| at.epoch > entry.epoch || *at >= entry).await;
        there.is_ok_and(|at| at.epoch == entry.epoch)
    }
}

/// Looks at the ledger as long as somebody waits for it.
pub(crate) async fn run(engine: Engine, closing: CancellationToken) {
    loop {
        tokio::select! {
            () = engine.recorded.asked.notified() => {}
            () = closing.cancelled() => return,
        }
        while engine.recorded.at.receiver_count() > 0 && !closing.is_cancelled() {
            match engine.ledger.checkpoint().await {
                Ok(at) => engine.recorded.reached(at),
                Err(error) => tracing::debug!(%error, "the ledger does not say how far it is"),
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }
}

impl Engine {
    /// How far the ledger is behind, for metrics, while it can not be asked.
    pub(crate) fn tell_lag(&self, head: Position, caught_up_at: Millis) {
        let behind = head.seq.saturating_sub(self.recorded.known().seq);
        let lag_ms = if behind == 0 { 0 } else { self.now() - caught_up_at };
        self.observer.ledger_lag(behind, lag_ms.max(0));
    }

    /// A job as its caller described it, checked.
    pub(crate) fn admit(&self, new: NewJob, path: &str, actor: &str) -> Result<Spec, EngineError> {
        let is_refused = new.ack == Some(Ack::Replicated) && !self.settings.has_replicas;
        let spec = new.admit(path, actor, self.now(), self.settings.payload_max_bytes);
        if is_refused {
            return Err(EngineError::invalid(
                format!("{path}.ack"),
                "this server has no replicas to wait for: it is not on Redis",
            ));
        }
        spec.map_err(EngineError::Invalid)
    }

    /// How safe changes of a job must be.
    pub(crate) fn level_of(&self, spec: &Spec) -> Ack {
        spec.ack.unwrap_or(self.settings.ack)
    }

    /// How safe a group must be: as its most careful job asks.
    pub(crate) fn level_of_group(&self, group: &Transaction) -> Ack {
        let of_change = |change: &Mutation| match change {
            Mutation::Create { job, .. }
            | Mutation::ReplaceSpec { job, .. }
            | Mutation::Update { job, .. } => self.level_of(&job.spec),
            Mutation::PutQueue(_) => self.settings.ack,
            Mutation::Progress { .. }
            | Mutation::PutSession(_)
            | Mutation::DropSession(_)
            | Mutation::PutWorkerInfo { .. }
            | Mutation::DrainSession(_)
            | Mutation::Remember(_) => Ack::Store,
        };
        group.changes.iter().map(of_change).max().unwrap_or_default()
    }

    /// Commits groups and waits until what they did may be acknowledged.
    pub(crate) async fn acknowledged(
        &self,
        groups: Vec<Transaction>,
        least: Ack,
    ) -> Result<Vec<TransactionResult>, EngineError> {
        let level = groups.iter().map(|group| self.level_of_group(group)).max();
        let level = level.unwrap_or_default().max(least);
        let done = self.commits.submit(groups, level).await?;
        // What was repeated or refused is told by way of the job that it is about.
        if !done.verdicts.is_empty() && !done.verdicts.contains(&TransactionResult::Committed) {
            return Ok(done.verdicts);
        }
        match level {
            Ack::Store => {}
            Ack::Replicated if done.is_replicated => {}
            Ack::Replicated => {
                return Err(EngineError::NotYetSafe {
                    level,
                    why: "too few replicas of Redis have it".into(),
                });
            }
            Ack::Ledger => self.wait_for_ledger(done.position).await?,
        }
        Ok(done.verdicts)
    }

    /// The same for one group.
    pub(crate) async fn acknowledge(
        &self,
        group: Transaction,
        least: Ack,
    ) -> Result<TransactionResult, EngineError> {
        let mut verdicts = self.acknowledged(vec![group], least).await?;
        verdicts.pop().ok_or(EngineError::ShuttingDown)
    }

    /// Waits until what is known of a job may be told to a caller who asked for a change that
    /// it has had already.
    pub(crate) async fn acknowledge_known(&self, job: &Job) -> Result<(), EngineError> {
        self.acknowledge_all_known(self.level_of(&job.spec)).await
    }

    /// The same for everything that was committed until now.
    pub(crate) async fn acknowledge_all_known(&self, level: Ack) -> Result<(), EngineError> {
        if level == Ack::Store {
            return Ok(());
        }
        self.acknowledged(Vec::new(), level).await.map(drop)
    }

    async fn wait_for_ledger(&self, entry: Position) -> Result<(), EngineError> {
        // Before the first entry there is nothing that the ledger could record.
        if entry.seq == 0 {
            return Ok(());
        }
        let most = Duration::from_millis(self.settings.ledger_ack_ms);
        let why = match tokio::time::timeout(most, self.recorded.wait(entry)).await {
            Ok(true) => return Ok(()),
            Ok(false) => "the store was made anew meanwhile".to_owned(),
            Err(_) => {
                let at = self.recorded.known();
                format!("the ledger is at {at} and has not reached {entry}")
            }
        };
        Err(EngineError::NotYetSafe { level: Ack::Ledger, why })
    }
}
