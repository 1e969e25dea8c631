//! Log lines and exported spans, through a real subscriber.

use std::io::Write;
use std::sync::{Arc, Mutex};
use std::time::{Duration, UNIX_EPOCH};

use opentelemetry::trace::{SpanKind, TracerProvider};
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{SdkTracerProvider, SpanData, SpanExporter};
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::fmt::format::JsonFields;
use tracing_subscriber::layer::SubscriberExt;

use super::json;
use super::span::{
    JobSpan, enqueue_span, parse_traceparent, record_process, set_parent, traceparent_for,
};

const CALLER: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

#[derive(Clone, Debug, Default)]
struct TestExporter(Arc<Mutex<Vec<SpanData>>>);

impl SpanExporter for TestExporter {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        self.0.lock().unwrap().extend(batch);
        Ok(())
    }
}

#[derive(Clone, Default)]
struct LogBuffer(Arc<Mutex<Vec<u8>>>);

impl Write for LogBuffer {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for LogBuffer {
    type Writer = LogBuffer;

    fn make_writer(&'a self) -> LogBuffer {
        self.clone()
    }
}

fn record(run: impl FnOnce()) -> (Vec<SpanData>, Vec<serde_json::Value>) {
    let (exported, lines) = (TestExporter::default(), LogBuffer::default());
    let provider = SdkTracerProvider::builder().with_simple_exporter(exported.clone()).build();
    let subscriber = tracing_subscriber::registry()
        .with(tracing_opentelemetry::layer().with_tracer(provider.tracer("test")))
        .with(
            tracing_subscriber::fmt::layer()
                .fmt_fields(JsonFields::new())
                .event_format(json::JsonLine)
                .with_writer(lines.clone()),
        );
    tracing::subscriber::with_default(subscriber, run);
    let text = String::from_utf8(lines.0.lock().unwrap().clone()).unwrap();
    let lines = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let spans = exported.0.lock().unwrap().clone();
    (spans, lines)
}

fn attribute(span: &SpanData, key: &str) -> Option<String> {
    span.attributes
        .iter()
        .find(|attribute| attribute.key.as_str() == key)
        .map(|attribute| attribute.value.to_string())
}

const JOB: JobSpan<'static> = JobSpan { queue: "mail", kind: "mail.send", job_id: "0190" };

#[test]
fn a_log_line_is_flat_and_has_the_job_and_the_trace() {
    let (_, lines) = record(|| {
        let _entered = enqueue_span(JOB).entered();
        tracing::warn!(target: "sentinel_server::x", retryable = true, count = 3, "lease expired");
    });
    let line = &lines[0];
    assert_eq!(line["message"], "lease expired");
    assert_eq!(line["level"], "WARN");
    assert_eq!(line["target"], "sentinel_server::x");
    assert_eq!(line["job_id"], "0190");
    assert_eq!(line["queue"], "mail");
    assert!(line.get("otel.kind").is_none());
    assert_eq!(line["span"], "enqueue");
    assert_eq!((&line["retryable"], &line["count"]), (&true.into(), &3.into()));
    assert_eq!(line["trace_id"].as_str().unwrap().len(), 32);
    assert!(line["time"].as_str().unwrap().ends_with('Z'));
}

#[test]
fn an_enqueue_is_a_producer_span_in_the_callers_trace() {
    let mut stored = String::new();
    let (spans, _) = record(|| {
        let rpc = tracing::info_span!("rpc");
        set_parent(&rpc, CALLER);
        let _entered = rpc.entered();
        let span = enqueue_span(JobSpan { job_id: "", ..JOB });
        super::span::record_job_id(&span, "0191");
        stored = traceparent_for(&span, CALLER);
    });
    let span = spans.iter().find(|span| span.name == "enqueue mail").unwrap();
    assert_eq!(span.span_kind, SpanKind::Producer);
    assert_eq!(attribute(span, "messaging.system").as_deref(), Some("sentinel"));
    assert_eq!(attribute(span, "messaging.operation.name").as_deref(), Some("enqueue"));
    assert_eq!(attribute(span, "messaging.destination.name").as_deref(), Some("mail"));
    assert_eq!(attribute(span, "messaging.message.id").as_deref(), Some("0191"));
    assert_eq!(attribute(span, "sentinel.job.kind").as_deref(), Some("mail.send"));
    let trace = parse_traceparent(CALLER).unwrap().trace_id();
    assert_eq!(span.span_context.trace_id(), trace);
    assert_eq!(parse_traceparent(&stored).unwrap().span_id(), span.span_context.span_id());
}

#[test]
fn a_batch_is_one_producer_span_with_the_number_of_jobs() {
    let mut stored = Vec::new();
    let long = "q".repeat(1 << 20);
    let (spans, _) = record(|| {
        for queues in [vec!["mail", "mail", "mail"], vec!["mail", "sms"], vec![&long]] {
            let span = super::span::batch_span(queues);
            stored.push(traceparent_for(&span, CALLER));
        }
    });
    let names: Vec<_> = spans.iter().map(|span| span.name.to_string()).collect();
    assert_eq!(names[..2], ["enqueue mail", "enqueue"]);
    assert_eq!(names[2].len(), "enqueue ".len() + 128);
    let count = |span| attribute(span, "messaging.batch.message_count");
    assert_eq!(
        spans.iter().map(count).collect::<Vec<_>>(),
        ["3", "2", "1"].map(|n| Some(n.into()))
    );
    assert_eq!(attribute(&spans[0], "messaging.destination.name").as_deref(), Some("mail"));
    assert_eq!(attribute(&spans[1], "messaging.destination.name"), None);
    for (span, stored) in spans.iter().zip(stored) {
        assert_eq!(span.span_kind, SpanKind::Producer);
        assert_eq!(parse_traceparent(&stored).unwrap().span_id(), span.span_context.span_id());
    }
}

#[test]
fn an_attempt_is_a_consumer_span_with_a_link_to_its_enqueue() {
    let exported = TestExporter::default();
    let provider = SdkTracerProvider::builder().with_simple_exporter(exported.clone()).build();
    let started_at = UNIX_EPOCH + Duration::from_secs(1_000);
    let times = (started_at, started_at + Duration::from_secs(7));
    record_process(&provider.tracer("test"), JOB, 2, times, CALLER);
    let spans = exported.0.lock().unwrap().clone();
    let span = spans.iter().find(|span| span.name == "process mail").unwrap();
    assert_eq!(span.span_kind, SpanKind::Consumer);
    assert_eq!((span.start_time, span.end_time), times);
    assert_eq!(attribute(span, "sentinel.job.attempt").as_deref(), Some("2"));
    assert_eq!(span.parent_span_id, opentelemetry::SpanId::INVALID);
    let producer = parse_traceparent(CALLER).unwrap();
    assert_ne!(span.span_context.trace_id(), producer.trace_id());
    let links: Vec<_> = span.links.iter().map(|link| link.span_context.clone()).collect();
    assert_eq!(links, [producer]);
}

#[test]
fn without_traces_only_a_valid_traceparent_of_the_caller_is_kept() {
    let span = tracing::Span::none();
    assert_eq!(traceparent_for(&span, CALLER), CALLER);
    for invalid in ["", "00-zz", "00-00000000000000000000000000000000-b7ad6b7169203331-01"] {
        assert_eq!(traceparent_for(&span, invalid), "");
        assert!(parse_traceparent(invalid).is_none());
    }
}
