//! The spans of a job, following OpenTelemetry's semantic conventions for messaging, and the
//! propagation of the trace context from the producer through the job to its handler.
//!
//! A job stores the `traceparent` of its enqueue. The span of an attempt is not a child of that
//! span but has a *link* to it: an attempt may start hours later and several times, and traces that
//! stay open that long are hard to use.

use std::time::SystemTime;

use opentelemetry::propagation::{Extractor, TextMapPropagator};
use opentelemetry::trace::{Link, Span as _, SpanContext, SpanKind, TraceContextExt, Tracer};
use opentelemetry::{Context, KeyValue};
use opentelemetry_sdk::propagation::TraceContextPropagator;
use sentinel_domain::limits::NAME_BYTES;
use tracing::Span;
use tracing_opentelemetry::OpenTelemetrySpanExt;

const TRACEPARENT: &str = "traceparent";

/// The attributes of a job's span.
#[derive(Debug, Clone, Copy)]
pub struct JobSpan<'a> {
    /// The queue.
    pub queue: &'a str,
    /// The kind.
    pub kind: &'a str,
    /// The job id; empty if it is not known yet and [`record_job_id`] sets it later.
    pub job_id: &'a str,
}

/// Cuts a name that is not validated yet to the maximum length of a name.
fn truncated(name: &str) -> &str {
    &name[..name.floor_char_boundary(NAME_BYTES as usize)]
}

/// Creates the PRODUCER span of a batch as a child of the current span. Its name is
/// `enqueue {queue}` if all jobs have the same queue, else `enqueue`.
pub fn batch_span<'a>(queues: impl IntoIterator<Item = &'a str>) -> Span {
    let mut queues = queues.into_iter();
    let first = queues.next().unwrap_or_default();
    let mut count: i64 = 1;
    let mut is_single_queue = true;
    for queue in queues {
        count += 1;
        is_single_queue &= queue == first;
    }
    let queue = if is_single_queue { truncated(first) } else { "" };
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
    if is_single_queue {
        span.record("messaging.destination.name", queue);
        span.record("queue", queue);
    }
    span
}

/// Creates the PRODUCER span `enqueue {queue}` as a child of the current span.
pub fn enqueue_span(job: JobSpan<'_>) -> Span {
    let job = JobSpan { queue: truncated(job.queue), kind: truncated(job.kind), ..job };
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

/// The start and the end of an attempt.
pub type Times = (SystemTime, SystemTime);

/// Records a finished attempt as the CONSUMER span `process {queue}`. The span is the root of a new
/// trace and has a link to the enqueue span.
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
        .with_links(parse_traceparent(traceparent).map(Link::with_context).into_iter().collect());
    tracer.build_with_context(span, &Context::new()).end_with_timestamp(times.1);
}

/// Sets the job id of a span from [`enqueue_span`].
pub fn record_job_id(span: &Span, job_id: &str) {
    if !job_id.is_empty() {
        span.record("messaging.message.id", job_id);
        span.record("job_id", job_id);
    }
}

/// Parses a W3C `traceparent`. Returns `None` if it is invalid.
pub fn parse_traceparent(traceparent: &str) -> Option<SpanContext> {
    let context = TraceContextPropagator::new()
        .extract_with_context(&Context::new(), &TraceparentHeader(traceparent));
    let span = context.span().span_context().clone();
    span.is_valid().then_some(span)
}

/// Sets the parent of `span` from a W3C `traceparent`. `span` must not have been entered yet. An
/// invalid `traceparent` has no effect.
pub fn set_parent(span: &Span, traceparent: &str) {
    if let Some(parent) = parse_traceparent(traceparent) {
        // Fails if traces are disabled or the span is filtered out; then there is no trace.
        let _ = span.set_parent(Context::new().with_remote_span_context(parent));
    }
}

/// Returns the `traceparent` to store with a job: that of `span` if traces are enabled, else the
/// caller's, so that a server without a collector does not break the caller's trace.
pub fn traceparent_for(span: &Span, caller: &str) -> String {
    let context = span.context();
    let of_span = context.span().span_context().clone();
    if of_span.is_valid() {
        return to_traceparent(&of_span);
    }
    if parse_traceparent(caller).is_some() { caller.to_owned() } else { String::new() }
}

/// Formats a span context as a W3C `traceparent`.
pub fn to_traceparent(span: &SpanContext) -> String {
    format!("00-{}-{}-{:02x}", span.trace_id(), span.span_id(), span.trace_flags().to_u8())
}

struct TraceparentHeader<'a>(&'a str);

impl Extractor for TraceparentHeader<'_> {
    fn get(&self, key: &str) -> Option<&str> {
        (key == TRACEPARENT).then_some(self.0)
    }

    fn keys(&self) -> Vec<&str> {
        vec![TRACEPARENT]
    }
}
