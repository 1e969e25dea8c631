//! What operators see: metrics, health, and traces that connect a caller with a handler.

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

use crate::harness::{PATIENCE, World, demo, end_of, enqueue, in_state, until};
use collector::Collector;

/// Status line and body.
pub(crate) async fn http_get(address: &str, path: &str) -> (String, String) {
    try_http_get(address, path).await.expect("an answer of the ops listener")
}

/// The same where the listener may begin anew at any moment.
pub(crate) async fn try_http_get(address: &str, path: &str) -> std::io::Result<(String, String)> {
    let mut stream = TcpStream::connect(address).await?;
    let request = format!("GET {path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await?;
    let (head, body) = answer.split_once("\r\n\r\n").ok_or(std::io::ErrorKind::UnexpectedEof)?;
    Ok((head.to_owned(), body.to_owned()))
}

/// The samples of an OpenMetrics text, by name and labels; panics where it is not one.
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
        assert!(declared, "{family} has no TYPE that fits");
        assert!(found.insert(name.to_owned(), value).is_none(), "{name} comes twice");
    }
    found
}

/// The sum of the samples whose name begins and whose labels read so.
fn sum(samples: &BTreeMap<String, f64>, name: &str, labels: &[&str]) -> f64 {
    let fits = |key: &str| key.starts_with(name) && labels.iter().all(|label| key.contains(label));
    samples.iter().filter(|(key, _)| fits(key)).map(|(_, value)| value).sum()
}

async fn scrape(world: &World) -> BTreeMap<String, f64> {
    let (head, body) = http_get(&world.server.ops_address, "/metrics").await;
    assert!(head.starts_with("HTTP/1.1 200"), "{head}");
    assert!(head.to_lowercase().contains("application/openmetrics-text"), "{head}");
    samples(&body)
}

#[tokio::test]
async fn the_counters_move_with_the_jobs() {
    let world = World::start().await;
    let client = world.client();
    let before = scrape(&world).await;
    assert_eq!(sum(&before, "sentinel_jobs_enqueued_total", &[]), 0.0);
    let _worker = world.worker("w1", &[]).await;
    for _ in 0..3 {
        end_of(&client, &enqueue(&client, demo("noop", json!({}))).await).await;
    }
    let failing = enqueue(&client, demo("fail", json!({})).max_attempts(1)).await;
    end_of(&client, &failing).await;
    let queue = r#"queue="default""#;
    let finished = "sentinel_jobs_finished_total";
    // An end is counted after it is told.
    let after = until("all ends are counted", PATIENCE, || async {
        let now = scrape(&world).await;
        (sum(&now, finished, &[queue]) >= 4.0).then_some(now)
    })
    .await;
    assert_eq!(sum(&after, "sentinel_jobs_enqueued_total", &[queue]), 4.0, "{after:#?}");
    assert_eq!(sum(&after, finished, &[queue, r#"outcome="succeeded""#]), 3.0, "{after:#?}");
    assert_eq!(sum(&after, finished, &[queue, r#"outcome="failed""#]), 1.0, "{after:#?}");
    // Levels are measured every few seconds.
    until("the session is counted", PATIENCE, || async {
        let now = scrape(&world).await;
        (sum(&now, "sentinel_worker_sessions", &[]) == 1.0).then_some(())
    })
    .await;
}

#[tokio::test]
async fn health_is_told_over_http_and_grpc() {
    let mut world = World::start().await;
    let address = world.server.ops_address.clone();
    assert!(http_get(&address, "/healthz").await.0.starts_with("HTTP/1.1 200"));
    assert!(http_get(&address, "/readyz").await.0.starts_with("HTTP/1.1 200"));
    assert!(http_get(&address, "/nothing").await.0.starts_with("HTTP/1.1 404"));
    world.server.signal(Signal::TERM);
    world.server.end(PATIENCE).await;
    assert!(TcpStream::connect(&address).await.is_err(), "the listener is gone");
}

/// A call that does not end holds the drain up.
#[tokio::test]
async fn a_draining_server_takes_no_more_and_a_second_signal_stops_it() {
    let mut world = World::start().await;
    let client = world.client();
    let _worker = world.worker("w1", &[]).await;
    let id = enqueue(&client, demo("sleep", json!({"ms": 60_000}))).await;
    let address = world.server.ops_address.clone();
    let channel = tonic::transport::Endpoint::from_shared(world.server.url()).unwrap();
    let mut health = HealthClient::new(channel.connect().await.unwrap());
    let service = "sentinel.jobs.v1.JobService".to_owned();
    let request = HealthCheckRequest { service };
    let mut told = health.watch(request).await.unwrap().into_inner();
    let first = told.message().await.unwrap().unwrap();
    assert_eq!(first.status(), ServingStatus::Serving);
    // A log that is followed lasts as long as its job.
    let mut lines = client.read_logs(&id, 0, true).await.unwrap();
    world.server.signal(Signal::TERM);
    let next = tokio::time::timeout(PATIENCE, told.message()).await.expect("news of the health");
    assert_eq!(next.unwrap().unwrap().status(), ServingStatus::NotServing);
    let (head, body) = http_get(&address, "/readyz").await;
    assert!(head.starts_with("HTTP/1.1 503"), "{head}");
    assert!(body.contains("shuts down"), "{body}");
    assert!(http_get(&address, "/healthz").await.0.starts_with("HTTP/1.1 200"), "it lives");
    assert_eq!(world.server.ended(), None, "it waits for the call");
    let start = std::time::Instant::now();
    world.server.signal(Signal::TERM);
    let status = world.server.end(PATIENCE).await;
    assert_eq!(status.code(), Some(130), "{}", world.server.log());
    assert!(start.elapsed() < std::time::Duration::from_secs(1), "{:?}", start.elapsed());
    // The call is cut, not left hanging.
    let rest = async { while let Some(Ok(_)) = lines.next().await {} };
    tokio::time::timeout(PATIENCE, rest).await.expect("the call ends");
    world.server.restart().await;
    assert_eq!(in_state(&client, &id, JobState::Running).await.crashes, 0);
}

/// Of a caller that is not in the test: `00-<trace>-<span>-01`.
const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
const CALLER: &str = "b7ad6b7169203331";

#[tokio::test]
async fn a_trace_leads_from_the_caller_to_the_handler() {
    let collector = Collector::start().await;
    let flags = ["--auto-create-queues", "--otlp-endpoint", &collector.url];
    let mut world = World::with(&flags).await;
    let client = world.client();
    let _worker = world.worker("w1", &[]).await;
    let spec = demo("noop", json!({})).into_spec();
    let message = EnqueueRequest { spec: Some(spec), ..EnqueueRequest::default() };
    let mut request = tonic::Request::new(message);
    let traceparent = format!("00-{TRACE}-{CALLER}-01").parse().unwrap();
    request.metadata_mut().insert("traceparent", traceparent);
    let id = client.raw_jobs().enqueue(request).await.unwrap().into_inner().job.unwrap().id;
    end_of(&client, &id).await;
    // What is queued goes out with the stop.
    world.server.signal(Signal::TERM);
    world.server.end(PATIENCE).await;
    let spans = until("the spans of the job arrive", PATIENCE, || async {
        let spans = collector.spans();
        spans.iter().any(|span| span.name == "process default").then_some(spans)
    })
    .await;
    let enqueue = spans.iter().find(|span| span.name == "enqueue default").expect("enqueue");
    assert_eq!((enqueue.kind.as_str(), enqueue.trace.as_str()), ("PRODUCER", TRACE));
    // The call itself is a span in between.
    let mut above = enqueue.parent.clone();
    while let Some(span) = spans.iter().find(|span| span.id == above) {
        assert_eq!(span.trace, TRACE);
        above.clone_from(&span.parent);
    }
    assert_eq!(above, CALLER, "the caller is an ancestor");
    let process = spans.iter().find(|span| span.name == "process default").unwrap();
    assert_eq!(process.kind, "CONSUMER");
    assert_ne!(process.trace, TRACE, "an attempt has a trace of its own");
    assert_eq!(process.links, [(TRACE.to_owned(), enqueue.id.clone())]);
    assert_eq!(process.attributes["messaging.message.id"], id);
    assert_eq!(enqueue.attributes["messaging.message.id"], id);
}

#[tokio::test]
async fn the_jobs_of_a_batch_link_to_its_one_span() {
    let collector = Collector::start().await;
    let flags = ["--auto-create-queues", "--otlp-endpoint", &collector.url];
    let mut world = World::with(&flags).await;
    let client = world.client();
    let _worker = world.worker("w1", &[]).await;
    let specs = vec![demo("noop", json!({})).into_spec(); 3];
    let made = client.enqueue_batch(specs, BatchOptions::default()).await.unwrap();
    for job in made {
        end_of(&client, &job.unwrap().id).await;
    }
    world.server.signal(Signal::TERM);
    world.server.end(PATIENCE).await;
    let spans = until("the spans of the jobs arrive", PATIENCE, || async {
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
