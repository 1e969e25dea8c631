//! The builder of a job to enqueue. It validates nothing: the server checks the limits and names
//! the field in its error.

use std::time::{Duration, SystemTime};

use bytes::Bytes;
use serde::Serialize;

use crate::Error;
use crate::json;
use crate::proto::jobs::v1::{AckLevel, JobSpec, LostPolicy, RetryPolicy};
use crate::time::{wire_duration, wire_timestamp};

pub use crate::proto::jobs::v1::{Unique, UniqueMode, UniqueScope};

/// A job to enqueue: its specification, idempotency key and actor.
#[derive(Clone, Debug, Default)]
pub struct NewJob {
    pub(crate) spec: JobSpec,
    pub(crate) request_id: String,
    pub(crate) actor: String,
}

impl NewJob {
    /// A job of `kind` for `queue`: 1..128 characters of `[A-Za-z0-9._-]` each.
    pub fn new(queue: impl Into<String>, kind: impl Into<String>) -> Self {
        let spec = JobSpec { queue: queue.into(), kind: kind.into(), ..JobSpec::default() };
        Self { spec, ..Self::default() }
    }

    /// Sets the handler's input. At most 1 MiB unless the server is configured otherwise.
    pub fn payload(mut self, payload: impl Into<Bytes>) -> Self {
        self.spec.payload = payload.into();
        self
    }

    /// Sets the handler's input as JSON, with content type `application/json`.
    pub fn json(mut self, value: &impl Serialize) -> Result<Self, Error> {
        let bytes = json::to_vec("payload", value)
            .map_err(|reason| Error::InvalidArgument { field: "payload", reason })?;
        self.spec.payload = bytes.into();
        self.spec.content_type = "application/json".to_owned();
        Ok(self)
    }

    /// Sets the media type of the payload. At most 128 bytes.
    pub fn content_type(mut self, content_type: impl Into<String>) -> Self {
        self.spec.content_type = content_type.into();
        self
    }

    /// Sets the priority, 0..9; jobs with a higher one start first. Default 0.
    pub fn priority(mut self, priority: u32) -> Self {
        self.spec.priority = priority;
        self
    }

    /// Delays the start by this long after the enqueue. At most 366 days. Excludes `run_at`.
    pub fn delay(mut self, delay: Duration) -> Self {
        self.spec.delay = Some(wire_duration(delay));
        self
    }

    /// Sets the earliest start time. At most 366 days ahead. Excludes `delay`.
    pub fn run_at(mut self, time: SystemTime) -> Self {
        self.spec.run_at = Some(wire_timestamp(time));
        self
    }

    /// Sets the latest start time. A job that has not started by then becomes EXPIRED.
    pub fn start_deadline(mut self, time: SystemTime) -> Self {
        self.spec.start_deadline = Some(wire_timestamp(time));
        self
    }

    /// Limits the duration of one attempt. 1 ms..30 d.
    pub fn run_timeout(mut self, timeout: Duration) -> Self {
        self.spec.run_timeout = Some(wire_duration(timeout));
        self
    }

    /// Sets how failed attempts are retried.
    pub fn retry(mut self, policy: RetryPolicy) -> Self {
        self.spec.retry = Some(policy);
        self
    }

    /// Limits the attempts of a run, the first one included. 1..1000.
    pub fn max_attempts(mut self, attempts: u32) -> Self {
        self.spec.retry.get_or_insert_default().max_attempts = attempts;
        self
    }

    /// Adds a label, which lists and watches can filter by. At most 16.
    pub fn label(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        self.spec.labels.insert(key.into(), value.into());
        self
    }

    /// Sets a unique key with its scope and mode, to prevent duplicate jobs.
    pub fn unique(mut self, unique: Unique) -> Self {
        self.spec.unique = Some(unique);
        self
    }

    /// Sets a unique key: until this job is terminal, an enqueue with the same key returns this job
    /// instead of creating one. 1..256 bytes.
    pub fn unique_key(self, key: impl Into<String>) -> Self {
        self.unique(Unique { key: key.into(), ..Unique::default() })
    }

    /// Adds a dependency: this job does not start before that job is terminal. At most 100.
    pub fn depends_on(mut self, job_id: impl Into<String>) -> Self {
        self.spec.depends_on.push(job_id.into());
        self
    }

    /// Sets what happens when the worker that runs the job is lost.
    pub fn on_lost(mut self, policy: LostPolicy) -> Self {
        self.spec.on_lost = policy.into();
        self
    }

    /// Sets the durability level that a change of the job must reach before it is acknowledged.
    /// Default: the server's setting. A call that fails with NOT_YET_SAFE has been committed; the
    /// client retries it, which waits again.
    pub fn ack(mut self, level: AckLevel) -> Self {
        self.spec.ack = level.into();
        self
    }

    /// Sets how long a running handler may continue after a cancel. 0..1 h. Default 30 s.
    pub fn cancel_grace(mut self, grace: Duration) -> Self {
        self.spec.cancel_grace = Some(wire_duration(grace));
        self
    }

    /// Sets the W3C traceparent of the caller. It is stored with the job and sent as call metadata.
    pub fn traceparent(mut self, traceparent: impl Into<String>) -> Self {
        self.spec.traceparent = traceparent.into();
        self
    }

    /// Sets the idempotency key, which makes it safe to repeat this enqueue from another process.
    /// By default the client generates one, which covers only its own retries. 1..256 bytes.
    pub fn request_id(mut self, request_id: impl Into<String>) -> Self {
        self.request_id = request_id.into();
        self
    }

    /// Sets the actor for the audit log. At most 256 bytes.
    pub fn actor(mut self, actor: impl Into<String>) -> Self {
        self.actor = actor.into();
        self
    }

    /// Returns the specification, for [`crate::Client::enqueue_batch`].
    pub fn into_spec(self) -> JobSpec {
        self.spec
    }
}

impl From<JobSpec> for NewJob {
    fn from(spec: JobSpec) -> Self {
        Self { spec, ..Self::default() }
    }
}

impl From<NewJob> for JobSpec {
    fn from(job: NewJob) -> Self {
        job.spec
    }
}
