//! Two sockets with the proxy between them.

use std::time::Duration;

use sentinel_faults::Proxy;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

pub(crate) const PATIENCE: Duration = Duration::from_secs(10);

/// Long enough to see that nothing comes.
pub(crate) const A_WHILE: Duration = Duration::from_millis(100);

/// A proxy and what it forwards to.
pub(crate) struct Between {
    pub(crate) proxy: Proxy,
    pub(crate) listener: TcpListener,
}

impl Between {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let proxy = Proxy::start(listener.local_addr().unwrap()).await.unwrap();
        Self { proxy, listener }
    }

    /// Whoever dials now.
    pub(crate) async fn dial(&self) -> TcpStream {
        TcpStream::connect(self.proxy.address()).await.unwrap()
    }

    /// Both ends of a new connection.
    pub(crate) async fn pair(&self) -> (TcpStream, TcpStream) {
        let near = self.dial().await;
        let far = tokio::time::timeout(PATIENCE, self.listener.accept()).await.unwrap();
        (near, far.unwrap().0)
    }
}

pub(crate) async fn say(to: &mut TcpStream, text: &str) {
    to.write_all(text.as_bytes()).await.unwrap();
}

/// Panics when not exactly this comes next.
pub(crate) async fn hear(from: &mut TcpStream, text: &str) {
    let mut heard = vec![0; text.len()];
    tokio::time::timeout(PATIENCE, from.read_exact(&mut heard)).await.expect("bytes").unwrap();
    assert_eq!(String::from_utf8_lossy(&heard), text);
}

/// Nothing comes, and no end either.
pub(crate) async fn hear_nothing(from: &mut TcpStream) {
    let read = tokio::time::timeout(A_WHILE, from.read(&mut [0])).await;
    assert!(read.is_err(), "{read:?}");
}

/// It ends by a reset.
pub(crate) async fn see_reset(stream: &mut TcpStream) {
    let read = tokio::time::timeout(PATIENCE, stream.read(&mut [0])).await.expect("an end");
    assert_eq!(read.unwrap_err().kind(), std::io::ErrorKind::ConnectionReset);
}
