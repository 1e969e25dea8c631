//! Attacks by request bodies: without a key, unfinished, slow, and of many small values.

use std::time::Duration;

use http::{Method, StatusCode, header};
use http_body_util::Full;
use sentinel_gateway::Limits;
use sentinel_testing::TestServer;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::fixture::{TestGateway, read};
use crate::process::{GatewayProcess, TIMEOUT, connect_from, read_head};

const MIB: usize = 1 << 20;

/// What a body may cost besides its own bytes.
const OVERHEAD_MIB: u64 = 96;

/// What 200,000 decoded values may take, the limit of a body.
const VALUES_MIB: u64 = 64;

fn head(path: &str, length: usize) -> String {
    format!(
        "POST {path} HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: application/json\r\n\
         content-length: {length}\r\n\r\n"
    )
}

#[tokio::test]
async fn without_a_key_the_response_comes_before_the_body_is_read() {
    let server = TestServer::start_with(&[("credentials", "required")]).await;
    let gateway = GatewayProcess::start(server.url(), &[]);
    let before = gateway.peak_mib();
    let mut open = Vec::new();
    for path in ["/v1/jobs", "/v1/jobs:batchEnqueue", "/v1/queues/a:pause", "/v1/jobs:bulk"] {
        for key in ["", "authorization: Bearer snt_0123456789abcdef_wrong\r\n"] {
            let mut stream = TcpStream::connect(gateway.address).await.unwrap();
            let head = head(path, 19 * MIB).replace("host:", &format!("{key}host:"));
            stream.write_all(head.as_bytes()).await.unwrap();
            stream.write_all(b"{\"specs\":[").await.unwrap();
            let response = read_head(&mut stream).await;
            assert!(response.starts_with("HTTP/1.1 401"), "{path} {key}: {response}");
            open.push(stream);
        }
    }
    assert!(gateway.peak_mib() < before + 32, "{} -> {} MiB", before, gateway.peak_mib());
}

#[tokio::test]
async fn unfinished_bodies_of_one_client_hold_little_memory_and_leave_room_for_others() {
    let server = TestServer::start().await;
    let gateway = GatewayProcess::start(server.url(), &[]);
    let before = gateway.peak_mib();
    let chunk = vec![b' '; MIB];
    let mut open = Vec::new();
    for _ in 0..40 {
        let mut stream = TcpStream::connect(gateway.address).await.unwrap();
        stream.write_all(head("/v1/jobs", 19 * MIB).as_bytes()).await.unwrap();
        for _ in 0..18 {
            // A refused body is not read any more, so that a write may fail or wait.
            let written = timeout(Duration::from_millis(200), stream.write_all(&chunk)).await;
            if !matches!(written, Ok(Ok(()))) {
                break;
            }
        }
        open.push(stream);
    }
    assert!(gateway.probe().await < Duration::from_secs(1));
    // A body may be held twice while its buffer grows.
    let peak = gateway.peak_mib();
    assert!(peak < before + 2 * 32 + OVERHEAD_MIB, "{before} -> {peak} MiB");
    let mut other = connect_from([127, 0, 0, 2], gateway.address).await;
    let job = r#"{"spec":{"queue":"q","kind":"k"}}"#;
    other.write_all(format!("{}{job}", head("/v1/jobs", job.len())).as_bytes()).await.unwrap();
    let response = read_head(&mut other).await;
    assert!(response.starts_with("HTTP/1.1 200"), "{response}");
}

#[tokio::test]
async fn a_body_that_does_not_end_in_time_is_refused_in_both_protocols() {
    let limits = Limits { body_timeout: Duration::from_millis(200), ..Limits::default() };
    let gateway = TestGateway::with_limits(limits).await;
    let rest = head("/v1/jobs", 100);
    let web = head("/sentinel.jobs.v1.JobService/List", 100)
        .replace("application/json", "application/grpc-web+proto");
    for (head, body, expected) in [
        (rest, &b"{\"spec\""[..], "HTTP/1.1 408"),
        (web, &[0, 0, 0, 0, 95, 0][..], "grpc-status: 4"),
    ] {
        let mut stream = TcpStream::connect(gateway.address).await.unwrap();
        stream.write_all(head.as_bytes()).await.unwrap();
        stream.write_all(body).await.unwrap();
        let response = read_head(&mut stream).await;
        assert!(response.contains(expected), "{response}");
    }
}

/// Bodies of the largest size whose decoded form would take many times their bytes.
fn hostile_bodies() -> Vec<(&'static str, &'static str, String)> {
    let repeat = |start: &str, item: &str, end: &str| {
        let count = (19 * MIB - start.len() - end.len()) / item.len();
        format!("{start}{}{end}", item.repeat(count))
    };
    let jobs = |label: &str| {
        let labels: Vec<String> = (0..900).map(|one| format!("\"{label}{one}\":\"\"")).collect();
        let job = format!("{{\"labels\":{{{}}}}}", labels.join(","));
        let jobs = vec![job; 900].join(",");
        format!("{{\"specs\":[{jobs}]}}")
    };
    vec![
        ("/v1/jobs:batchEnqueue", "items", repeat("{\"specs\":[{}", ",{}", "]}")),
        ("/v1/jobs:batchEnqueue", "items", repeat("{\"specs\":[0", ",0", "]}")),
        ("/v1/jobs:batchEnqueue", "values", jobs("a")),
        ("/v1/jobs", "items", repeat("{\"spec\":{\"labels\":{\"a\":\"\"", ",\"a\":\"\"", "}}}")),
        ("/v1/jobs", "items", repeat("{\"a\":0", ",\"a\":0", "}")),
        ("/v1/jobs", "JSON", repeat("", "[", "")),
        ("/v1/jobs", "JSON", repeat("{\"spec\":", "{\"spec\":", "")),
        ("/v1/jobs:bulk", "items", repeat("{\"filter\":{\"states\":[1", ",1", "]}}")),
    ]
}

#[tokio::test]
async fn bodies_of_many_small_values_are_refused_before_they_take_memory() {
    let server = TestServer::start().await;
    let gateway = GatewayProcess::start(server.url(), &["--requests-per-second", "0"]);
    let before = gateway.peak_mib();
    for (path, reason, body) in hostile_bodies() {
        let send = async |client: u8| {
            let mut stream = connect_from([127, 0, 0, client], gateway.address).await;
            stream.write_all(head(path, body.len()).as_bytes()).await.unwrap();
            let _ = stream.write_all(body.as_bytes()).await;
            read_head_and_body(&mut stream).await
        };
        let responses = futures_util::future::join4(send(3), send(4), send(5), send(6));
        let ((one, two, three, four), slowest) = tokio::join!(responses, gateway.probe());
        for response in [one, two, three, four] {
            assert!(response.starts_with("HTTP/1.1 400"), "{path}: {response}");
            assert!(response.contains(reason), "{path}, expected {reason}: {response}");
        }
        assert!(slowest < Duration::from_secs(2), "{path}: a probe took {slowest:?}");
    }
    let peak = gateway.peak_mib();
    // Four bodies, and the values of the two that are decoded at once. Without the limits of items
    // and values each body would take more than a GiB.
    assert!(peak < before + 4 * 2 * 19 + 2 * VALUES_MIB + OVERHEAD_MIB, "{before} -> {peak} MiB");
}

async fn read_head_and_body(stream: &mut TcpStream) -> String {
    use tokio::io::AsyncReadExt as _;
    let mut response = read_head(stream).await;
    let mut rest = [0; 8_192];
    while !response.ends_with("}}") {
        match timeout(TIMEOUT, stream.read(&mut rest)).await.expect("a response") {
            Ok(0) | Err(_) => break,
            Ok(count) => response.push_str(&String::from_utf8_lossy(&rest[..count])),
        }
    }
    response
}

#[tokio::test]
async fn a_full_batch_passes_and_one_more_is_refused() {
    let gateway = TestGateway::with_limits(Limits::default()).await;
    for (count, expected) in [(1_000, StatusCode::OK), (1_001, StatusCode::BAD_REQUEST)] {
        let specs = vec![r#"{"queue":"q","kind":"k","labels":{"a":"b"}}"#; count].join(",");
        let request = gateway
            .request(Method::POST, "/v1/jobs:batchEnqueue")
            .header(header::CONTENT_TYPE, "application/json")
            .body(Full::from(format!("{{\"specs\":[{specs}]}}")))
            .unwrap();
        let (status, text) = read(gateway.send(request).await).await;
        assert_eq!(status, expected, "{count}: {}", &text[..text.len().min(500)]);
    }
}
