//! How far the ledger has recorded the journal.

use std::time::Duration;

use sentinel_ledger::Ledger;
use sentinel_store::Position;
use tokio::sync::{Notify, watch};
use tokio_util::sync::CancellationToken;

/// The interval at which the checkpoint is read while a commit waits for it. A peer may be the
/// one that runs the projector.
const POLL_EVERY: Duration = Duration::from_millis(50);

/// The known checkpoint of the ledger.
pub(crate) struct LedgerProgress {
    checkpoint: watch::Sender<Position>,
    /// A commit waits for the ledger.
    wanted: Notify,
}

impl Default for LedgerProgress {
    fn default() -> Self {
        Self { checkpoint: watch::Sender::new(Position::default()), wanted: Notify::new() }
    }
}

impl LedgerProgress {
    /// Records that the ledger has every entry up to a position.
    pub(crate) fn advance(&self, checkpoint: Position) {
        self.checkpoint.send_if_modified(|known| {
            let is_ahead = checkpoint > *known;
            *known = checkpoint.max(*known);
            is_ahead
        });
    }

    pub(crate) fn checkpoint(&self) -> Position {
        *self.checkpoint.borrow()
    }

    /// Waits until the ledger has an entry. Returns false when the store was rebuilt before.
    pub(super) async fn wait_for(&self, entry: Position) -> bool {
        let mut checkpoint = self.checkpoint.subscribe();
        self.wanted.notify_one();
        let reached = checkpoint.wait_for(|at| at.epoch > entry.epoch || *at >= entry).await;
        reached.is_ok_and(|at| at.epoch == entry.epoch)
    }

    /// Polls the checkpoint while a commit waits for it, until `closing` is cancelled.
    pub(crate) async fn poll(&self, ledger: &Ledger, closing: CancellationToken) {
        loop {
            tokio::select! {
                () = self.wanted.notified() => {}
                () = closing.cancelled() => return,
            }
            while self.checkpoint.receiver_count() > 0 && !closing.is_cancelled() {
                match ledger.checkpoint().await {
                    Ok(checkpoint) => self.advance(checkpoint),
                    Err(error) => tracing::debug!(%error, "ledger checkpoint could not be read"),
                }
                tokio::time::sleep(POLL_EVERY).await;
            }
        }
    }
}
