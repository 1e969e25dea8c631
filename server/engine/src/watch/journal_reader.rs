//! The loop that reads the journal for watches and summaries.

use std::sync::Arc;
use std::time::Duration;

use sentinel_store::{JournalPage, Store};
use tokio_util::sync::CancellationToken;

use super::Fanout;
use crate::Clock;
use crate::summary::SummaryState;

/// The most entries of one read.
const ENTRIES_MAX: usize = 512;

/// The pause after a failed read.
const RETRY_AFTER: Duration = Duration::from_millis(200);

/// Reads the journal while there are watches or summaries.
pub(crate) struct JournalReader {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) clock: Clock,
    pub(crate) fanout: Arc<Fanout>,
    pub(crate) summaries: Arc<SummaryState>,
}

impl JournalReader {
    /// Runs until `closing` is cancelled.
    pub(crate) async fn run(self, closing: CancellationToken) {
        let mut head = self.store.head();
        loop {
            let after = tokio::select! {
                after = self.fanout.position() => after,
                () = closing.cancelled() => return,
            };
            match self.store.read_journal(after, ENTRIES_MAX).await {
                Ok(JournalPage::Entries(entries)) if entries.is_empty() => {
                    tokio::select! {
                        _ = head.changed() => {}
                        () = closing.cancelled() => return,
                    }
                }
                Ok(JournalPage::Entries(entries)) => {
                    self.summaries.count(&entries, self.store.as_ref(), &self.clock).await;
                    self.fanout.offer(entries);
                }
                Ok(JournalPage::Trimmed | JournalPage::OtherEpoch) => {
                    let to = *head.borrow();
                    self.summaries.skip(to, self.clock.now());
                    self.fanout.skip(to);
                }
                Err(error) => {
                    tracing::warn!(%error, "journal could not be read for watches, retrying");
                    tokio::select! {
                        () = tokio::time::sleep(RETRY_AFTER) => {}
                        () = closing.cancelled() => return,
                    }
                }
            }
        }
    }
}
