//! Judging what a look-up answered.

use super::*;

/// An address whose connections are neither taken nor refused, as long as both are held.
async fn silent() -> (SocketAddr, tokio::net::TcpListener, Vec<TcpStream>) {
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
async fn an_address_that_does_not_answer_leaves_time_for_the_next() {
    let (dead, _listener, _waiting) = silent().await;
    let alive = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let alive_at = alive.local_addr().expect("an address");
    let dialed = timeout(3 * DIAL_WITHIN, dial("h", &[dead, alive_at])).await.expect("in time");
    assert_eq!(dialed.expect("one answers").1, alive_at);
    let error = dial("h", &[dead]).await.expect_err("nobody answers");
    assert!(error.to_string().contains("timed out"), "{error}");
}

fn at(ips: &[&str]) -> Vec<SocketAddr> {
    ips.iter().map(|ip| SocketAddr::new(ip.parse().expect("an address"), 80)).collect()
}

#[test]
fn only_open_addresses_of_a_name_are_dialled() {
    let nothing = Allowed::default();
    let judged_of = |ips: &[&str]| judged("h", at(ips), &nothing);
    let open = judged_of(&["10.0.0.1", "8.8.8.8", "::1"]).expect("one is open");
    assert_eq!(open, at(&["8.8.8.8"]));
    let error = judged_of(&["10.0.0.1", "127.0.0.1"]).expect_err("all are closed");
    assert!(error.to_string().starts_with("h is at 127.0.0.1, which is loopback;"), "{error}");
    assert!(!error.into_failure().is_retryable());
    assert!(matches!(judged_of(&[]), Err(ConnectError::NoAddress { .. })));
    let named = Allowed::parse(["h"]).expect("an entry");
    assert_eq!(judged("h", at(&["10.0.0.1"]), &named).expect("is named"), at(&["10.0.0.1"]));
}
