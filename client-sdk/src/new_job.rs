//! The builder of a job to enqueue. It checks nothing that the server checks: one place holds the
//! limits, and its answer names the field.

use std::time::{Duration, SystemTime};

use bytes::Bytes;
use serde::Serialize;

use crate::Error;
use crate::proto::jobs::v1::{AckLevel, JobSpec, LostPolicy, RetryPolicy};
use crate::time::{wire_duration, wire_timestamp};

pub use crate::proto::jobs::v1::{Unique, UniqueMode, UniqueScope};

/// A job to enqueue: its specification and how the call is made.
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

    /// The handler's input. At most 1 MiB unless the server allows more.
    pub fn payload(mut self, payload: impl Into<Bytes>) -> Self {
        self.spec.payload = payload.into();
        self
    }

    /// The handler's input as JSON.
    pub fn json(mut self, value: &impl Serialize) -> Result<Self, Error> {
        let bytes = serde_json::to_vec(value).map_err(|error| Error::InvalidArgument {
            field: "payload",
            reason: error.to_string(),
        })?;
        self.spec.payload = bytes.into();
        self.spec.content_type = "application/json".to_owned();
        Ok(self)
    }

    /// Media type of the payload. At most 128 bytes.
    pub fn content_type(mut self, content_type: impl Into<String>) -> Self {
        self.spec.content_type = content_type.into();
        self
    }

    /// 0..9; 9 is the most urgent.
    pub fn priority(mut self, priority: u32) -> Self {
        self.spec.priority = priority;
        self
    }

    /// Start no earlier than this long after the enqueue. At most 366 days. Excludes `run_at`.
    pub fn delay(mut self, delay: Duration) -> Self {
        self.spec.delay = Some(wire_duration(delay));
        self
    }

    /// Start no earlier than this. At most 366 days ahead. Excludes `delay`.
    pub fn run_at(mut self, time: SystemTime) -> Self {
        self.spec.run_at = Some(wire_timestamp(time));
        self
    }

    /// Not started by then: EXPIRED.
    pub fn start_deadline(mut self, time: SystemTime) -> Self {
        self.spec.start_deadline = Some(wire_timestamp(time));
        self
    }

    /// The longest that one attempt may run. 1 ms..30 d.
    pub fn run_timeout(mut self, timeout: Duration) -> Self {
        self.spec.run_timeout = Some(wire_duration(timeout));
        self
    }

    /// What happens after a failed attempt.
    pub fn retry(mut self, policy: RetryPolicy) -> Self {
        self.spec.retry = Some(policy);
        self
    }

    /// Attempts in all, the first included. 1..1000.
    pub fn max_attempts(mut self, attempts: u32) -> Self {
        self.spec.retry.get_or_insert_default().max_attempts = attempts;
        self
    }

    /// A label for search and watch. At most 16 of them.
    pub fn label(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        self.spec.labels.insert(key.into(), value.into());
        self
    }

    /// Keeps a second job for the same work away.
    pub fn unique(mut self, unique: Unique) -> Self {
        self.spec.unique = Some(unique);
        self
    }

    /// Keeps a second job with this key away until this one is final; the second enqueue answers
    /// the first job. 1..256 bytes.
    pub fn unique_key(self, key: impl Into<String>) -> Self {
        self.unique(Unique { key: key.into(), ..Unique::default() })
    }

    /// A job that must be final first. At most 100 of them.
    pub fn depends_on(mut self, job_id: impl Into<String>) -> Self {
        self.spec.depends_on.push(job_id.into());
        self
    }

    /// What happens when the worker that runs the job is lost.
    pub fn on_lost(mut self, policy: LostPolicy) -> Self {
        self.spec.on_lost = policy.into();
        self
    }

    /// How safe a change of the job must be before it is acknowledged; without it, as the server
    /// is set. A call that fails with NOT_YET_SAFE was applied: repeating it, as the client does
    /// by itself, waits again.
    pub fn ack(mut self, level: AckLevel) -> Self {
        self.spec.ack = level.into();
        self
    }

    /// How long a running handler may go on after a cancel. 0..1 h.
    pub fn cancel_grace(mut self, grace: Duration) -> Self {
        self.spec.cancel_grace = Some(wire_duration(grace));
        self
    }

    /// W3C traceparent of the caller: kept with the job and sent as metadata of the call.
    pub fn traceparent(mut self, traceparent: impl Into<String>) -> Self {
        self.spec.traceparent = traceparent.into();
        self
    }

    /// Makes repeats of this enqueue safe across processes. Without one the client makes its own,
    /// which covers only its own tries. 1..256 bytes.
    pub fn request_id(mut self, request_id: impl Into<String>) -> Self {
        self.request_id = request_id.into();
        self
    }

    /// Who asks, for the audit trail. At most 256 bytes.
    pub fn actor(mut self, actor: impl Into<String>) -> Self {
        self.actor = actor.into();
        self
    }

    /// The specification alone, as batches take it.
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
