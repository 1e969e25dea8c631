//! Many requests at once.

use std::net::SocketAddr;
use std::time::Duration;

use http::{Method, StatusCode};
use http_body_util::Full;
use sentinel_gateway::{Limits, Settings};
use sentinel_proto::jobs::v1::ListRequest;
use sentinel_testing::TestServer;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use crate::fixture::{TestGateway, read};

/// Sends requests at once, half of them gRPC-Web, and returns the statuses that are not 200.
async fn send_at_once(gateway: &std::sync::Arc<TestGateway>, count: usize) -> Vec<String> {
    let mut requests = JoinSet::new();
    for number in 0..count {
        let gateway = gateway.clone();
        requests.spawn(async move {
            let response = if number % 2 == 0 {
                let request = gateway.request(Method::GET, "/v1/counts").body(Full::default());
                gateway.send(request.expect("a valid request")).await
            } else {
                gateway.call("/sentinel.jobs.v1.JobService/List", &ListRequest::default()).await
            };
            let refused = response.headers().get("grpc-status").is_some_and(|code| code != "0");
            let (status, text) = read(response).await;
            (status != StatusCode::OK || refused).then(|| format!("{status}: {text}"))
        });
    }
    let responses = tokio::time::timeout(Duration::from_secs(60), requests.join_all()).await;
    responses.expect("all responses").into_iter().flatten().collect()
}

#[tokio::test]
async fn two_hundred_requests_at_once_are_served_with_the_default_limits() {
    let gateway = std::sync::Arc::new(TestGateway::with_limits(Limits::default()).await);
    let refused = send_at_once(&gateway, 200).await;
    assert!(refused.is_empty(), "{} refused: {:?}", refused.len(), refused.first());
}

/// A proxy that delays what it forwards in both directions, so that frames arrive in bursts.
async fn bursty_proxy(server: &str) -> String {
    let server: SocketAddr = server.trim_start_matches("http://").parse().expect("an address");
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("an address");
    tokio::spawn(async move {
        while let Ok((client, _)) = listener.accept().await {
            let server = TcpStream::connect(server).await.expect("the server accepts");
            let ((from_client, to_client), (from_server, to_server)) =
                (client.into_split(), server.into_split());
            tokio::spawn(forward_in_bursts(from_client, to_server));
            tokio::spawn(forward_in_bursts(from_server, to_client));
        }
    });
    format!("http://{address}")
}

async fn forward_in_bursts(mut from: OwnedReadHalf, mut to: OwnedWriteHalf) {
    let mut buffer = vec![0; 1 << 20];
    while let Ok(first @ 1..) = from.read(&mut buffer[..1]).await {
        tokio::time::sleep(Duration::from_millis(500)).await;
        let rest = from.try_read(&mut buffer[first..]).unwrap_or_default();
        if to.write_all(&buffer[..first + rest]).await.is_err() {
            return;
        }
    }
}

/// HTTP/2 closes a connection whose unread small frames exceed a budget, in either direction.
#[tokio::test]
async fn a_burst_of_requests_on_an_open_connection_is_served() {
    for count in [150, 200, 1_000] {
        let server = TestServer::start().await;
        let mut settings = Settings::new(bursty_proxy(server.url()).await);
        settings.limits.requests_per_second = 0;
        settings.limits.in_flight_max = 0;
        let gateway = std::sync::Arc::new(TestGateway::start(server, settings).await);
        assert!(send_at_once(&gateway, 1).await.is_empty(), "the connection is open");
        let refused = send_at_once(&gateway, count).await;
        assert!(refused.is_empty(), "{} of {count}: {:?}", refused.len(), refused.first());
    }
}

#[tokio::test]
async fn a_thousand_requests_at_once_are_served() {
    for in_flight_max in [0, 64] {
        let limits = Limits { requests_per_second: 0, in_flight_max, ..Limits::default() };
        let limits = Limits { in_flight_wait: Duration::from_secs(30), ..limits };
        let gateway = std::sync::Arc::new(TestGateway::with_limits(limits).await);
        let refused = send_at_once(&gateway, 1_000).await;
        assert!(refused.is_empty(), "{} refused: {:?}", refused.len(), refused.first());
    }
}
