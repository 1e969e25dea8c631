//! What stands before every route: bounds on what a client may do, and whose pages may call.

use std::time::Duration;

use http::{Method, StatusCode, header};
use http_body_util::{BodyExt as _, Full};
use sentinel_gateway::{Limits, Settings};
use sentinel_proto::jobs::v1::{JobFilter, WatchRequest, watch_request::Selector};
use sentinel_testing::TestServer;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::peer::{House, whole};

const WATCH: &str = "/sentinel.jobs.v1.JobService/Watch";
const LIST: &str = "/sentinel.jobs.v1.JobService/List";
const PATIENCE: Duration = Duration::from_secs(30);

fn all_jobs() -> WatchRequest {
    WatchRequest { selector: Some(Selector::Filter(JobFilter::default())), ..Default::default() }
}

/// A server takes 200 streams of one connection.
#[tokio::test]
async fn more_watches_are_open_than_one_connection_carries() {
    let house =
        House::with(Limits { in_flight_max: 0, requests_per_second: 0, ..Limits::default() }).await;
    let mut open = Vec::new();
    for number in 0..350 {
        let mut answer = house.call(WATCH, &all_jobs()).await;
        let first = timeout(PATIENCE, answer.frame()).await;
        let first = first.unwrap_or_else(|_| panic!("watch {number} says nothing"));
        assert!(first.expect("a frame").is_ok(), "watch {number}");
        open.push(answer);
    }
    drop(open);
}

#[tokio::test]
async fn streams_of_a_client_are_bounded_and_a_place_is_given_back() {
    let house = House::with(Limits { in_flight_max: 3, ..Limits::default() }).await;
    let mut open = Vec::new();
    for _ in 0..3 {
        let mut answer = house.call(WATCH, &all_jobs()).await;
        assert!(answer.frame().await.expect("a snapshot").is_ok());
        open.push(answer);
    }
    let refused = house.call(WATCH, &all_jobs()).await;
    assert_eq!(refused.headers()["grpc-status"], "8", "RESOURCE_EXHAUSTED");
    assert!(refused.headers()["grpc-message"].to_str().unwrap().starts_with("3%20requests"));
    let (status, text) = whole(
        house.ask(house.request(Method::GET, "/session").body(Full::default()).unwrap()).await,
    )
    .await;
    assert_eq!(status, StatusCode::TOO_MANY_REQUESTS);
    assert!(text.contains("TOO_MANY_IN_FLIGHT"), "{text}");
    // The reader goes away in the middle of its stream.
    open.pop();
    let opens = async {
        while house.call(WATCH, &all_jobs()).await.headers().contains_key("grpc-status") {
            tokio::task::yield_now().await;
        }
    };
    timeout(PATIENCE, opens).await.expect("the place of a reader that left is free again");
}

#[tokio::test]
async fn a_body_over_the_bound_is_refused_whether_its_length_is_said_or_not() {
    let house = House::with(Limits { body_max_bytes: 4_096, ..Limits::default() }).await;
    let large = WatchRequest { cursor: "x".repeat(5_000), ..all_jobs() };
    let said = house.call(WATCH, &large).await;
    assert_eq!(said.headers()["grpc-status"], "8");
    assert!(said.headers()["grpc-message"].to_str().unwrap().contains("4096"));

    let mut stream = TcpStream::connect(house.gateway).await.unwrap();
    let head = format!(
        "POST {LIST} HTTP/1.1\r\nhost: {}\r\ncontent-type: application/grpc-web+proto\r\n\
         transfer-encoding: chunked\r\nconnection: close\r\n\r\n",
        house.gateway
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    // A message of 1 MiB that never ends, in pieces.
    let mut piece = vec![0u8; 1_024];
    piece[1..5].copy_from_slice(&(1_u32 << 20).to_be_bytes());
    for _ in 0..16 {
        if stream.write_all(b"400\r\n").await.is_err()
            || stream.write_all(&piece).await.is_err()
            || stream.write_all(b"\r\n").await.is_err()
        {
            break;
        }
        piece.fill(0);
    }
    let mut answer = Vec::new();
    // A reset after the answer is as good as an end.
    let _ = timeout(PATIENCE, stream.read_to_end(&mut answer)).await.expect("an end");
    let answer = String::from_utf8_lossy(&answer);
    assert!(!answer.contains("grpc-status: 0") && !answer.contains("grpc-status:0"), "{answer}");
}

#[tokio::test]
async fn a_connection_that_says_nothing_is_closed() {
    let limits = Limits { head_timeout: Duration::from_millis(300), ..Limits::default() };
    let house = House::with(limits).await;
    let mut silent = TcpStream::connect(house.gateway).await.unwrap();
    let mut slow = TcpStream::connect(house.gateway).await.unwrap();
    slow.write_all(b"GET / HTTP/1.1\r\nhost: ").await.unwrap();
    for stream in [&mut silent, &mut slow] {
        let mut rest = Vec::new();
        let ended = timeout(PATIENCE, stream.read_to_end(&mut rest)).await;
        assert!(ended.is_ok(), "it is still open");
    }
}

#[tokio::test]
async fn only_named_pages_and_names_get_in() {
    let server = TestServer::start().await;
    let mut settings = Settings::new(server.url()).allow_origin("https://shop.example").unwrap();
    settings.allow_hosts = vec!["127.0.0.1".to_owned()];
    let house = House::of(server, settings).await;
    let from = |origin: &'static str| {
        let request = house.request(Method::GET, "/session").header(header::ORIGIN, origin);
        house.ask(request.body(Full::default()).unwrap())
    };
    let shop = from("https://shop.example").await;
    assert_eq!(shop.status(), StatusCode::OK);
    assert_eq!(shop.headers()["access-control-allow-origin"], "https://shop.example");
    let (status, text) = whole(from("https://other.example").await).await;
    assert_eq!(status, StatusCode::FORBIDDEN);
    assert!(text.contains("ORIGIN_NOT_ALLOWED"), "{text}");
    let rebound = http::Request::get("/session").header(header::HOST, "evil.example:7080");
    let (status, text) = whole(house.ask(rebound.body(Full::default()).unwrap()).await).await;
    assert_eq!(status, StatusCode::MISDIRECTED_REQUEST);
    assert!(text.contains("HOST_NOT_ALLOWED"), "{text}");
    for wrong in ["*", "shop.example", "https://shop.example/", "https://shop.example/a", "ftp://a"]
    {
        assert!(Settings::new("a").allow_origin(wrong).is_err(), "{wrong}");
    }
}

#[tokio::test]
async fn a_server_that_is_away_is_said_in_the_words_of_the_caller() {
    let gone = Settings::new("http://127.0.0.1:1");
    let house = House::of(TestServer::start().await, gone).await;
    let answer = house.call(LIST, &sentinel_proto::jobs::v1::ListRequest::default()).await;
    let trailers = match answer.headers().get("grpc-status") {
        Some(status) => format!("grpc-status:{}", status.to_str().unwrap()),
        None => whole(answer).await.1,
    };
    assert!(trailers.contains("grpc-status:14"), "{trailers}");
    let sign_in = house
        .request(Method::POST, "/session")
        .header(header::CONTENT_TYPE, "application/json")
        .body(Full::from(r#"{"key":"snt_0123456789abcdef_secret"}"#));
    let (status, text) = whole(house.ask(sign_in.unwrap()).await).await;
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
    assert!(text.contains("can not reach the server"), "{text}");
}
