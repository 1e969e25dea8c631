//! Reads the output that an attempt streams while it runs.

use std::time::Duration;

use sentinel_domain::{Job, JobId, State};
use sentinel_ledger::{Ledger, OutputChunk, OutputQuery};

use super::History;
use crate::EngineError;
use crate::jobs::JobReader;

/// The interval at which a reader that follows polls the ledger.
const POLL_EVERY: Duration = Duration::from_millis(250);

/// The output of one attempt, piece by piece.
pub struct OutputReader {
    reader: JobReader,
    ledger: Ledger,
    job: JobId,
    run: u32,
    /// 0 before the first attempt.
    attempt: u32,
    after: Option<(u64, u64)>,
    offset: u64,
    follow: bool,
}

/// Some pieces of the output, and their attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OutputPage {
    pub run: u32,
    pub attempt: u32,
    pub pieces: Vec<OutputChunk>,
}

impl History {
    /// Opens the output of an attempt. With `follow`, it stops when the attempt ends.
    ///
    /// The default of `run` is the newest run. The default of `attempt` is the running attempt, or
    /// else the newest one with output.
    pub async fn read_output(
        &self,
        job: JobId,
        (run, attempt): (Option<u32>, Option<u32>),
        offset: u64,
        follow: bool,
    ) -> Result<OutputReader, EngineError> {
        let current = self.reader.get(job).await?;
        let mut output = OutputReader {
            reader: self.reader.clone(),
            ledger: self.ledger.clone(),
            job,
            run: run.unwrap_or(current.status.run),
            attempt: attempt.unwrap_or(0),
            after: None,
            offset,
            follow,
        };
        output.choose_attempt(&current).await?;
        Ok(output)
    }
}

impl OutputReader {
    /// Returns the next pieces, None at the end.
    pub async fn next(&mut self) -> Result<Option<OutputPage>, EngineError> {
        loop {
            // Checked before the read, so that the read finds every piece of an ended attempt.
            let is_complete = !self.follow || self.has_ended().await?;
            let query = OutputQuery {
                job: self.job,
                run: self.run,
                attempt: self.attempt,
                after: self.after,
                offset: self.offset,
            };
            let pieces = self.ledger.read_output(query).await?;
            if let Some(last) = pieces.last() {
                self.after = Some(last.cursor);
                return Ok(Some(OutputPage { run: self.run, attempt: self.attempt, pieces }));
            }
            if is_complete {
                return Ok(None);
            }
            tokio::time::sleep(POLL_EVERY).await;
        }
    }

    async fn has_ended(&mut self) -> Result<bool, EngineError> {
        match self.reader.get(self.job).await {
            Ok(job) => {
                self.choose_attempt(&job).await?;
                let status = &job.status;
                let is_past = (status.run, status.attempt) > (self.run, self.attempt);
                let is_waiting = status.state != State::Running && self.attempt > 0;
                Ok(status.state.is_terminal() || is_past || is_waiting)
            }
            Err(EngineError::JobNotFound(_)) => Ok(true),
            Err(error) => Err(error),
        }
    }

    async fn choose_attempt(&mut self, job: &Job) -> Result<(), EngineError> {
        if self.attempt == 0 {
            let status = &job.status;
            self.attempt = if status.state == State::Running && status.run == self.run {
                status.attempt
            } else {
                self.ledger.last_attempt_with_output(self.job, self.run).await?.unwrap_or(0)
            };
        }
        Ok(())
    }
}
