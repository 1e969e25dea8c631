//! The handler's view of its job.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use serde::de::DeserializeOwned;
use tokio_util::sync::CancellationToken;

use super::active_attempt::{ActiveAttempt, CheckpointError};
use super::clock::wall_clock;
use super::handler_error::PayloadError;
use super::output::OutputError;
use super::text::truncate;
use crate::proto::jobs::v1::LogLevel;

const MAX_PROGRESS_MESSAGE_BYTES: usize = 4 * 1024;

/// The handler's view of one attempt of a job: its input, and what the handler reports while it
/// runs. Clones refer to the same attempt.
#[derive(Clone)]
pub struct JobContext {
    attempt: Arc<ActiveAttempt>,
}

impl JobContext {
    pub(crate) fn new(attempt: Arc<ActiveAttempt>) -> Self {
        Self { attempt }
    }

    /// The UUID of the job.
    pub fn job_id(&self) -> &str {
        &self.attempt.lease.job_id
    }

    /// The kind of the job.
    pub fn kind(&self) -> &str {
        &self.attempt.assignment.kind
    }

    /// The queue of the job.
    pub fn queue(&self) -> &str {
        &self.attempt.assignment.queue
    }

    /// The number of this run. Starts at 1; each retry of the terminal job starts a new run.
    pub fn run(&self) -> u32 {
        self.attempt.lease.run
    }

    /// The number of this attempt within its run. Starts at 1.
    pub fn attempt(&self) -> u32 {
        self.attempt.lease.attempt
    }

    /// The limit of attempts per run.
    pub fn max_attempts(&self) -> u32 {
        self.attempt.assignment.max_attempts
    }

    /// The input, as enqueued.
    pub fn payload(&self) -> &Bytes {
        &self.attempt.assignment.payload
    }

    /// The media type of the payload.
    pub fn content_type(&self) -> &str {
        &self.attempt.assignment.content_type
    }

    /// The input, deserialized from JSON. An empty payload is `null`.
    ///
    /// # Errors
    /// An error that fails the job without a retry, with code `BAD_PAYLOAD`.
    pub fn payload_json<T: DeserializeOwned>(&self) -> Result<T, PayloadError> {
        let bytes: &[u8] = if self.payload().is_empty() { b"null" } else { self.payload() };
        serde_json::from_slice(bytes).map_err(|error| PayloadError::new(&error))
    }

    /// The name of the worker process.
    pub fn instance(&self) -> &str {
        &self.attempt.instance
    }

    /// The labels of the job.
    pub fn labels(&self) -> &BTreeMap<String, String> {
        &self.attempt.assignment.labels
    }

    /// The last checkpoint of an earlier attempt. Empty when there is none.
    pub fn last_checkpoint(&self) -> &Bytes {
        &self.attempt.assignment.checkpoint
    }

    /// The W3C traceparent of the caller that enqueued the job. Empty when there is none.
    pub fn traceparent(&self) -> &str {
        &self.attempt.assignment.traceparent
    }

    /// The fencing token of this attempt's lease: `job/run/attempt/epoch`. The epoch increases with
    /// each lease of the job. A database that stores the highest epoch per job can reject writes of
    /// an attempt that has lost its lease.
    pub fn fencing_token(&self) -> String {
        let lease = &self.attempt.lease;
        format!("{}/{}/{}/{}", lease.job_id, lease.run, lease.attempt, lease.epoch)
    }

    /// Reports progress in a unit of the handler's choice; `total` 0 means unknown. Cheap: only the
    /// latest report is kept, and at most 10 per second are sent. `message` is truncated to 4 KiB.
    pub fn progress(&self, done: u64, total: u64, message: impl Into<String>) {
        let message = truncate(message.into(), MAX_PROGRESS_MESSAGE_BYTES);
        self.attempt.progress(done, total, message);
    }

    /// Logs a line for the job. Never waits: when more than 1000 lines are unsent, the oldest are
    /// dropped. Lines over 64 KiB are split.
    pub fn log(&self, level: LogLevel, text: impl AsRef<str>) {
        self.attempt.log(wall_clock(), level, text.as_ref());
    }

    /// Stores state for the next attempt, at most 64 KiB; returns when the server has stored it. A
    /// second call before the first has returned replaces it.
    ///
    /// # Errors
    /// [`CheckpointError::Fenced`] when the lease was lost: the handler should stop.
    pub async fn checkpoint(&self, data: impl Into<Bytes>) -> Result<(), CheckpointError> {
        self.attempt.checkpoint(data.into()).await
    }

    /// Appends bytes to the output of this attempt; returns when the server has stored them.
    /// Clients read them with [`crate::Client::read_output`], also while the job runs. An attempt
    /// can write 10 MiB, in at most 10,000 calls; the output of the next attempt starts empty.
    ///
    /// # Errors
    /// [`OutputError::Fenced`] when the lease was lost: the handler should stop.
    pub async fn write_output(&self, data: impl Into<Bytes>) -> Result<(), OutputError> {
        self.attempt.write_output(data.into()).await
    }

    /// Whether the handler should stop: the job was cancelled, the lease was lost, the attempt
    /// timed out, or the drain timeout has passed.
    pub fn is_cancelled(&self) -> bool {
        self.attempt.is_cancelled()
    }

    /// Waits until the handler should stop.
    pub async fn cancelled(&self) {
        self.attempt.cancelled().await;
    }

    /// A token that is cancelled when the handler should stop.
    pub fn cancellation_token(&self) -> CancellationToken {
        self.attempt.cancellation_token()
    }
}

impl std::fmt::Debug for JobContext {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("JobContext")
            .field("fencing_token", &self.fencing_token())
            .field("kind", &self.kind())
            .finish()
    }
}
