//! Validates a new job, fills in its defaults and determines its initial state.

use std::sync::Arc;

use bytes::Bytes;

use crate::limits as l;
use crate::spec::{Ack, DependencyFailure, Label, OnLost, Spec, Unique, UniqueMode, UniqueScope};
use crate::{
    Backoff, FieldViolation, INDEXED_LABEL_PREFIX, Jitter, Job, JobId, Millis, Reason, RetryPolicy,
    State, Status,
};

/// The unvalidated input of an enqueue. Unset fields get defaults from [`NewJob::into_spec`].
#[derive(Clone, Debug, Default)]
pub struct NewJob {
    pub queue: String,
    pub kind: String,
    pub payload: Bytes,
    pub content_type: String,
    pub priority: u32,
    pub run_at: Option<Millis>,
    pub delay_ms: Option<i64>,
    pub start_deadline: Option<Millis>,
    pub run_timeout_ms: Option<i64>,
    pub max_attempts: u32,
    pub backoff: Option<Backoff>,
    pub retry_base_ms: Option<i64>,
    pub retry_cap_ms: Option<i64>,
    pub jitter: Option<Jitter>,
    pub labels: Vec<(String, String)>,
    pub unique_key: Option<String>,
    pub unique_scope: Option<UniqueScope>,
    pub unique_mode: Option<UniqueMode>,
    pub unique_ttl_ms: Option<i64>,
    pub depends_on: Vec<String>,
    pub on_dependency_failure: Option<DependencyFailure>,
    pub on_lost: Option<OnLost>,
    pub traceparent: String,
    pub cancel_grace_ms: Option<i64>,
    pub ack: Option<Ack>,
}

/// Collects the violations of a job at a path such as `spec` or `specs[3]`.
struct Validator<'a> {
    path: &'a str,
    found: Vec<FieldViolation>,
}

impl Validator<'_> {
    fn fail(&mut self, field: &str, description: String) {
        self.found.push(FieldViolation::new(format!("{}.{field}", self.path), description));
    }

    fn name(&mut self, field: &str, name: &str) {
        let path = format!("{}.{field}", self.path);
        check_name(&mut self.found, &path, name);
    }

    fn len(&mut self, field: &str, len: usize, max: u64) {
        if len as u64 > max {
            self.fail(field, format!("{len} bytes is too long: at most {max} bytes"));
        }
    }

    /// Checks that a time fits into a `google.protobuf.Timestamp`.
    fn time(&mut self, field: &str, at: Option<Millis>) {
        let (min, max) = l::TIME_RANGE_MS;
        if at.is_some_and(|at| !(min..=max).contains(&at)) {
            self.fail(field, "is out of range: 0001-01-01 to 9999-12-31".into());
        }
    }

    /// Checks an optional duration in milliseconds and returns it if it is in range.
    fn range(&mut self, field: &str, value: Option<i64>, (min, max): (u64, u64)) -> Option<u64> {
        let value = value?;
        match u64::try_from(value) {
            Ok(value) if (min..=max).contains(&value) => Some(value),
            _ => {
                self.fail(field, format!("{value} ms is out of range: {min}..={max} ms"));
                None
            }
        }
    }
}

/// Checks the name of a queue or kind, or the key of a label: 1 to 128 of `[A-Za-z0-9._-]`.
pub fn check_name(found: &mut Vec<FieldViolation>, field: &str, name: &str) {
    let is_allowed = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-');
    if name.is_empty() {
        found.push(FieldViolation::new(field, "is empty: 1 to 128 characters of [A-Za-z0-9._-]"));
    } else if name.len() as u64 > l::NAME_BYTES {
        let len = name.len();
        found.push(FieldViolation::new(
            field,
            format!("{len} bytes is too long: 1 to 128 characters of [A-Za-z0-9._-]"),
        ));
    } else if let Some(bad) = name.chars().find(|c| !c.is_ascii() || !is_allowed(*c as u8)) {
        found.push(FieldViolation::new(
            field,
            format!("character {bad:?} is not allowed: 1 to 128 characters of [A-Za-z0-9._-]"),
        ));
    }
}

pub(crate) fn check_len(found: &mut Vec<FieldViolation>, field: &str, len: usize, max: u64) {
    if len as u64 > max {
        found.push(FieldViolation::new(
            field,
            format!("{len} bytes is too long: at most {max} bytes"),
        ));
    }
}

impl NewJob {
    /// Validates the input and fills in the defaults. `path` is the field of the request that
    /// contains the job; `payload_max_bytes` is the server's setting.
    ///
    /// # Errors
    ///
    /// Returns every violation, not only the first.
    pub fn into_spec(
        self,
        path: &str,
        actor: &str,
        now: Millis,
        payload_max_bytes: u64,
    ) -> Result<Spec, Vec<FieldViolation>> {
        let mut check = Validator { path, found: Vec::new() };
        check.name("queue", &self.queue);
        check.name("kind", &self.kind);
        check.len("payload", self.payload.len(), payload_max_bytes);
        check.len("content_type", self.content_type.len(), l::CONTENT_TYPE_BYTES);
        check.len("traceparent", self.traceparent.len(), l::KEY_BYTES);
        if u64::from(self.priority) > l::PRIORITY_MAX {
            check.fail(
                "priority",
                format!("{} is out of range: 0..={}", self.priority, l::PRIORITY_MAX),
            );
        }
        let run_at = self.run_at(&mut check, now);
        if let Some(deadline) = self.start_deadline
            && deadline <= run_at.max(now)
        {
            let at = if run_at > now { "run_at" } else { "now" };
            check.fail("start_deadline", format!("must be after {at}"));
        }
        check.time("start_deadline", self.start_deadline);
        let run_timeout_ms =
            check.range("run_timeout", self.run_timeout_ms, (1, l::RUN_TIMEOUT_MAX_MS));
        let cancel_grace_ms =
            check.range("cancel_grace", self.cancel_grace_ms, (0, l::CANCEL_GRACE_MAX_MS));
        let retry = self.retry(&mut check);
        let labels = self.labels(&mut check);
        let depends_on = self.depends_on(&mut check);
        let unique = self.unique(&mut check);
        if !check.found.is_empty() {
            return Err(check.found);
        }
        let content_type =
            if self.content_type.is_empty() { "application/json" } else { &self.content_type };
        let filled = |text: &str| (!text.is_empty()).then(|| Box::from(text));
        Ok(Spec {
            queue: self.queue.into(),
            kind: self.kind.into(),
            payload: self.payload,
            content_type: content_type.into(),
            priority: self.priority as u8,
            created_at: now,
            run_at: run_at.max(now),
            start_deadline: self.start_deadline,
            run_timeout_ms,
            retry,
            labels,
            unique,
            depends_on,
            on_dependency_failure: self.on_dependency_failure.unwrap_or(DependencyFailure::Cancel),
            on_lost: self.on_lost.unwrap_or(OnLost::Retry),
            traceparent: filled(&self.traceparent),
            cancel_grace_ms: cancel_grace_ms.unwrap_or(l::CANCEL_GRACE_MS),
            actor: filled(actor),
            ack: self.ack,
            unknown_fields: None,
        })
    }

    fn run_at(&self, check: &mut Validator<'_>, now: Millis) -> Millis {
        if self.run_at.is_some() && self.delay_ms.is_some() {
            check.fail("delay", "run_at is also set: set only one of them".into());
        }
        let delay = check.range("delay", self.delay_ms, (0, l::DELAY_MAX_MS));
        if let Some(delay) = delay {
            return now.saturating_add_unsigned(delay);
        }
        let run_at = self.run_at.unwrap_or(now);
        if run_at.saturating_sub(now) > l::DELAY_MAX_MS.cast_signed() {
            check.fail("run_at", "is too far in the future: at most 366 days".into());
        } else {
            check.time("run_at", self.run_at);
        }
        run_at
    }

    fn retry(&self, check: &mut Validator<'_>) -> RetryPolicy {
        let default = RetryPolicy::default();
        if u64::from(self.max_attempts) > l::ATTEMPTS_MAX {
            let got = self.max_attempts;
            check.fail(
                "retry.max_attempts",
                format!("{got} is out of range: 1..={}", l::ATTEMPTS_MAX),
            );
        }
        let base = check.range("retry.base", self.retry_base_ms, (1, l::RETRY_BASE_MAX_MS));
        let base_ms = base.unwrap_or(default.base_ms);
        // An invalid base has its own violation and sets no minimum for the cap.
        let is_base_invalid = self.retry_base_ms.is_some() && base.is_none();
        let cap_min_ms = if is_base_invalid { 1 } else { base_ms };
        let cap = check.range("retry.cap", self.retry_cap_ms, (cap_min_ms, l::RETRY_CAP_MAX_MS));
        RetryPolicy {
            max_attempts: if self.max_attempts == 0 {
                default.max_attempts
            } else {
                self.max_attempts
            },
            backoff: self.backoff.unwrap_or(default.backoff),
            base_ms,
            cap_ms: cap.unwrap_or(default.cap_ms.max(base_ms)),
            jitter: self.jitter.unwrap_or(default.jitter),
        }
    }

    fn labels(&self, check: &mut Validator<'_>) -> Box<[Label]> {
        let count = self.labels.len();
        if count as u64 > l::LABELS {
            check.fail("labels", format!("{count} labels is too many: at most {}", l::LABELS));
            return Box::default();
        }
        let mut labels: Vec<Label> = Vec::with_capacity(count);
        for (key, value) in &self.labels {
            let field = label_field(key);
            check.name(&field, key);
            check.len(&field, value.len(), l::KEY_BYTES);
            if key.starts_with(INDEXED_LABEL_PREFIX) {
                let text =
                    "keys with the prefix payload. are reserved for the index_paths of the queue";
                check.fail(&field, text.into());
            }
            labels.push(Label { key: key.as_str().into(), value: value.as_str().into() });
        }
        labels.sort();
        labels.into()
    }

    fn depends_on(&self, check: &mut Validator<'_>) -> Box<[JobId]> {
        let count = self.depends_on.len();
        if count as u64 > l::DEPENDENCIES {
            check.fail(
                "depends_on",
                format!("{count} jobs is too many: at most {}", l::DEPENDENCIES),
            );
            return Box::default();
        }
        let mut ids: Vec<JobId> = Vec::with_capacity(count);
        for (at, text) in self.depends_on.iter().enumerate() {
            match text.parse() {
                Ok(id) => ids.push(id),
                Err(_) => check.fail(&format!("depends_on[{at}]"), "is not a UUID".into()),
            }
        }
        ids.sort();
        ids.dedup();
        ids.into()
    }

    fn unique(&self, check: &mut Validator<'_>) -> Option<Box<Unique>> {
        let key = self.unique_key.as_deref()?;
        if key.is_empty() {
            check.fail("unique.key", "is empty: 1 to 256 bytes".into());
        }
        check.len("unique.key", key.len(), l::KEY_BYTES);
        let range = (l::UNIQUE_TTL_MIN_MS, l::UNIQUE_TTL_MAX_MS);
        let ttl_ms = check.range("unique.ttl", self.unique_ttl_ms, range);
        let mode = self.unique_mode.unwrap_or(UniqueMode::ReturnExisting);
        if mode == UniqueMode::Debounce && self.run_at.is_none() && self.delay_ms.is_none() {
            check.fail("unique.mode", "DEBOUNCE needs run_at or delay".into());
        }
        let scope = self.unique_scope.unwrap_or(UniqueScope::Kind);
        Some(Box::new(Unique { key: key.into(), scope, mode, ttl_ms }))
    }
}

/// Returns the field path of a label. A long key is truncated, because the violation is sent in
/// response headers.
fn label_field(key: &str) -> String {
    let shown: String = key.chars().take(32).collect();
    format!("labels[{shown:?}]")
}

/// A dependency of a new job, with its state at the time of the enqueue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Dependency {
    pub id: JobId,
    pub state: State,
}

/// Returns a new job in its initial state. `dependencies` must contain every id of `depends_on`.
pub fn initial_state(id: JobId, spec: Arc<Spec>, dependencies: &[Dependency], now: Millis) -> Job {
    let waiting_for: Box<[JobId]> =
        dependencies.iter().filter(|d| !d.state.is_terminal()).map(|d| d.id).collect();
    let has_failed_dependency = spec.on_dependency_failure == DependencyFailure::Cancel
        && dependencies.iter().any(|d| d.state.is_terminal() && d.state != State::Succeeded);
    let (state, reason) = if has_failed_dependency {
        (State::Cancelled, Reason::DependencyFailed)
    } else if !waiting_for.is_empty() {
        (State::Blocked, Reason::None)
    } else if spec.run_at > now {
        (State::Scheduled, Reason::None)
    } else {
        (State::Ready, Reason::None)
    };
    let status = Status {
        state,
        reason,
        version: 1,
        run: 1,
        attempt: 0,
        crashes: 0,
        epoch: 0,
        was_snoozed: false,
        revision: 0,
        ready_at: spec.run_at,
        updated_at: now,
        started_at: None,
        finished_at: state.is_terminal().then_some(now),
        lease: None,
        cancel: None,
        error: None,
        result: None,
        checkpoint: None,
        progress: None,
        waiting_for: if has_failed_dependency { Box::default() } else { waiting_for },
        worker: None,
        recorded_lease: None,
        unknown_fields: None,
    };
    Job { id, spec, status }
}
