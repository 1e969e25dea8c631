//! Durability levels: a change is acknowledged once the store, its replicas or the ledger have it.
//!
//! A change that is committed and does not reach its level in time is answered with
//! [`EngineError::NotYetSafe`]. It is like a change whose reply was lost: a repeat of the request
//! finds it and waits again.

use std::sync::Arc;
use std::time::Duration;

use sentinel_domain::{Ack, Job, Spec};
use sentinel_store::{Mutation, Position, Transaction, TransactionResult};

use super::{Committer, LedgerProgress};
use crate::{EngineError, Settings};

/// Commits transactions and waits for their durability level. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Durability {
    committer: Committer,
    ledger: Arc<LedgerProgress>,
    settings: Settings,
}

impl Durability {
    pub(crate) fn new(
        committer: Committer,
        ledger: Arc<LedgerProgress>,
        settings: Settings,
    ) -> Self {
        Self { committer, ledger, settings }
    }

    /// Returns the level of a job.
    pub(crate) fn level_of(&self, spec: &Spec) -> Ack {
        spec.ack.unwrap_or(self.settings.ack)
    }

    /// Returns the level of jobs that do not set one, and of changes of queues and sessions.
    pub(crate) fn default_level(&self) -> Ack {
        self.settings.ack
    }

    /// Refuses a level that this server cannot reach.
    pub(crate) fn check_level(&self, field: &str, level: Option<Ack>) -> Result<(), EngineError> {
        if level == Some(Ack::Replicated) && !self.settings.has_replicas {
            let text = "REPLICATED is not possible: the store of this server has no replicas";
            return Err(EngineError::invalid(field, text));
        }
        Ok(())
    }

    /// Returns the highest level of the jobs of a transaction.
    fn level_of_transaction(&self, transaction: &Transaction) -> Ack {
        let of_mutation = |mutation: &Mutation| match mutation {
            Mutation::Create { job, .. }
            | Mutation::ReplaceSpec { job, .. }
            | Mutation::Update { job, .. } => self.level_of(&job.spec),
            Mutation::PutQueue(_) => self.settings.ack,
            Mutation::Progress { .. }
            | Mutation::PutSession(_)
            | Mutation::DropSession(_)
            | Mutation::PutWorkerInfo { .. }
            | Mutation::DrainSession(_)
            | Mutation::PutIdempotencyRecord(_) => Ack::Store,
        };
        transaction.mutations.iter().map(of_mutation).max().unwrap_or_default()
    }

    /// Commits transactions and waits until they reach the highest level of their jobs, at least
    /// `min_level`.
    pub(crate) async fn commit_all(
        &self,
        transactions: Vec<Transaction>,
        min_level: Ack,
    ) -> Result<Vec<TransactionResult>, EngineError> {
        let level = transactions.iter().map(|one| self.level_of_transaction(one)).max();
        let level = level.unwrap_or_default().max(min_level);
        let submitted = self.committer.submit_at_level(transactions, level).await?;
        let results = submitted.results;
        // A caller whose transaction was replayed or refused waits on the job that it finds.
        if !results.is_empty() && !results.contains(&TransactionResult::Committed) {
            return Ok(results);
        }
        match level {
            Ack::Store => {}
            Ack::Replicated if submitted.is_replicated => {}
            Ack::Replicated => {
                let reason = "too few replicas of the store have it".into();
                return Err(EngineError::NotYetSafe { level, reason });
            }
            Ack::Ledger => self.wait_for_ledger(submitted.position).await?,
        }
        Ok(results)
    }

    /// As [`Self::commit_all`], for one transaction.
    pub(crate) async fn commit(
        &self,
        transaction: Transaction,
        min_level: Ack,
    ) -> Result<TransactionResult, EngineError> {
        let mut results = self.commit_all(vec![transaction], min_level).await?;
        results.pop().ok_or(EngineError::ShuttingDown)
    }

    /// Waits until an existing version of a job has reached the job's level. A caller needs it
    /// before it answers with a change that an earlier request made.
    pub(crate) async fn wait_for_job(&self, job: &Job) -> Result<(), EngineError> {
        self.wait_for_committed(self.level_of(&job.spec)).await
    }

    /// Waits until everything that is committed now has reached a level.
    pub(crate) async fn wait_for_committed(&self, level: Ack) -> Result<(), EngineError> {
        if level == Ack::Store {
            return Ok(());
        }
        self.commit_all(Vec::new(), level).await.map(drop)
    }

    async fn wait_for_ledger(&self, entry: Position) -> Result<(), EngineError> {
        // Before the first entry there is nothing to record.
        if entry.seq == 0 {
            return Ok(());
        }
        let limit = Duration::from_millis(self.settings.ledger_ack_ms);
        let reason = match tokio::time::timeout(limit, self.ledger.wait_for(entry)).await {
            Ok(true) => return Ok(()),
            Ok(false) => "the store was rebuilt meanwhile".to_owned(),
            Err(_) => {
                let checkpoint = self.ledger.checkpoint();
                format!("the ledger is at {checkpoint} and has not reached {entry}")
            }
        };
        Err(EngineError::NotYetSafe { level: Ack::Ledger, reason })
    }
}
