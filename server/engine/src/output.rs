//! What attempts hand out while they run: stored piece by piece, read back from a place on.

use std::time::Duration;

use sentinel_domain::{Job, JobId, State};
use sentinel_ledger::{OutputPiece, OutputQuery};

use crate::{Engine, EngineError};

/// How often a reader that follows looks again.
const FOLLOW_EVERY: Duration = Duration::from_millis(250);

/// Reads the output of one attempt, piece by piece.
pub struct OutputFeed {
    engine: Engine,
    job: JobId,
    run: u32,
    /// 0: none has begun yet.
    attempt: u32,
    after: Option<(u64, u64)>,
    offset: u64,
    is_following: bool,
}

/// Some of the output, and whose it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OutputPage {
    pub run: u32,
    pub attempt: u32,
    pub pieces: Vec<OutputPiece>,
}

impl Engine {
    /// The output of an attempt. Without a run: of the newest; without an attempt: of the one
    /// that runs, or else of the newest that left something. With `follow`, until the attempt
    /// has ended.
    pub async fn read_output(
        &self,
        job: JobId,
        (run, attempt): (Option<u32>, Option<u32>),
        offset: u64,
        follow: bool,
    ) -> Result<OutputFeed, EngineError> {
        let found = self.get(job).await?;
        let run = run.unwrap_or(found.status.run);
        let mut feed = OutputFeed {
            engine: self.clone(),
            job,
            run,
            attempt: attempt.unwrap_or(0),
            after: None,
            offset,
            is_following: follow,
        };
        feed.choose(&found).await?;
        Ok(feed)
    }
}

impl OutputFeed {
    /// The next pieces; none at the end.
    pub async fn next(&mut self) -> Result<Option<OutputPage>, EngineError> {
        loop {
            // Asked before reading: what was written before the end of the attempt is read.
            let is_over = !self.is_following || self.has_ended().await?;
            let query = OutputQuery {
                job: self.job,
                run: self.run,
                attempt: self.attempt,
                after: self.after,
                offset: self.offset,
            };
            let pieces = self.engine.ledger.read_output(query).await?;
            if let Some(last) = pieces.last() {
                self.after = Some(last.place);
                return Ok(Some(OutputPage { run: self.run, attempt: self.attempt, pieces }));
            }
            if is_over {
                return Ok(None);
            }
            tokio::time::sleep(FOLLOW_EVERY).await;
        }
    }

    async fn has_ended(&mut self) -> Result<bool, EngineError> {
        match self.engine.get(self.job).await {
            Ok(job) => {
                self.choose(&job).await?;
                let status = &job.status;
                let is_past = (status.run, status.attempt) > (self.run, self.attempt);
                let is_waiting = status.state != State::Running && self.attempt > 0;
                Ok(status.state.is_terminal() || is_past || is_waiting)
            }
            Err(EngineError::JobNotFound(_)) => Ok(true),
            Err(error) => Err(error),
        }
    }

    /// Where none was named: the attempt that runs, or the newest that left something.
    async fn choose(&mut self, job: &Job) -> Result<(), EngineError> {
        if self.attempt == 0 {
            let status = &job.status;
            self.attempt = if status.state == State::Running && status.run == self.run {
                status.attempt
            } else {
                self.engine.ledger.last_with_output(self.job, self.run).await?.unwrap_or(0)
            };
        }
        Ok(())
    }
}
