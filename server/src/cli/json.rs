//! Messages as JSON under the field names of the protocol in lowerCamelCase.
//!
//! Two deviations from the mapping of protobuf, for those who read with `jq`: 64-bit
//! numbers are numbers, and bytes that hold JSON appear as that JSON. Other bytes appear in
//! base64 under the name of the field followed by `Base64`, so that neither is taken for
//! the other. Fields that are not set are left out.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use prost_types::Timestamp;
use sentinel_client::proto::admin::v1::Queue;
use sentinel_client::proto::jobs::v1::{
    Attempt, Job, JobError, JobSpec, LogLine, Progress, QueueCounts, RetryPolicy, StateReason,
    Unique, watch_response::Event,
};
use serde_json::{Map, Value, json};

/// An object that leaves out what is not set.
struct Object(Map<String, Value>);

impl Object {
    fn new() -> Object {
        Object(Map::new())
    }

    fn put(mut self, name: &str, value: impl Into<Value>) -> Object {
        self.0.insert(name.to_owned(), value.into());
        self
    }

    fn some(self, name: &str, value: Option<impl Into<Value>>) -> Object {
        match value {
            Some(value) => self.put(name, value),
            None => self,
        }
    }

    fn text(self, name: &str, text: &str) -> Object {
        self.some(name, (!text.is_empty()).then_some(text))
    }

    fn time(self, name: &str, time: Option<&Timestamp>) -> Object {
        self.some(name, time.map(ToString::to_string))
    }

    fn span(self, name: &str, span: Option<&prost_types::Duration>) -> Object {
        self.some(name, span.map(ToString::to_string))
    }

    fn bytes(self, name: &str, bytes: &[u8], is_json: bool) -> Object {
        if bytes.is_empty() {
            return self;
        }
        match serde_json::from_slice::<Value>(bytes) {
            Ok(value) if is_json => self.put(name, value),
            _ => self.put(&format!("{name}Base64"), STANDARD.encode(bytes)),
        }
    }

    fn end(self) -> Value {
        Value::Object(self.0)
    }
}

/// Whether a media type promises JSON; the default of a job does.
pub(super) fn is_json(content_type: &str) -> bool {
    let media = content_type.split(';').next().unwrap_or_default().trim();
    media.is_empty() || media == "application/json" || media.ends_with("+json")
}

/// A job.
pub(super) fn job(job: &Job) -> Value {
    let spec_is_json = job.spec.as_ref().is_none_or(|spec| is_json(&spec.content_type));
    let reason = (job.reason() != StateReason::Unspecified).then(|| job.reason().as_str_name());
    Object::new()
        .put("id", job.id.as_str())
        .some("spec", job.spec.as_ref().map(spec))
        .put("state", job.state().as_str_name())
        .some("reason", reason)
        .put("version", job.version)
        .put("run", job.run)
        .put("attempt", job.attempt)
        .put("crashes", job.crashes)
        .put("cancelRequested", job.cancel_requested)
        .time("createdAt", job.created_at.as_ref())
        .time("readyAt", job.ready_at.as_ref())
        .time("startedAt", job.started_at.as_ref())
        .time("finishedAt", job.finished_at.as_ref())
        .time("updatedAt", job.updated_at.as_ref())
        .some("progress", job.progress.as_ref().map(progress))
        .bytes("checkpoint", &job.checkpoint, spec_is_json)
        // A result carries no media type of its own.
        .bytes("result", &job.result, true)
        .some("error", job.error.as_ref().map(error))
        .text("worker", &job.worker)
        .put("pendingDependencies", job.pending_dependencies)
        .end()
}

fn spec(spec: &JobSpec) -> Value {
    let labels: Map<String, Value> =
        spec.labels.iter().map(|(key, value)| (key.clone(), value.as_str().into())).collect();
    Object::new()
        .put("queue", spec.queue.as_str())
        .put("kind", spec.kind.as_str())
        .bytes("payload", &spec.payload, is_json(&spec.content_type))
        .text("contentType", &spec.content_type)
        .put("priority", spec.priority)
        .time("runAt", spec.run_at.as_ref())
        .span("delay", spec.delay.as_ref())
        .time("startDeadline", spec.start_deadline.as_ref())
        .span("runTimeout", spec.run_timeout.as_ref())
        .some("retry", spec.retry.as_ref().map(retry))
        .some("labels", (!labels.is_empty()).then_some(labels))
        .some("unique", spec.unique.as_ref().map(unique))
        .some("dependsOn", (!spec.depends_on.is_empty()).then(|| spec.depends_on.clone()))
        .put("onDependencyFailure", spec.on_dependency_failure().as_str_name())
        .put("onLost", spec.on_lost().as_str_name())
        .text("traceparent", &spec.traceparent)
        .span("cancelGrace", spec.cancel_grace.as_ref())
        .some("ack", (spec.ack != 0).then(|| spec.ack().as_str_name()))
        .end()
}

fn retry(retry: &RetryPolicy) -> Value {
    Object::new()
        .put("maxAttempts", retry.max_attempts)
        .put("backoff", retry.backoff().as_str_name())
        .span("base", retry.base.as_ref())
        .span("cap", retry.cap.as_ref())
        .put("jitter", retry.jitter().as_str_name())
        .end()
}

fn unique(unique: &Unique) -> Value {
    Object::new()
        .put("key", unique.key.as_str())
        .put("scope", unique.scope().as_str_name())
        .put("mode", unique.mode().as_str_name())
        .span("ttl", unique.ttl.as_ref())
        .end()
}

fn progress(progress: &Progress) -> Value {
    Object::new()
        .put("seq", progress.seq)
        .put("done", progress.done)
        .put("total", progress.total)
        .text("message", &progress.message)
        .end()
}

/// A log line.
pub(super) fn log_line(line: &LogLine) -> Value {
    Object::new()
        .put("run", line.run)
        .put("attempt", line.attempt)
        .put("seq", line.seq)
        .time("time", line.time.as_ref())
        .put("level", line.level().as_str_name())
        .put("text", line.text.as_str())
        .end()
}

/// An attempt.
pub(super) fn attempt(attempt: &Attempt) -> Value {
    Object::new()
        .put("run", attempt.run)
        .put("attempt", attempt.attempt)
        .put("epoch", attempt.epoch)
        .put("outcome", attempt.outcome().as_str_name())
        .time("startedAt", attempt.started_at.as_ref())
        .time("endedAt", attempt.ended_at.as_ref())
        .text("worker", &attempt.worker)
        .some("error", attempt.error.as_ref().map(error))
        .end()
}

fn error(error: &JobError) -> Value {
    Object::new()
        .text("message", &error.message)
        .text("code", &error.code)
        .put("retryable", error.retryable)
        .end()
}

/// The counts of one queue.
pub(super) fn counts(counts: &QueueCounts) -> Value {
    let state = |one: &sentinel_client::proto::jobs::v1::StateCount| json!({ "state": one.state().as_str_name(), "count": one.count, "capped": one.capped });
    let states: Vec<Value> = counts.states.iter().map(state).collect();
    json!({ "queue": counts.queue, "states": states })
}

/// A queue.
pub(super) fn queue(queue: &Queue) -> Value {
    Object::new()
        .put("name", queue.name.as_str())
        .put("mode", queue.mode().as_str_name())
        .put("order", queue.order().as_str_name())
        .span("priorityBoost", queue.priority_boost.as_ref())
        .text("description", &queue.description)
        .time("createdAt", queue.created_at.as_ref())
        .end()
}

/// A frame of a watch, and where to resume after it.
pub(super) fn event(event: &Event, cursor: &str) -> Value {
    let (name, value) = match event {
        Event::Snapshot(snapshot) => (
            "snapshot",
            Object::new()
                .put("jobs", snapshot.jobs.iter().map(job).collect::<Vec<_>>())
                .put("truncated", snapshot.truncated)
                .put("unknownIds", snapshot.unknown_ids.clone())
                .put("counts", snapshot.counts.iter().map(counts).collect::<Vec<_>>())
                .put("continues", snapshot.continues)
                .end(),
        ),
        Event::Change(change) => {
            ("change", Object::new().some("job", change.job.as_ref().map(job)).end())
        }
        Event::Progress(one) => (
            "progress",
            Object::new()
                .put("id", one.id.as_str())
                .put("attempt", one.attempt)
                .some("progress", one.progress.as_ref().map(progress))
                .end(),
        ),
        Event::Log(log) => {
            let lines: Vec<Value> = log.lines.iter().map(log_line).collect();
            ("log", Object::new().put("id", log.id.as_str()).put("lines", lines).end())
        }
        Event::Gap(gap) => ("gap", json!({ "reason": gap.reason().as_str_name() })),
        Event::Keepalive(_) => ("keepalive", json!({})),
    };
    Object::new().put(name, value).text("cursor", cursor).end()
}
