//! Writes log lines in batches, apart from the commits of jobs.

use sentinel_ledger::{Ledger, LogRow};
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;

/// The most batches that wait. A session that logs more waits with its acknowledgements.
const WAITING_MAX: usize = 256;

/// The most rows of one write.
const ROWS_MAX: usize = 4_096;

pub(crate) struct LogBatch {
    rows: Vec<LogRow>,
    reply: oneshot::Sender<bool>,
}

/// Submits log lines. Cheap to clone.
#[derive(Clone)]
pub(crate) struct LogWriter(mpsc::Sender<LogBatch>);

/// The result of an append.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum AppendResult {
    Stored,
    /// The ledger returned an error.
    Failed,
    /// This server is shutting down. The worker sends the lines to the next one.
    Closed,
}

impl LogWriter {
    /// Stores lines, after all lines that were submitted before.
    pub(crate) async fn append(&self, rows: Vec<LogRow>) -> AppendResult {
        let (reply, stored) = oneshot::channel();
        if self.0.send(LogBatch { rows, reply }).await.is_err() {
            return AppendResult::Closed;
        }
        match stored.await {
            Ok(true) => AppendResult::Stored,
            Ok(false) => AppendResult::Failed,
            Err(_) => AppendResult::Closed,
        }
    }

    /// Waits until all lines that were submitted before are written.
    pub(crate) async fn flush(&self) {
        self.append(Vec::new()).await;
    }
}

/// The loop that writes the lines.
pub(crate) struct LogWriterLoop {
    ledger: Ledger,
    batches: mpsc::Receiver<LogBatch>,
}

pub(crate) fn log_channel(ledger: Ledger) -> (LogWriter, LogWriterLoop) {
    let (sender, batches) = mpsc::channel(WAITING_MAX);
    (LogWriter(sender), LogWriterLoop { ledger, batches })
}

impl LogWriterLoop {
    /// Runs until `closing` is cancelled, or the last writer is dropped, and no batch waits.
    /// Everything that waits is written in one transaction.
    pub(crate) async fn run(mut self, closing: CancellationToken) {
        loop {
            let first = tokio::select! {
                biased;
                first = self.batches.recv() => first,
                () = closing.cancelled(), if !self.batches.is_closed() => {
                    self.batches.close();
                    continue;
                }
            };
            let Some(first) = first else { return };
            let mut rows = first.rows;
            let mut replies = vec![first.reply];
            while rows.len() < ROWS_MAX
                && let Ok(next) = self.batches.try_recv()
            {
                rows.extend(next.rows);
                replies.push(next.reply);
            }
            let is_stored = rows.is_empty() || self.store(rows).await;
            for reply in replies {
                let _ = reply.send(is_stored);
            }
        }
    }

    async fn store(&self, rows: Vec<LogRow>) -> bool {
        let stored = self.ledger.append_logs(rows).await;
        if let Err(error) = &stored {
            tracing::warn!(%error, "log lines could not be stored");
        }
        stored.is_ok()
    }
}
