//! Log lines: written in batches beside the jobs' own path, read back in order.

use std::time::Duration;

use sentinel_domain::JobId;
use sentinel_ledger::{LogCursor, LogQuery, LogRow};
use tokio::sync::{mpsc, oneshot};

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

impl LogWriter {
    /// Stores lines; false when they could not be stored.
    pub(crate) async fn append(&self, rows: Vec<LogRow>) -> bool {
        let (stored, answer) = oneshot::channel();
        if self.0.send(LogBatch { rows, stored }).await.is_err() {
            return false;
        }
        answer.await.unwrap_or(false)
    }
}

/// Writes what waits, as one transaction. Ends with the engine.
pub(crate) async fn run(engine: Engine, mut batches: mpsc::Receiver<LogBatch>) {
    let ledger = engine.ledger.clone();
    // The engine holds the sender: keeping it would keep this loop alive for ever.
    drop(engine);
    while let Some(first) = batches.recv().await {
        let mut rows = first.rows;
        let mut waiting = vec![first.stored];
        while rows.len() < ROWS_MAX
            && let Ok(next) = batches.try_recv()
        {
            rows.extend(next.rows);
            waiting.push(next.stored);
        }
        let stored = ledger.append_logs(rows).await;
        if let Err(error) = &stored {
            tracing::warn!(%error, "log lines were not stored");
        }
        for waiter in waiting {
            let _ = waiter.send(stored.is_ok());
        }
    }
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
            // Asked before reading: lines of a job that is final by now are all stored.
            let is_over =
                !self.is_following || self.engine.get(self.job).await?.status.state.is_final();
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
}
