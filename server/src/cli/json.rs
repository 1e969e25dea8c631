//! Messages as JSON under the field names of the protocol in lowerCamelCase.
//!
//! Two deviations from the mapping of protobuf, for those who read with `jq`: 64-bit
//! numbers are numbers, and bytes that hold JSON appear as that JSON. Other bytes appear in
//! base64 under the name of the field followed by `Base64`, so that neither is taken for
//! the other. Fields that are not set are left out.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use prost_types::Timestamp;
use sentinel_client::proto::admin::v1::{Queue, Worker};
use sentinel_client::proto::jobs::v1::{
    Attempt, Job, JobError, JobKind, JobSpec, LogLine, Percentiles, Progress, QueueCounts,
    QueueSummary, ReadOutputResponse, RetryPolicy, StateCount, StateReason, Unique, WatchSummary,
    watch_response::Event,
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

/// A piece of output.
pub(super) fn output(piece: &ReadOutputResponse) -> Value {
    Object::new()
        .put("run", piece.run)
        .put("attempt", piece.attempt)
        .put("offset", piece.offset)
        .put("dataBase64", STANDARD.encode(&piece.data))
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
    json!({ "queue": counts.queue, "states": states(&counts.states) })
}

fn states(counts: &[StateCount]) -> Vec<Value> {
    let state = |one: &StateCount| json!({ "state": one.state().as_str_name(), "count": one.count, "capped": one.capped });
    counts.iter().map(state).collect()
}

fn summary(summary: &WatchSummary) -> Value {
    let percentiles = |of: &Percentiles| {
        Object::new()
            .span("p50", of.p50.as_ref())
            .span("p95", of.p95.as_ref())
            .span("p99", of.p99.as_ref())
            .put("samples", of.samples)
            .end()
    };
    let queue = |one: &QueueSummary| {
        Object::new()
            .put("queue", one.queue.as_str())
            .put("states", states(&one.states))
            .put("enqueuedPerSecond", one.enqueued_per_second)
            .put("startedPerSecond", one.started_per_second)
            .put("succeededPerSecond", one.succeeded_per_second)
            .put("failedPerSecond", one.failed_per_second)
            .span("oldestReadyAge", one.oldest_ready_age.as_ref())
            .some("wait", one.wait.as_ref().map(percentiles))
            .some("run", one.run.as_ref().map(percentiles))
            .end()
    };
    Object::new()
        .put("queues", summary.queues.iter().map(queue).collect::<Vec<_>>())
        .time("asOf", summary.as_of.as_ref())
        .span("window", summary.window.as_ref())
        .some("workers", summary.workers)
        .end()
}

/// A queue.
pub(super) fn queue(queue: &Queue) -> Value {
    Object::new()
        .put("name", queue.name.as_str())
        .put("mode", queue.mode().as_str_name())
        .put("order", queue.order().as_str_name())
        .span("priorityBoost", queue.priority_boost.as_ref())
        .text("description", &queue.description)
        .some("indexPaths", (!queue.index_paths.is_empty()).then(|| queue.index_paths.clone()))
        .time("createdAt", queue.created_at.as_ref())
        .end()
}

/// A kind; its schema as JSON.
pub(super) fn kind(kind: &JobKind) -> Value {
    let schema = serde_json::from_str::<Value>(&kind.input_schema).ok();
    Object::new()
        .put("name", kind.name.as_str())
        .text("description", &kind.description)
        .some("inputSchema", schema)
        .put("workers", kind.workers)
        .put("schemas", kind.schemas)
        .time("lastSeen", kind.last_seen.as_ref())
        .time("declaredAt", kind.declared_at.as_ref())
        .end()
}

/// A worker.
pub(super) fn worker(worker: &Worker) -> Value {
    let labels: Map<String, Value> =
        worker.labels.iter().map(|(key, value)| (key.clone(), value.as_str().into())).collect();
    Object::new()
        .put("id", worker.id.as_str())
        .put("instance", worker.instance.as_str())
        .text("build", &worker.build)
        .put("queues", worker.queues.clone())
        .put("kinds", worker.kinds.clone())
        .some("labels", (!labels.is_empty()).then_some(labels))
        .put("capabilities", worker.capabilities.clone())
        .text("server", &worker.server)
        .time("since", worker.since.as_ref())
        .time("lastSeen", worker.last_seen.as_ref())
        .put("draining", worker.draining)
        .put("runningJobs", worker.running_jobs)
        .put("slots", worker.slots)
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
        Event::Summary(one) => ("summary", summary(one)),
    };
    Object::new().put(name, value).text("cursor", cursor).end()
}
