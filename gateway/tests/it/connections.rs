//! Attacks by connections, and how long a connection may be idle.

use std::time::Duration;

use sentinel_gateway::Limits;
use sentinel_testing::TestServer;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::fixture::TestGateway;
use crate::process::{GatewayProcess, TIMEOUT, connect_from, get_on, read_head};

/// A loopback address that is not the one of the attack.
const OTHER: [u8; 4] = [127, 0, 0, 9];

#[tokio::test]
async fn silent_connections_of_one_client_leave_room_for_all() {
    let server = TestServer::start().await;
    let gateway = GatewayProcess::start(server.url(), &["--connections-max", "256"]);
    // More than twice the limit, which one client can never reach.
    let mut silent = Vec::new();
    for _ in 0..600 {
        silent.push(TcpStream::connect(gateway.address).await.unwrap());
    }
    for client in [OTHER, [127, 0, 0, 1]] {
        let stream = connect_from(client, gateway.address).await;
        let response = get_on(stream, "/v1/counts", "127.0.0.1").await;
        assert!(response.starts_with("HTTP/1.1 200"), "{client:?}: {response}");
    }
    let mut ops = Vec::new();
    for _ in 0..200 {
        let mut stream = TcpStream::connect(gateway.ops_address).await.unwrap();
        // Some slow, some silent.
        if ops.len() % 2 == 0 {
            stream.write_all(b"GET /metrics HT").await.unwrap();
        }
        ops.push(stream);
    }
    for client in [OTHER, [127, 0, 0, 1]] {
        let stream = connect_from(client, gateway.ops_address).await;
        assert!(get_on(stream, "/healthz", "127.0.0.1").await.ends_with("ok\n"));
        assert!(gateway.probe().await < Duration::from_secs(1));
    }
}

#[tokio::test]
async fn the_ops_port_serves_addresses_and_its_own_names_only() {
    let server = TestServer::start().await;
    let gateway =
        GatewayProcess::start(server.url(), &["--ops-allow-host", "gateway.internal,Other"]);
    let port = gateway.ops_address.port();
    let served = ["127.0.0.1", "localhost", "LOCALHOST", "[::1]", "10.1.2.3", "gateway.internal"];
    let refused = ["evil.example", "localhost.evil.example", "127.0.0.1.evil.example", "a b", ""];
    for host in served.iter().chain(&refused) {
        for host in [(*host).to_owned(), format!("{host}:{port}")] {
            for path in ["/metrics", "/readyz", "/healthz"] {
                let stream = TcpStream::connect(gateway.ops_address).await.unwrap();
                let response = get_on(stream, path, &host).await;
                let is_refused = response.starts_with("HTTP/1.1 421");
                let expected =
                    path != "/healthz" && !served.iter().any(|one| host.starts_with(one));
                let expected = expected || (path != "/healthz" && host.contains("evil"));
                assert_eq!(is_refused, expected, "{host:?} {path}: {response}");
            }
        }
    }
}

#[tokio::test]
async fn an_idle_connection_stays_open_longer_than_a_slow_head_may_take() {
    let limits = Limits {
        head_timeout: Duration::from_millis(200),
        keep_alive: Duration::from_secs(3),
        ..Limits::default()
    };
    let gateway = TestGateway::with_limits(limits).await;
    let mut stream = TcpStream::connect(gateway.address).await.unwrap();
    let request = b"HEAD /v1/counts HTTP/1.1\r\nhost: 127.0.0.1\r\n\r\n";
    for idle_ms in [0, 600, 1_200] {
        tokio::time::sleep(Duration::from_millis(idle_ms)).await;
        stream.write_all(request).await.unwrap();
        let response = read_head(&mut stream).await;
        assert!(response.starts_with("HTTP/1.1 200"), "after {idle_ms} ms: {response}");
    }
    // The head of a later request is limited from its first byte.
    stream.write_all(&request[..20]).await.unwrap();
    let mut rest = Vec::new();
    let closed = timeout(Duration::from_millis(2_000), stream.read_to_end(&mut rest)).await;
    assert!(closed.is_ok(), "a slow head keeps the connection");
    let mut idle = TcpStream::connect(gateway.address).await.unwrap();
    idle.write_all(request).await.unwrap();
    assert!(read_head(&mut idle).await.starts_with("HTTP/1.1 200"));
    let closed = timeout(TIMEOUT, idle.read_to_end(&mut rest)).await;
    assert!(closed.is_ok(), "an idle connection is closed after the time");
}

#[test]
fn the_default_is_longer_than_the_usual_proxies_keep_a_connection() {
    // nginx 60 s, AWS ALB 60 s, HAProxy 300 s, Google Cloud 600 s, Envoy 3,600 s.
    for proxy_s in [60, 75, 300, 600, 3_600] {
        assert!(Limits::default().keep_alive > Duration::from_secs(proxy_s));
    }
}
