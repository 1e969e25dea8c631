//! What spans say about a job, by the messaging conventions of OpenTelemetry, and how a
//! trace goes from the caller through the job's record to its handler.
//!
//! The job carries the `traceparent` of its enqueue. A handler's span is not a child of
//! it but *links* to it: an attempt may start hours later and many times, and a trace that
//! stays open for that long is of no use.

use std::time::SystemTime;

use opentelemetry::propagation::{Extractor, TextMapPropagator};
use opentelemetry::trace::{Link, Span as _, SpanContext, SpanKind, TraceContextExt, Tracer};
use opentelemetry::{Context, KeyValue};
use opentelemetry_sdk::propagation::TraceContextPropagator;
use sentinel_domain::limits::NAME_BYTES;
use tracing::Span;
use tracing_opentelemetry::OpenTelemetrySpanExt;

const TRACEPARENT: &str = "traceparent";

/// What a span says about one job.
#[derive(Debug, Clone, Copy)]
pub struct JobSpan<'a> {
    /// Its queue.
    pub queue: &'a str,
    /// Its kind.
    pub kind: &'a str,
    /// Its id; empty where it is not known yet, to be given to [`record_job_id`] later.
    pub job_id: &'a str,
}

/// Names of jobs that were not checked yet may be of any length; a span is not.
fn short(name: &str) -> &str {
    &name[..name.floor_char_boundary(NAME_BYTES as usize)]
}

/// A PRODUCER span for a batch, a child of the current span: `enqueue {queue}` where all jobs
/// are of one queue, else `enqueue`.
pub fn batch_span<'a>(queues: impl IntoIterator<Item = &'a str>) -> Span {
    let mut queues = queues.into_iter();
    let first = queues.next().unwrap_or_default();
    let mut count: i64 = 1;
    let mut is_one = true;
    for queue in queues {
        count += 1;
        is_one &= queue == first;
    }
    let queue = if is_one { short(first) } else { "" };
    let span = tracing::info_span!(
        "enqueue",
        otel.name = format!("enqueue {queue}").trim_end(),
        otel.kind = "producer",
        otel.status_code = tracing::field::Empty,
        messaging.system = "sentinel",
        messaging.operation.name = "enqueue",
        messaging.operation.type = "send",
        messaging.destination.name = tracing::field::Empty,
        messaging.batch.message_count = count,
        queue = tracing::field::Empty,
    );
    if is_one {
        span.record("messaging.destination.name", queue);
        span.record("queue", queue);
    }
    span
}

/// A PRODUCER span `enqueue {queue}`, a child of the current span.
pub fn enqueue_span(job: JobSpan<'_>) -> Span {
    let job = JobSpan { queue: short(job.queue), kind: short(job.kind), ..job };
    let span = tracing::info_span!(
        "enqueue",
        otel.name = format!("enqueue {}", job.queue),
        otel.kind = "producer",
        otel.status_code = tracing::field::Empty,
        messaging.system = "sentinel",
        messaging.operation.name = "enqueue",
        messaging.operation.type = "send",
        messaging.destination.name = job.queue,
        messaging.message.id = tracing::field::Empty,
        sentinel.job.kind = job.kind,
        queue = job.queue,
        job_id = tracing::field::Empty,
    );
    record_job_id(&span, job.job_id);
    span
}

/// When an attempt began and ended.
pub type Times = (SystemTime, SystemTime);

/// One attempt that has ended, as a CONSUMER span `process {queue}` with its own times: the
/// root of a trace of its own that links to the enqueue's.
pub fn record_process(
    tracer: &impl Tracer,
    job: JobSpan<'_>,
    attempt: u32,
    times: Times,
    traceparent: &str,
) {
    let attributes = [
        KeyValue::new("messaging.system", "sentinel"),
        KeyValue::new("messaging.operation.name", "process"),
        KeyValue::new("messaging.operation.type", "process"),
        KeyValue::new("messaging.destination.name", job.queue.to_owned()),
        KeyValue::new("messaging.message.id", job.job_id.to_owned()),
        KeyValue::new("sentinel.job.kind", job.kind.to_owned()),
        KeyValue::new("sentinel.job.attempt", i64::from(attempt)),
    ];
    let span = tracer
        .span_builder(format!("process {}", job.queue))
        .with_kind(SpanKind::Consumer)
        .with_start_time(times.0)
        .with_attributes(attributes)
        .with_links(producer_of(traceparent).map(Link::with_context).into_iter().collect());
    tracer.build_with_context(span, &Context::new()).end_with_timestamp(times.1);
}

/// Says which job a span made by [`enqueue_span`] is about.
pub fn record_job_id(span: &Span, job_id: &str) {
    if !job_id.is_empty() {
        span.record("messaging.message.id", job_id);
        span.record("job_id", job_id);
    }
}

/// The span that a W3C `traceparent` names; none where it names no valid one.
pub fn producer_of(traceparent: &str) -> Option<SpanContext> {
    let context = TraceContextPropagator::new()
        .extract_with_context(&Context::new(), &OneHeader(traceparent));
    let span = context.span().span_context().clone();
    span.is_valid().then_some(span)
}

/// Makes the span that a W3C `traceparent` names the parent of `span`, which must not have
/// been entered yet. An invalid one leaves `span` a root.
pub fn set_parent(span: &Span, traceparent: &str) {
    if let Some(parent) = producer_of(traceparent) {
        // It fails where traces are off or the span is filtered out: nothing to connect then.
        let _ = span.set_parent(Context::new().with_remote_span_context(parent));
    }
}

/// The `traceparent` to store with a job: of `span` where traces are on, else the caller's
/// own, so that a server without a collector does not break the caller's trace.
pub fn traceparent_for(span: &Span, caller: &str) -> String {
    let context = span.context();
    let of_span = context.span().span_context().clone();
    if of_span.is_valid() {
        return to_traceparent(&of_span);
    }
    if producer_of(caller).is_some() { caller.to_owned() } else { String::new() }
}

/// The W3C form of a span's identity.
pub fn to_traceparent(span: &SpanContext) -> String {
    format!("00-{}-{}-{:02x}", span.trace_id(), span.span_id(), span.trace_flags().to_u8())
}

struct OneHeader<'a>(&'a str);

impl Extractor for OneHeader<'_> {
    fn get(&self, key: &str) -> Option<&str> {
        (key == TRACEPARENT).then_some(self.0)
    }

    fn keys(&self) -> Vec<&str> {
        vec![TRACEPARENT]
    }
}
