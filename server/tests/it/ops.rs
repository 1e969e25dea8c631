//! Metrics, health checks, and traces from a caller to a handler.

mod collector;

use std::collections::BTreeMap;

use futures_util::StreamExt;
use rustix::process::Signal;
use sentinel_client::BatchOptions;
use sentinel_client::proto::jobs::v1::{EnqueueRequest, JobState};
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;

use crate::harness::{
    TIMEOUT, TestServer, demo_job, enqueue, wait_state, wait_terminal, wait_until,
};
use collector::Collector;

/// Sends a GET request to the ops listener and returns the head and the body.
pub(crate) async fn http_get(address: &str, path: &str) -> (String, String) {
    try_http_get(address, path).await.expect("a response of the ops listener")
}

/// Like [`http_get`], for a listener that may restart at any moment.
pub(crate) async fn try_http_get(address: &str, path: &str) -> std::io::Result<(String, String)> {
    let mut stream = TcpStream::connect(address).await?;
    let request = format!("GET {path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    let mut response = String::new();
    stream.read_to_string(&mut response).await?;
    let (head, body) = response.split_once("\r\n\r\n").ok_or(std::io::ErrorKind::UnexpectedEof)?;
    Ok((head.to_owned(), body.to_owned()))
}

/// Parses an OpenMetrics text into samples by name and labels; panics when it is invalid.
fn samples(text: &str) -> BTreeMap<String, f64> {
    let (body, rest) = text.split_once("# EOF\n").expect("# EOF at the end");
    assert!(rest.is_empty(), "after # EOF: {rest:?}");
    let mut families = BTreeMap::new();
    let mut found = BTreeMap::new();
    for line in body.lines() {
        if let Some(comment) = line.strip_prefix("# ") {
            let mut words = comment.splitn(3, ' ');
            let (what, name, value) = (words.next(), words.next().unwrap(), words.next());
            match what {
                Some("TYPE") => assert!(
                    families.insert(name.to_owned(), value.unwrap().to_owned()).is_none(),
                    "{name} is declared twice"
                ),
                Some("HELP" | "UNIT") => {}
                _ => panic!("not a comment of OpenMetrics: {line}"),
            }
            continue;
        }
        let line = line.split(" # ").next().unwrap();
        let (name, value) = line.rsplit_once(' ').unwrap_or_else(|| panic!("not a sample: {line}"));
        let value: f64 = value.parse().unwrap_or_else(|_| panic!("not a number: {line}"));
        let family = name.split('{').next().unwrap();
        let declared = families.iter().any(|(declared, kind)| {
            let suffix = family.strip_prefix(declared.as_str());
            match kind.as_str() {
                "counter" => suffix == Some("_total"),
                "histogram" => matches!(suffix, Some("_bucket" | "_sum" | "_count")),
                "info" => suffix == Some("_info"),
                _ => suffix == Some(""),
            }
        });
        assert!(declared, "{family} has no matching TYPE");
        assert!(found.insert(name.to_owned(), value).is_none(), "{name} occurs twice");
    }
    found
}

/// Returns the sum of the samples with this name prefix and these labels.
fn sum(samples: &BTreeMap<String, f64>, name: &str, labels: &[&str]) -> f64 {
    let is_match =
        |key: &str| key.starts_with(name) && labels.iter().all(|label| key.contains(label));
    samples.iter().filter(|(key, _)| is_match(key)).map(|(_, value)| value).sum()
}

async fn scrape(server: &TestServer) -> BTreeMap<String, f64> {
    let (head, body) = http_get(&server.ops_address, "/metrics").await;
    assert!(head.starts_with("HTTP/1.1 200"), "{head}");
    assert!(head.to_lowercase().contains("application/openmetrics-text"), "{head}");
    samples(&body)
}

#[tokio::test]
async fn metrics_count_jobs_and_sessions() {
    let server = TestServer::start().await;
    let client = server.client();
    let before = scrape(&server).await;
    assert_eq!(sum(&before, "sentinel_jobs_enqueued_total", &[]), 0.0);
    let _worker = server.start_worker("w1", &[]).await;
    for _ in 0..3 {
        wait_terminal(&client, &enqueue(&client, demo_job("noop", json!({}))).await).await;
    }
    let failing = enqueue(&client, demo_job("fail", json!({})).max_attempts(1)).await;
    wait_terminal(&client, &failing).await;
    let queue = r#"queue="default""#;
    let finished = "sentinel_jobs_finished_total";
    // A finished job is counted after its watch shows it.
    let after = wait_until("all finished jobs are counted", TIMEOUT, || async {
        let now = scrape(&server).await;
        (sum(&now, finished, &[queue]) >= 4.0).then_some(now)
    })
    .await;
    assert_eq!(sum(&after, "sentinel_jobs_enqueued_total", &[queue]), 4.0, "{after:#?}");
    assert_eq!(sum(&after, finished, &[queue, r#"outcome="succeeded""#]), 3.0, "{after:#?}");
    assert_eq!(sum(&after, finished, &[queue, r#"outcome="failed""#]), 1.0, "{after:#?}");
    // Gauges are measured every few seconds.
    wait_until("the session is counted", TIMEOUT, || async {
        let now = scrape(&server).await;
        (sum(&now, "sentinel_worker_sessions", &[]) == 1.0).then_some(())
    })
    .await;
}

#[tokio::test]
async fn the_health_endpoints_follow_the_server() {
    let mut server = TestServer::start().await;
    let address = server.ops_address.clone();
    assert!(http_get(&address, "/healthz").await.0.starts_with("HTTP/1.1 200"));
    assert!(http_get(&address, "/readyz").await.0.starts_with("HTTP/1.1 200"));
    assert!(http_get(&address, "/nothing").await.0.starts_with("HTTP/1.1 404"));
    server.signal(Signal::TERM);
    server.wait_exit(TIMEOUT).await;
    assert!(TcpStream::connect(&address).await.is_err(), "the listener must be closed");
}

/// An open call delays the drain.
#[tokio::test]
async fn a_draining_server_is_not_ready_and_a_second_signal_stops_it() {
    let mut server = TestServer::start().await;
    let client = server.client();
    let _worker = server.start_worker("w1", &[]).await;
    let id = enqueue(&client, demo_job("sleep", json!({"ms": 60_000}))).await;
    let address = server.ops_address.clone();
    let channel = tonic::transport::Endpoint::from_shared(server.url()).unwrap();
    let mut health = HealthClient::new(channel.connect().await.unwrap());
    let service = "sentinel.jobs.v1.JobService".to_owned();
    let request = HealthCheckRequest { service };
    let mut updates = health.watch(request).await.unwrap().into_inner();
    let first = updates.message().await.unwrap().unwrap();
    assert_eq!(first.status(), ServingStatus::Serving);
    // Following a log keeps the call open as long as the job runs.
    let mut lines = client.read_logs(&id, 0, true).await.unwrap();
    server.signal(Signal::TERM);
    let next =
        tokio::time::timeout(TIMEOUT, updates.message()).await.expect("a health update in time");
    assert_eq!(next.unwrap().unwrap().status(), ServingStatus::NotServing);
    let (head, body) = http_get(&address, "/readyz").await;
    assert!(head.starts_with("HTTP/1.1 503"), "{head}");
    assert!(body.contains("shutting down"), "{body}");
    assert!(
        http_get(&address, "/healthz").await.0.starts_with("HTTP/1.1 200"),
        "the server is alive"
    );
    assert_eq!(server.exit_status(), None, "the server waits for the call");
    let start = std::time::Instant::now();
    server.signal(Signal::TERM);
    let status = server.wait_exit(TIMEOUT).await;
    assert_eq!(status.code(), Some(130), "{}", server.log());
    assert!(start.elapsed() < std::time::Duration::from_secs(1), "{:?}", start.elapsed());
    // The call fails instead of hanging.
    let rest = async { while let Some(Ok(_)) = lines.next().await {} };
    tokio::time::timeout(TIMEOUT, rest).await.expect("the call returns in time");
    server.restart().await;
    assert_eq!(wait_state(&client, &id, JobState::Running).await.crashes, 0);
}

/// The trace and span ids of a simulated caller: `00-<trace>-<span>-01`.
const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
const CALLER: &str = "b7ad6b7169203331";

#[tokio::test]
async fn traces_connect_the_caller_with_the_handler() {
    let collector = Collector::start().await;
    let flags = ["--auto-create-queues", "--otlp-endpoint", &collector.url];
    let mut server = TestServer::with_flags(&flags).await;
    let client = server.client();
    let _worker = server.start_worker("w1", &[]).await;
    let spec = demo_job("noop", json!({})).into_spec();
    let message = EnqueueRequest { spec: Some(spec), ..EnqueueRequest::default() };
    let mut request = tonic::Request::new(message);
    let traceparent = format!("00-{TRACE}-{CALLER}-01").parse().unwrap();
    request.metadata_mut().insert("traceparent", traceparent);
    let id = client.raw_jobs().enqueue(request).await.unwrap().into_inner().job.unwrap().id;
    wait_terminal(&client, &id).await;
    // The shutdown exports the queued spans.
    server.signal(Signal::TERM);
    server.wait_exit(TIMEOUT).await;
    let spans = wait_until("the spans of the job arrive", TIMEOUT, || async {
        let spans = collector.spans();
        spans.iter().any(|span| span.name == "process default").then_some(spans)
    })
    .await;
    let enqueue = spans.iter().find(|span| span.name == "enqueue default").expect("enqueue a job");
    assert_eq!((enqueue.kind.as_str(), enqueue.trace.as_str()), ("PRODUCER", TRACE));
    // The gRPC call is a span between them.
    let mut ancestor = enqueue.parent.clone();
    while let Some(span) = spans.iter().find(|span| span.id == ancestor) {
        assert_eq!(span.trace, TRACE);
        ancestor.clone_from(&span.parent);
    }
    assert_eq!(ancestor, CALLER, "the caller must be an ancestor");
    let process = spans.iter().find(|span| span.name == "process default").unwrap();
    assert_eq!(process.kind, "CONSUMER");
    assert_ne!(process.trace, TRACE, "an attempt has its own trace");
    assert_eq!(process.links, [(TRACE.to_owned(), enqueue.id.clone())]);
    assert_eq!(process.attributes["messaging.message.id"], id);
    assert_eq!(enqueue.attributes["messaging.message.id"], id);
}

#[tokio::test]
async fn the_jobs_of_a_batch_link_to_one_span() {
    let collector = Collector::start().await;
    let flags = ["--auto-create-queues", "--otlp-endpoint", &collector.url];
    let mut server = TestServer::with_flags(&flags).await;
    let client = server.client();
    let _worker = server.start_worker("w1", &[]).await;
    let specs = vec![demo_job("noop", json!({})).into_spec(); 3];
    let made = client.enqueue_batch(specs, BatchOptions::default()).await.unwrap();
    for job in made {
        wait_terminal(&client, &job.unwrap().id).await;
    }
    server.signal(Signal::TERM);
    server.wait_exit(TIMEOUT).await;
    let spans = wait_until("the spans of the jobs arrive", TIMEOUT, || async {
        let spans = collector.spans();
        let processed = spans.iter().filter(|span| span.name == "process default").count();
        (processed == 3).then_some(spans)
    })
    .await;
    let enqueues: Vec<_> = spans.iter().filter(|span| span.name == "enqueue default").collect();
    let [enqueue] = enqueues[..] else { panic!("{} spans of one batch", enqueues.len()) };
    assert_eq!(enqueue.kind, "PRODUCER");
    assert_eq!(enqueue.attributes["messaging.batch.message_count"], "3");
    for process in spans.iter().filter(|span| span.name == "process default") {
        assert_eq!(process.links, [(enqueue.trace.clone(), enqueue.id.clone())]);
    }
}
