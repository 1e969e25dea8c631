//! What a handler knows about its job and may tell the server while it runs.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use serde::de::DeserializeOwned;
use tokio_util::sync::CancellationToken;

use super::attempt::{Attempt, CheckpointError};
use super::clock::wall_clock;
use super::outcome::{HandlerError, cut};
use super::output::OutputError;
use crate::proto::jobs::v1::LogLevel;

const MAX_PROGRESS_MESSAGE_BYTES: usize = 4 * 1024;

/// One attempt of a job, as its handler sees it. Clones refer to the same attempt.
#[derive(Clone)]
pub struct JobContext {
    attempt: Arc<Attempt>,
}

impl JobContext {
    pub(crate) fn new(attempt: Arc<Attempt>) -> Self {
        Self { attempt }
    }

    /// UUID of the job.
    pub fn job_id(&self) -> &str {
        &self.attempt.lease.job_id
    }

    /// Which handler was asked for.
    pub fn kind(&self) -> &str {
        &self.attempt.assignment.kind
    }

    /// From which queue.
    pub fn queue(&self) -> &str {
        &self.attempt.assignment.queue
    }

    /// Rises with each retry of the final job; starts at 1.
    pub fn run(&self) -> u32 {
        self.attempt.lease.run
    }

    /// The attempt of this run; starts at 1.
    pub fn attempt(&self) -> u32 {
        self.attempt.lease.attempt
    }

    /// Attempts in all that this run may have.
    pub fn max_attempts(&self) -> u32 {
        self.attempt.assignment.max_attempts
    }

    /// The input, as enqueued.
    pub fn payload(&self) -> &Bytes {
        &self.attempt.assignment.payload
    }

    /// Media type of the payload.
    pub fn content_type(&self) -> &str {
        &self.attempt.assignment.content_type
    }

    /// The input as JSON; an empty payload reads as `null`.
    ///
    /// # Errors
    /// Not retryable, code `BAD_PAYLOAD`: the same payload fails each time.
    pub fn payload_json<T: DeserializeOwned>(&self) -> Result<T, HandlerError> {
        let bytes: &[u8] = if self.payload().is_empty() { b"null" } else { self.payload() };
        serde_json::from_slice(bytes).map_err(|error| {
            HandlerError::non_retryable(format!("payload: {error}")).with_code("BAD_PAYLOAD")
        })
    }

    /// Name of the worker process.
    pub fn instance(&self) -> &str {
        &self.attempt.instance
    }

    /// As enqueued.
    pub fn labels(&self) -> &BTreeMap<String, String> {
        &self.attempt.assignment.labels
    }

    /// What an attempt before left for this one. Empty: nothing.
    pub fn last_checkpoint(&self) -> &Bytes {
        &self.attempt.assignment.checkpoint
    }

    /// W3C traceparent of the caller that enqueued it. Empty: none.
    pub fn traceparent(&self) -> &str {
        &self.attempt.assignment.traceparent
    }

    /// Names this right to run: `job/run/attempt/epoch`. A store that keeps the highest fence it
    /// has seen of a job can refuse the writes of an attempt that was declared lost.
    pub fn fencing_token(&self) -> String {
        let lease = &self.attempt.lease;
        format!("{}/{}/{}/{}", lease.job_id, lease.run, lease.attempt, lease.epoch)
    }

    /// Tells how far the job has come, in the handler's own unit; `total` 0: not known. Cheap:
    /// only the newest is kept, and at most 10 a second are sent. `message` is cut at 4 KiB.
    pub fn progress(&self, done: u64, total: u64, message: impl Into<String>) {
        let message = cut(message.into(), MAX_PROGRESS_MESSAGE_BYTES);
        self.attempt.progress(done, total, message);
    }

    /// Logs a line for the job. Never waits: when over 1000 lines are not yet sent, the oldest
    /// of them are dropped. Lines over 64 KiB are split.
    pub fn log(&self, level: LogLevel, text: impl AsRef<str>) {
        self.attempt.log(wall_clock(), level, text.as_ref());
    }

    /// Stores state for the next attempt, at most 64 KiB; returns once the server has it.
    /// A second call before the first one returned takes its place.
    pub async fn checkpoint(&self, data: impl Into<Bytes>) -> Result<(), CheckpointError> {
        self.attempt.checkpoint(data.into()).await
    }

    /// Hands out bytes before the job ends, behind those of the calls before; returns once the
    /// server has them. Whoever wants them reads them with [`crate::Client::read_output`], also
    /// while the job runs. An attempt may hand out 10 MiB, in at most 10,000 calls; the next
    /// attempt starts anew.
    ///
    /// # Errors
    /// [`OutputError::Fenced`] when the lease was lost: the attempt should stop.
    pub async fn write_output(&self, data: impl Into<Bytes>) -> Result<(), OutputError> {
        self.attempt.output(data.into()).await
    }

    /// Whether the handler should stop: a cancel, a lost lease, a time-out or the end of a drain.
    pub fn is_cancelled(&self) -> bool {
        self.attempt.is_cancelled()
    }

    /// Resolves when the handler should stop.
    pub async fn cancelled(&self) {
        self.attempt.cancelled().await;
    }

    /// As [`JobContext::cancelled`], to hand to code that takes a token.
    pub fn cancellation_token(&self) -> CancellationToken {
        self.attempt.token()
    }
}

impl std::fmt::Debug for JobContext {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("JobContext")
            .field("fence", &self.fencing_token())
            .field("kind", &self.kind())
            .finish()
    }
}
