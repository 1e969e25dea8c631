use futures_util::StreamExt;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::*;

const SHORT: Duration = Duration::from_millis(100);
const LONG: Duration = Duration::from_secs(30);

async fn listen(max: usize, timeout: Duration) -> (LimitedListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    (LimitedListener::new(listener, max, timeout), address)
}

#[tokio::test]
async fn a_connection_above_the_limit_waits_until_another_closes() {
    let (connections, address) = listen(2, LONG).await;
    let mut incoming = Box::pin(connections.into_incoming());
    let _clients =
        futures_util::future::join_all((0..3).map(|_| TcpStream::connect(address))).await;
    let first = incoming.next().await.unwrap().unwrap();
    let _second = incoming.next().await.unwrap().unwrap();
    let third = tokio::time::timeout(SHORT, incoming.next()).await;
    assert!(third.is_err(), "the limit is two");
    drop(first);
    assert!(incoming.next().await.unwrap().is_ok());
}

#[tokio::test]
async fn only_a_connection_without_handshake_times_out() {
    let (connections, address) = listen(9, SHORT).await;
    let mut client = TcpStream::connect(address).await.unwrap();
    let (mut silent, _) = connections.next().await;
    client.write_all(&[0; HANDSHAKE_BYTES - 1]).await.unwrap();
    let mut bytes = vec![0; 1_000];
    let mut read = 0;
    let error = loop {
        match silent.read(&mut bytes).await {
            Ok(more) => read += more,
            Err(error) => break error,
        }
    };
    assert_eq!((error.kind(), read), (io::ErrorKind::TimedOut, HANDSHAKE_BYTES - 1));

    let mut client = TcpStream::connect(address).await.unwrap();
    let (mut established, _) = connections.next().await;
    client.write_all(&[0; HANDSHAKE_BYTES]).await.unwrap();
    established.read_exact(&mut bytes[..HANDSHAKE_BYTES]).await.unwrap();
    let silence = tokio::time::timeout(3 * SHORT, established.read(&mut bytes)).await;
    assert!(silence.is_err(), "an established connection may be idle: {silence:?}");
}
