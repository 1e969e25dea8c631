//! Protocol messages as JSON, with the field names of the protocol in lowerCamelCase.
//!
//! The form differs from protobuf's JSON mapping, to suit `jq`: 64-bit integers are numbers, and
//! bytes that hold JSON appear as that JSON. Other bytes appear as base64 in a field whose name
//! ends with `Base64`, so that a reader can tell them apart. Unset fields are omitted.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use prost_types::Timestamp;
use sentinel_client::proto::admin::v1::{AuditEntry, Key, Queue, Worker};
use sentinel_client::proto::jobs::v1::{
    Attempt, Job, JobError, JobKind, JobSpec, LogLine, Percentiles, Progress, QueueCounts,
    QueueSummary, ReadOutputResponse, RetryPolicy, StateCount, StateReason, Unique, WatchSummary,
    watch_response::Event,
};
use serde_json::{Map, Value, json};

/// Builds a JSON object. All methods but `put` omit an unset value.
struct Object(Map<String, Value>);

impl Object {
    fn new() -> Object {
        Object(Map::new())
    }

    fn put(mut self, name: &str, value: impl Into<Value>) -> Object {
        self.0.insert(name.to_owned(), value.into());
        self
    }

    fn optional(self, name: &str, value: Option<impl Into<Value>>) -> Object {
        match value {
            Some(value) => self.put(name, value),
            None => self,
        }
    }

    fn text(self, name: &str, text: &str) -> Object {
        self.optional(name, (!text.is_empty()).then_some(text))
    }

    fn time(self, name: &str, time: Option<&Timestamp>) -> Object {
        self.optional(name, time.map(ToString::to_string))
    }

    fn duration(self, name: &str, duration: Option<&prost_types::Duration>) -> Object {
        self.optional(name, duration.map(ToString::to_string))
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

    fn build(self) -> Value {
        Value::Object(self.0)
    }
}

/// Whether a media type is JSON. Jobs without a media type have JSON payloads.
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
        .optional("spec", job.spec.as_ref().map(spec))
        .put("state", job.state().as_str_name())
        .optional("reason", reason)
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
        .optional("progress", job.progress.as_ref().map(progress))
        .bytes("checkpoint", &job.checkpoint, spec_is_json)
        // A result has no media type.
        .bytes("result", &job.result, true)
        .optional("error", job.error.as_ref().map(error))
        .text("worker", &job.worker)
        .put("pendingDependencies", job.pending_dependencies)
        .build()
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
        .duration("delay", spec.delay.as_ref())
        .time("startDeadline", spec.start_deadline.as_ref())
        .duration("runTimeout", spec.run_timeout.as_ref())
        .optional("retry", spec.retry.as_ref().map(retry))
        .optional("labels", (!labels.is_empty()).then_some(labels))
        .optional("unique", spec.unique.as_ref().map(unique))
        .optional("dependsOn", (!spec.depends_on.is_empty()).then(|| spec.depends_on.clone()))
        .put("onDependencyFailure", spec.on_dependency_failure().as_str_name())
        .put("onLost", spec.on_lost().as_str_name())
        .text("traceparent", &spec.traceparent)
        .duration("cancelGrace", spec.cancel_grace.as_ref())
        .optional("ack", (spec.ack != 0).then(|| spec.ack().as_str_name()))
        .build()
}

fn retry(retry: &RetryPolicy) -> Value {
    Object::new()
        .put("maxAttempts", retry.max_attempts)
        .put("backoff", retry.backoff().as_str_name())
        .duration("base", retry.base.as_ref())
        .duration("cap", retry.cap.as_ref())
        .put("jitter", retry.jitter().as_str_name())
        .build()
}

fn unique(unique: &Unique) -> Value {
    Object::new()
        .put("key", unique.key.as_str())
        .put("scope", unique.scope().as_str_name())
        .put("mode", unique.mode().as_str_name())
        .duration("ttl", unique.ttl.as_ref())
        .build()
}

fn progress(progress: &Progress) -> Value {
    Object::new()
        .put("seq", progress.seq)
        .put("done", progress.done)
        .put("total", progress.total)
        .text("message", &progress.message)
        .build()
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
        .build()
}

/// A chunk of an attempt's output.
pub(super) fn output(chunk: &ReadOutputResponse) -> Value {
    Object::new()
        .put("run", chunk.run)
        .put("attempt", chunk.attempt)
        .put("offset", chunk.offset)
        .put("dataBase64", STANDARD.encode(&chunk.data))
        .build()
}

/// An attempt.
pub(super) fn attempt(attempt: &Attempt) -> Value {
    Object::new()
        .put("run", attempt.run)
        .put("attempt", attempt.attempt)
        .put("epoch", attempt.epoch)
        .put("outcome", attempt.outcome().as_str_name())
        .time("startedAt", attempt.started_at.as_ref())
        .time("finishedAt", attempt.finished_at.as_ref())
        .text("worker", &attempt.worker)
        .optional("error", attempt.error.as_ref().map(error))
        .build()
}

fn error(error: &JobError) -> Value {
    Object::new()
        .text("message", &error.message)
        .text("code", &error.code)
        .put("retryable", error.retryable)
        .text("detail", &error.detail)
        .build()
}

/// The numbers of jobs in each state of one queue.
pub(super) fn counts(counts: &QueueCounts) -> Value {
    json!({ "queue": counts.queue, "states": states(&counts.states) })
}

fn states(counts: &[StateCount]) -> Vec<Value> {
    let state = |one: &StateCount| {
        Object::new()
            .put("state", one.state().as_str_name())
            .put("count", one.count)
            .put("capped", one.capped)
            .build()
    };
    counts.iter().map(state).collect()
}

fn summary(summary: &WatchSummary) -> Value {
    let percentiles = |of: &Percentiles| {
        Object::new()
            .duration("p50", of.p50.as_ref())
            .duration("p95", of.p95.as_ref())
            .duration("p99", of.p99.as_ref())
            .put("samples", of.samples)
            .build()
    };
    let queue = |one: &QueueSummary| {
        Object::new()
            .put("queue", one.queue.as_str())
            .put("states", states(&one.states))
            .put("enqueuedPerSecond", one.enqueued_per_second)
            .put("startedPerSecond", one.started_per_second)
            .put("succeededPerSecond", one.succeeded_per_second)
            .put("failedPerSecond", one.failed_per_second)
            .duration("oldestReadyAge", one.oldest_ready_age.as_ref())
            .optional("wait", one.wait.as_ref().map(percentiles))
            .optional("run", one.run.as_ref().map(percentiles))
            .build()
    };
    Object::new()
        .put("queues", summary.queues.iter().map(queue).collect::<Vec<_>>())
        .time("asOf", summary.as_of.as_ref())
        .duration("window", summary.window.as_ref())
        .optional("workers", summary.workers)
        .build()
}

/// A queue.
pub(super) fn queue(queue: &Queue) -> Value {
    Object::new()
        .put("name", queue.name.as_str())
        .put("mode", queue.mode().as_str_name())
        .put("order", queue.order().as_str_name())
        .duration("priorityBoost", queue.priority_boost.as_ref())
        .text("description", &queue.description)
        .optional("indexPaths", (!queue.index_paths.is_empty()).then(|| queue.index_paths.clone()))
        .time("createdAt", queue.created_at.as_ref())
        .build()
}

/// A kind. Its schema is embedded as JSON.
pub(super) fn kind(kind: &JobKind) -> Value {
    let schema = serde_json::from_str::<Value>(&kind.input_schema).ok();
    Object::new()
        .put("name", kind.name.as_str())
        .text("description", &kind.description)
        .optional("inputSchema", schema)
        .put("workers", kind.workers)
        .put("schemas", kind.schemas)
        .time("lastSeen", kind.last_seen.as_ref())
        .time("declaredAt", kind.declared_at.as_ref())
        .build()
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
        .optional("labels", (!labels.is_empty()).then_some(labels))
        .put("capabilities", worker.capabilities.clone())
        .text("server", &worker.server)
        .time("since", worker.since.as_ref())
        .time("lastSeen", worker.last_seen.as_ref())
        .put("draining", worker.draining)
        .put("runningJobs", worker.running_jobs)
        .put("slots", worker.slots)
        .build()
}

/// An API key, without its secret.
pub(super) fn key(key: &Key) -> Value {
    Object::new()
        .put("id", key.id.as_str())
        .put("name", key.name.as_str())
        .put("role", key.role().as_str_name())
        .optional("queues", (!key.queues.is_empty()).then(|| key.queues.clone()))
        .time("createdAt", key.created_at.as_ref())
        .text("createdBy", &key.created_by)
        .time("expiresAt", key.expires_at.as_ref())
        .time("revokedAt", key.revoked_at.as_ref())
        .time("lastUsedAt", key.last_used_at.as_ref())
        .build()
}

/// An entry of the audit log.
pub(super) fn audit_entry(entry: &AuditEntry) -> Value {
    Object::new()
        .put("id", entry.id.as_str())
        .time("at", entry.at.as_ref())
        .put("actor", entry.actor.as_str())
        .text("keyId", &entry.key_id)
        .put("action", entry.action.as_str())
        .text("target", &entry.target)
        .text("peer", &entry.peer)
        .text("requestId", &entry.request_id)
        .put("outcome", entry.outcome.as_str())
        .build()
}

/// An event of a watch, with the cursor to resume after it.
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
                .build(),
        ),
        Event::Change(change) => {
            ("change", Object::new().optional("job", change.job.as_ref().map(job)).build())
        }
        Event::Progress(one) => (
            "progress",
            Object::new()
                .put("id", one.id.as_str())
                .put("attempt", one.attempt)
                .optional("progress", one.progress.as_ref().map(progress))
                .build(),
        ),
        Event::Log(log) => {
            let lines: Vec<Value> = log.lines.iter().map(log_line).collect();
            ("log", Object::new().put("id", log.id.as_str()).put("lines", lines).build())
        }
        Event::Gap(gap) => ("gap", json!({ "reason": gap.reason().as_str_name() })),
        Event::Keepalive(_) => ("keepalive", json!({})),
        Event::Summary(one) => ("summary", summary(one)),
    };
    Object::new().put(name, value).text("cursor", cursor).build()
}
