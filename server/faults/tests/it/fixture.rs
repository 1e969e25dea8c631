//! Two sockets with the proxy between them, and what tests do with them.

use std::time::Duration;

use sentinel_faults::Proxy;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

pub(crate) const TIMEOUT: Duration = Duration::from_secs(10);

/// How long a test waits to see that nothing arrives.
pub(crate) const QUIET_PERIOD: Duration = Duration::from_millis(100);

/// A proxy and the listener that it forwards to.
pub(crate) struct ProxyFixture {
    pub(crate) proxy: Proxy,
    pub(crate) listener: TcpListener,
}

impl ProxyFixture {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let proxy = Proxy::start(listener.local_addr().unwrap()).await.unwrap();
        Self { proxy, listener }
    }

    /// A new connection to the proxy.
    pub(crate) async fn dial(&self) -> TcpStream {
        TcpStream::connect(self.proxy.address()).await.unwrap()
    }

    /// Both ends of a new connection.
    pub(crate) async fn pair(&self) -> (TcpStream, TcpStream) {
        let client = self.dial().await;
        let server = tokio::time::timeout(TIMEOUT, self.listener.accept()).await.unwrap();
        (client, server.unwrap().0)
    }
}

pub(crate) async fn send(to: &mut TcpStream, text: &str) {
    to.write_all(text.as_bytes()).await.unwrap();
}

/// Asserts that exactly this text arrives next.
pub(crate) async fn expect_text(from: &mut TcpStream, text: &str) {
    let mut received = vec![0; text.len()];
    tokio::time::timeout(TIMEOUT, from.read_exact(&mut received)).await.expect("bytes").unwrap();
    assert_eq!(String::from_utf8_lossy(&received), text);
}

/// Asserts that neither bytes nor a close arrive.
pub(crate) async fn expect_nothing(from: &mut TcpStream) {
    let read = tokio::time::timeout(QUIET_PERIOD, from.read(&mut [0])).await;
    assert!(read.is_err(), "{read:?}");
}

/// Asserts that the connection is reset.
pub(crate) async fn expect_reset(stream: &mut TcpStream) {
    let read = tokio::time::timeout(TIMEOUT, stream.read(&mut [0])).await.expect("an end");
    assert_eq!(read.unwrap_err().kind(), std::io::ErrorKind::ConnectionReset);
}
