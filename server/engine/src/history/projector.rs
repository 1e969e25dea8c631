//! The projector: copies the journal into the ledger, then lets the store trim it.

use std::sync::Arc;
use std::time::Duration;

use sentinel_domain::Millis;
use sentinel_ledger::{Ledger, LedgerError};
use sentinel_store::{JournalPage, Position, Store, TrimRequest};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::cluster::LeaderLease;
use crate::commit::LedgerProgress;
use crate::{Clock, EngineError, Observer, Settings};

/// The most journal entries of one ledger transaction.
const ENTRIES_MAX: usize = 256;

/// How long the projector runs before it renews the leader lease and trims.
const ROUND: Duration = Duration::from_secs(1);

/// The most terminal jobs that one trim evicts.
const EVICT_MAX: usize = 2_000;

const TRIM_EVERY_MS: i64 = 1_000;

/// How often a server that is not the leader requests the lease.
const REQUEST_LEASE_EVERY: Duration = Duration::from_secs(1);

/// The pause after an error.
const RETRY_AFTER: Duration = Duration::from_millis(500);

/// The projector of one server. It does nothing while a peer is the leader.
pub(crate) struct Projector {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) ledger: Ledger,
    pub(crate) clock: Clock,
    pub(crate) observer: Arc<dyn Observer>,
    pub(crate) settings: Settings,
    pub(crate) progress: Arc<LedgerProgress>,
    pub(crate) lease: LeaderLease,
}

impl Projector {
    /// Runs until `closing` is cancelled, and then projects the rest of the journal.
    pub(crate) async fn run(mut self, closing: CancellationToken) {
        let mut head = self.store.head();
        let mut trimmed_at = self.clock.now();
        let mut caught_up_at = self.clock.now();
        // Peers may go on committing: the head at the time of closing is far enough.
        let mut last = None;
        let linger = Duration::from_millis(self.settings.project_linger_ms);
        loop {
            if closing.is_cancelled() {
                last.get_or_insert(*head.borrow());
            }
            if !self.lease.acquire_or_renew().await {
                if closing.is_cancelled() {
                    return;
                }
                tokio::select! {
                    () = tokio::time::sleep(REQUEST_LEASE_EVERY) => {}
                    () = closing.cancelled() => {}
                }
                continue;
            }
            match self.catch_up().await {
                Ok((position, is_all)) => {
                    caught_up_at = self.clock.now();
                    if self.clock.now() - trimmed_at >= TRIM_EVERY_MS {
                        trimmed_at = self.clock.now();
                        self.trim(position).await;
                    }
                    if last.is_some_and(|last| position.seq >= last.seq) {
                        self.lease.release().await;
                        return;
                    }
                    if !is_all {
                        continue;
                    }
                }
                Err(error) => {
                    self.report_lag(*head.borrow(), caught_up_at);
                    if !error.is_already_logged() {
                        tracing::error!(%error, "projection to the ledger failed, retrying");
                    }
                    // A peer may reach the ledger when this server does not.
                    self.lease.release().await;
                    if closing.is_cancelled() {
                        return;
                    }
                    tokio::time::sleep(RETRY_AFTER).await;
                }
            }
            tokio::select! {
                _ = head.changed() => {}
                () = closing.cancelled() => continue,
                () = tokio::time::sleep(Duration::from_secs(1)) => continue,
            }
            tokio::select! {
                () = tokio::time::sleep(linger) => {}
                () = closing.cancelled() => {}
            }
        }
    }

    /// Projects up to the head, for at most a round. Returns the checkpoint of the ledger, and
    /// whether it is the head.
    async fn catch_up(&self) -> Result<(Position, bool), EngineError> {
        let mut position = self.ledger.checkpoint().await?;
        self.progress.advance(position);
        let until = Instant::now() + ROUND;
        loop {
            let entries = match self.store.read_journal(position, ENTRIES_MAX).await? {
                JournalPage::Entries(entries) => entries,
                JournalPage::Trimmed | JournalPage::OtherEpoch => {
                    position = self.checkpoint_moved_from(position).await?;
                    continue;
                }
            };
            let Some(last) = entries.last() else {
                self.observer.ledger_lag(0, 0);
                return Ok((position, true));
            };
            let behind = self.store.head().borrow().seq.saturating_sub(position.seq);
            self.observer.ledger_lag(behind, (self.clock.now() - last.at).max(0));
            position = match self.ledger.project(position, entries).await {
                Err(LedgerError::Superseded { .. }) => self.checkpoint_moved_from(position).await?,
                projected => projected?,
            };
            self.progress.advance(position);
            if Instant::now() >= until {
                return Ok((position, false));
            }
        }
    }

    /// Returns the checkpoint that a former leader has moved.
    async fn checkpoint_moved_from(&self, position: Position) -> Result<Position, EngineError> {
        let current = self.ledger.checkpoint().await?;
        if current == position {
            // The store drops no entry before it is projected, so the two do not belong together.
            let found = *self.store.head().borrow();
            return Err(EngineError::Ledger(LedgerError::Superseded { expected: position, found }));
        }
        tracing::info!(from = %position, to = %current, "a peer projected the journal");
        Ok(current)
    }

    async fn trim(&self, projected: Position) {
        let now = self.clock.now();
        loop {
            let request = TrimRequest {
                projected,
                terminal_before: now - self.settings.store_retention_ms,
                journal_before: now - self.settings.watch_window_ms,
                limit: EVICT_MAX,
            };
            match self.store.trim(request).await {
                Ok(trimmed) if trimmed.more => {}
                Ok(_) => return,
                Err(error) => {
                    tracing::warn!(%error, "store could not be trimmed, retrying");
                    return;
                }
            }
        }
    }

    /// Reports the lag while the ledger cannot be read, so that the metric keeps growing.
    fn report_lag(&self, head: Position, caught_up_at: Millis) {
        let behind = head.seq.saturating_sub(self.progress.checkpoint().seq);
        let lag_ms = if behind == 0 { 0 } else { self.clock.now() - caught_up_at };
        self.observer.ledger_lag(behind, lag_ms.max(0));
    }
}
