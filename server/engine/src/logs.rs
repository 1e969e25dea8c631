//! Log lines: written in batches beside the jobs' own path, read back in order.

use std::time::Duration;

use sentinel_domain::JobId;
use sentinel_ledger::{Ledger, LogCursor, LogQuery, LogRow};
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;

use crate::{Engine, EngineError};

/// Batches that may wait; a session that logs more waits with its acknowledgements.
const WAITING_MAX: usize = 256;

/// Rows of one write.
const ROWS_MAX: usize = 4_096;

/// Rows of one read.
const PAGE: usize = 1_000;

/// How often a reader that follows looks again; it is woken by the job's end at the latest.
const FOLLOW_EVERY: Duration = Duration::from_millis(250);

pub(crate) struct LogBatch {
    rows: Vec<LogRow>,
    stored: oneshot::Sender<bool>,
}

pub(crate) struct LogWriter(mpsc::Sender<LogBatch>);

pub(crate) fn channel() -> (LogWriter, mpsc::Receiver<LogBatch>) {
    let (sender, receiver) = mpsc::channel(WAITING_MAX);
    (LogWriter(sender), receiver)
}

/// What became of lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Appended {
    Stored,
    /// The ledger did not take them.
    Failed,
    /// This server shuts down; the worker brings them to the next one.
    Closed,
}

impl LogWriter {
    /// Stores lines, after all that were handed in before.
    pub(crate) async fn append(&self, rows: Vec<LogRow>) -> Appended {
        let (stored, answer) = oneshot::channel();
        if self.0.send(LogBatch { rows, stored }).await.is_err() {
            return Appended::Closed;
        }
        match answer.await {
            Ok(true) => Appended::Stored,
            Ok(false) => Appended::Failed,
            Err(_) => Appended::Closed,
        }
    }
}

/// Writes what waits, as one transaction. Ends when `closing` is cancelled and nothing waits.
pub(crate) async fn run(
    engine: Engine,
    mut batches: mpsc::Receiver<LogBatch>,
    closing: CancellationToken,
) {
    let ledger = engine.ledger.clone();
    // Also ends with the last engine, which holds the sender.
    drop(engine);
    loop {
        let first = tokio::select! {
            biased;
            first = batches.recv() => first,
            () = closing.cancelled(), if !batches.is_closed() => {
                batches.close();
                continue;
            }
        };
        let Some(first) = first else { return };
        let mut rows = first.rows;
        let mut waiting = vec![first.stored];
        while rows.len() < ROWS_MAX
            && let Ok(next) = batches.try_recv()
        {
            rows.extend(next.rows);
            waiting.push(next.stored);
        }
        let is_stored = rows.is_empty() || store(&ledger, rows).await;
        for waiter in waiting {
            let _ = waiter.send(is_stored);
        }
    }
}

async fn store(ledger: &Ledger, rows: Vec<LogRow>) -> bool {
    let stored = ledger.append_logs(rows).await;
    if let Err(error) = &stored {
        tracing::warn!(%error, "log lines were not stored");
    }
    stored.is_ok()
}

/// Reads the log of one job, page by page.
pub struct LogFeed {
    engine: Engine,
    job: JobId,
    attempt: Option<u32>,
    after: Option<LogCursor>,
    is_following: bool,
}

impl Engine {
    /// The log of a job. With `follow`, until the job is final.
    pub async fn read_logs(
        &self,
        job: JobId,
        attempt: Option<u32>,
        follow: bool,
    ) -> Result<LogFeed, EngineError> {
        self.get(job).await?;
        Ok(LogFeed { engine: self.clone(), job, attempt, after: None, is_following: follow })
    }
}

impl LogFeed {
    /// The next lines; none at the end.
    pub async fn next(&mut self) -> Result<Option<Vec<LogRow>>, EngineError> {
        loop {
            // Asked before reading: what was written before the end of the job is read.
            let is_over = !self.is_following || self.has_ended().await?;
            let query =
                LogQuery { job: self.job, attempt: self.attempt, after: self.after, limit: PAGE };
            let rows = self.engine.ledger.read_logs(query).await?;
            if let Some(last) = rows.last() {
                self.after = Some(last.cursor());
                return Ok(Some(rows));
            }
            if is_over {
                return Ok(None);
            }
            tokio::time::sleep(FOLLOW_EVERY).await;
        }
    }

    /// The job is final, or gone, and its lines are stored: those of a report's worker came
    /// before it and may still wait to be written.
    async fn has_ended(&self) -> Result<bool, EngineError> {
        match self.engine.get(self.job).await {
            Ok(job) if !job.status.state.is_terminal() => Ok(false),
            Ok(_) | Err(EngineError::JobNotFound(_)) => {
                self.engine.logs.append(Vec::new()).await;
                Ok(true)
            }
            Err(error) => Err(error),
        }
    }
}
