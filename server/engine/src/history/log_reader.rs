//! Reads the log lines of a job in order.

use std::time::Duration;

use sentinel_domain::JobId;
use sentinel_ledger::{Ledger, LogCursor, LogQuery, LogRow};

use super::{History, LogWriter};
use crate::EngineError;
use crate::jobs::JobReader;

/// The rows of one page.
const PAGE: usize = 1_000;

/// The interval at which a reader that follows polls the ledger.
const POLL_EVERY: Duration = Duration::from_millis(250);

/// The log of one job, page by page.
pub struct LogReader {
    reader: JobReader,
    ledger: Ledger,
    logs: LogWriter,
    job: JobId,
    attempt: Option<u32>,
    after: Option<LogCursor>,
    follow: bool,
}

impl History {
    /// Opens the log of a job. With `follow`, it stops when the job is in a terminal state.
    pub async fn read_logs(
        &self,
        job: JobId,
        attempt: Option<u32>,
        follow: bool,
    ) -> Result<LogReader, EngineError> {
        self.reader.get(job).await?;
        let (reader, ledger, logs) = (self.reader.clone(), self.ledger.clone(), self.logs.clone());
        Ok(LogReader { reader, ledger, logs, job, attempt, after: None, follow })
    }
}

impl LogReader {
    /// Returns the next page, None at the end.
    pub async fn next(&mut self) -> Result<Option<Vec<LogRow>>, EngineError> {
        loop {
            // Checked before the read, so that the read finds every line of a finished job.
            let is_complete = !self.follow || self.has_finished().await?;
            let query =
                LogQuery { job: self.job, attempt: self.attempt, after: self.after, limit: PAGE };
            let rows = self.ledger.read_logs(query).await?;
            if let Some(last) = rows.last() {
                self.after = Some(last.cursor());
                return Ok(Some(rows));
            }
            if is_complete {
                return Ok(None);
            }
            tokio::time::sleep(POLL_EVERY).await;
        }
    }

    /// Whether the job is in a terminal state or deleted. Then its lines are written: a worker
    /// sends them before its report, but the log writer may still hold them.
    async fn has_finished(&self) -> Result<bool, EngineError> {
        match self.reader.get(self.job).await {
            Ok(job) if !job.status.state.is_terminal() => Ok(false),
            Ok(_) | Err(EngineError::JobNotFound(_)) => {
                self.logs.flush().await;
                Ok(true)
            }
            Err(error) => Err(error),
        }
    }
}
