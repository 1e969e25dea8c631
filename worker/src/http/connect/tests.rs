//! Permitted addresses and unreachable ones.

use super::*;

/// Returns an address that neither accepts nor refuses connections while the listener and the
/// streams are held.
async fn unresponsive_address() -> (SocketAddr, tokio::net::TcpListener, Vec<TcpStream>) {
    let socket = tokio::net::TcpSocket::new_v4().expect("a socket");
    socket.bind("127.0.0.1:0".parse().expect("an address")).expect("a port");
    let address = socket.local_addr().expect("an address");
    let listener = socket.listen(1).expect("listens");
    let mut waiting = Vec::new();
    while let Ok(stream) = timeout(Duration::from_millis(300), TcpStream::connect(address)).await {
        waiting.push(stream.expect("connected"));
    }
    (address, listener, waiting)
}

#[tokio::test]
async fn an_unresponsive_address_is_skipped_after_a_timeout() {
    let (dead, _listener, _waiting) = unresponsive_address().await;
    let alive = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let alive_at = alive.local_addr().expect("an address");
    let connected = timeout(3 * CONNECT_TIMEOUT, connect_to_any("h", &[dead, alive_at]))
        .await
        .expect("in time");
    assert_eq!(connected.expect("one address accepts").1, alive_at);
    let error = connect_to_any("h", &[dead]).await.expect_err("no address accepts");
    assert!(error.to_string().contains("timed out"), "{error}");
}

fn addresses(ips: &[&str]) -> Vec<SocketAddr> {
    ips.iter().map(|ip| SocketAddr::new(ip.parse().expect("an address"), 80)).collect()
}

#[test]
fn only_permitted_addresses_of_a_host_are_used() {
    let defaults = AllowedTargets::default();
    let permitted_of = |ips: &[&str]| permitted("h", addresses(ips), &defaults);
    let open = permitted_of(&["10.0.0.1", "8.8.8.8", "::1"]).expect("one is permitted");
    assert_eq!(open, addresses(&["8.8.8.8"]));
    let error = permitted_of(&["10.0.0.1", "127.0.0.1"]).expect_err("none is permitted");
    assert!(error.to_string().starts_with("h is at 127.0.0.1, which is loopback;"), "{error}");
    assert!(!error.into_handler_error().is_retryable());
    assert!(matches!(permitted_of(&[]), Err(ConnectError::NoAddress { .. })));
    let by_name = AllowedTargets::parse(["h"]).expect("a valid entry");
    let private = addresses(&["10.0.0.1"]);
    assert_eq!(permitted("h", private.clone(), &by_name).expect("allowed by name"), private);
}
