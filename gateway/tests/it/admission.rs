//! Tests of the limits of a client and of the checks of hosts and origins.

use std::time::Duration;

use http::{Method, StatusCode, header};
use http_body_util::{BodyExt as _, Full};
use sentinel_gateway::{Limits, Settings};
use sentinel_proto::jobs::v1::{JobFilter, WatchRequest, watch_request::Selector};
use sentinel_testing::TestServer;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::fixture::{TestGateway, read};

const WATCH: &str = "/sentinel.jobs.v1.JobService/Watch";
const LIST: &str = "/sentinel.jobs.v1.JobService/List";
const TIMEOUT: Duration = Duration::from_secs(30);

fn watch_all_jobs() -> WatchRequest {
    WatchRequest { selector: Some(Selector::Filter(JobFilter::default())), ..Default::default() }
}

/// A server takes 200 streams per connection, so the gateway needs several connections.
#[tokio::test]
async fn a_gateway_opens_more_watches_than_one_connection_carries() {
    let limits = Limits { in_flight_max: 0, requests_per_second: 0, ..Limits::default() };
    let gateway = TestGateway::with_limits(limits).await;
    let mut open = Vec::new();
    for number in 0..350 {
        let mut response = gateway.call(WATCH, &watch_all_jobs()).await;
        let first = timeout(TIMEOUT, response.frame()).await;
        let first = first.unwrap_or_else(|_| panic!("watch {number} sends nothing"));
        assert!(first.expect("a frame").is_ok(), "watch {number}");
        open.push(response);
    }
    drop(open);
}

#[tokio::test]
async fn streams_per_client_are_limited_and_a_closed_stream_frees_its_permit() {
    let in_flight_wait = Duration::from_millis(100);
    let limits = Limits { in_flight_max: 3, in_flight_wait, ..Limits::default() };
    let gateway = TestGateway::with_limits(limits).await;
    let mut open = Vec::new();
    for _ in 0..3 {
        let mut response = gateway.call(WATCH, &watch_all_jobs()).await;
        assert!(response.frame().await.expect("a snapshot").is_ok());
        open.push(response);
    }
    let refused = gateway.call(WATCH, &watch_all_jobs()).await;
    assert_eq!(refused.headers()["grpc-status"], "8", "RESOURCE_EXHAUSTED");
    assert!(refused.headers()["grpc-message"].to_str().unwrap().starts_with("3%20requests"));
    let request = gateway.request(Method::GET, "/session").body(Full::default()).unwrap();
    let (status, text) = read(gateway.send(request).await).await;
    assert_eq!(status, StatusCode::TOO_MANY_REQUESTS);
    assert!(text.contains("TOO_MANY_IN_FLIGHT"), "{text}");
    // The client closes its connection in the middle of the stream.
    open.pop();
    let admitted = async {
        while gateway.call(WATCH, &watch_all_jobs()).await.headers().contains_key("grpc-status") {
            tokio::task::yield_now().await;
        }
    };
    timeout(TIMEOUT, admitted).await.expect("the permit of the closed stream is free");
}

#[tokio::test]
async fn a_body_over_the_limit_is_refused_with_and_without_a_content_length() {
    let limits = Limits { body_max_bytes: 4_096, ..Limits::default() };
    let gateway = TestGateway::with_limits(limits).await;
    let large = WatchRequest { cursor: "x".repeat(5_000), ..watch_all_jobs() };
    let refused = gateway.call(WATCH, &large).await;
    assert_eq!(refused.headers()["grpc-status"], "8");
    assert!(refused.headers()["grpc-message"].to_str().unwrap().contains("4096"));

    let mut stream = TcpStream::connect(gateway.address).await.unwrap();
    let head = format!(
        "POST {LIST} HTTP/1.1\r\nhost: {}\r\ncontent-type: application/grpc-web+proto\r\n\
         transfer-encoding: chunked\r\nconnection: close\r\n\r\n",
        gateway.address
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    // A message of 1 MiB in chunks, without an end.
    let mut chunk = vec![0u8; 1_024];
    chunk[1..5].copy_from_slice(&(1_u32 << 20).to_be_bytes());
    for _ in 0..16 {
        if stream.write_all(b"400\r\n").await.is_err()
            || stream.write_all(&chunk).await.is_err()
            || stream.write_all(b"\r\n").await.is_err()
        {
            break;
        }
        chunk.fill(0);
    }
    let mut response = Vec::new();
    // A connection reset after the response is as good as a regular close.
    let _ = timeout(TIMEOUT, stream.read_to_end(&mut response)).await.expect("a closed connection");
    let response = String::from_utf8_lossy(&response);
    let succeeded = response.contains("grpc-status: 0") || response.contains("grpc-status:0");
    assert!(!succeeded, "{response}");
}

#[tokio::test]
async fn a_connection_without_a_complete_request_head_is_closed() {
    let limits = Limits { head_timeout: Duration::from_millis(300), ..Limits::default() };
    let gateway = TestGateway::with_limits(limits).await;
    let mut silent = TcpStream::connect(gateway.address).await.unwrap();
    let mut slow = TcpStream::connect(gateway.address).await.unwrap();
    slow.write_all(b"GET / HTTP/1.1\r\nhost: ").await.unwrap();
    for stream in [&mut silent, &mut slow] {
        let mut rest = Vec::new();
        let closed = timeout(TIMEOUT, stream.read_to_end(&mut rest)).await;
        assert!(closed.is_ok(), "the connection is still open");
    }
}

#[tokio::test]
async fn only_listed_origins_and_hosts_are_allowed() {
    let server = TestServer::start().await;
    let mut settings = Settings::new(server.url()).allow_origin("https://shop.example").unwrap();
    settings.allow_hosts = vec!["127.0.0.1".to_owned()];
    let gateway = TestGateway::start(server, settings).await;
    let from = |origin: &'static str| {
        let request = gateway.request(Method::GET, "/session").header(header::ORIGIN, origin);
        gateway.send(request.body(Full::default()).unwrap())
    };
    let shop = from("https://shop.example").await;
    assert_eq!(shop.status(), StatusCode::OK);
    assert_eq!(shop.headers()["access-control-allow-origin"], "https://shop.example");
    let (status, text) = read(from("https://other.example").await).await;
    assert_eq!(status, StatusCode::FORBIDDEN);
    assert!(text.contains("ORIGIN_NOT_ALLOWED"), "{text}");
    let rebound = http::Request::get("/session").header(header::HOST, "evil.example:7080");
    let (status, text) = read(gateway.send(rebound.body(Full::default()).unwrap()).await).await;
    assert_eq!(status, StatusCode::MISDIRECTED_REQUEST);
    assert!(text.contains("HOST_NOT_ALLOWED"), "{text}");
}

#[test]
fn a_text_that_is_not_an_origin_is_refused() {
    let invalid =
        ["*", "shop.example", "https://shop.example/", "https://shop.example/a", "ftp://a"];
    for text in invalid {
        assert!(Settings::new("a").allow_origin(text).is_err(), "{text}");
    }
}

#[tokio::test]
async fn an_unreachable_server_is_an_error_in_the_protocol_of_the_caller() {
    let unreachable = Settings::new("http://127.0.0.1:1");
    let gateway = TestGateway::start(TestServer::start().await, unreachable).await;
    let response = gateway.call(LIST, &sentinel_proto::jobs::v1::ListRequest::default()).await;
    let trailers = match response.headers().get("grpc-status") {
        Some(status) => format!("grpc-status:{}", status.to_str().unwrap()),
        None => read(response).await.1,
    };
    assert!(trailers.contains("grpc-status:14"), "{trailers}");
    let sign_in = gateway
        .request(Method::POST, "/session")
        .header(header::CONTENT_TYPE, "application/json")
        .body(Full::from(r#"{"key":"snt_0123456789abcdef_secret"}"#));
    let (status, text) = read(gateway.send(sign_in.unwrap()).await).await;
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
    assert!(text.contains("cannot reach the server"), "{text}");
}
