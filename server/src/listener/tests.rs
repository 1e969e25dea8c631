use futures_util::StreamExt;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::*;

const SHORT: Duration = Duration::from_millis(100);
const LONG: Duration = Duration::from_secs(30);

async fn listen(max: usize, patience: ConnectionTimeout) -> (LimitedListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    (LimitedListener::new(listener, max, patience), address)
}

#[tokio::test]
async fn beyond_the_bound_a_connection_waits_for_another_to_close() {
    let (connections, address) = listen(2, ConnectionTimeout::Handshake(LONG)).await;
    let mut incoming = Box::pin(connections.into_incoming());
    let _clients =
        futures_util::future::join_all((0..3).map(|_| TcpStream::connect(address))).await;
    let first = incoming.next().await.unwrap().unwrap();
    let _second = incoming.next().await.unwrap().unwrap();
    let third = tokio::time::timeout(SHORT, incoming.next()).await;
    assert!(third.is_err(), "there are two");
    drop(first);
    assert!(incoming.next().await.unwrap().is_ok());
}

#[tokio::test]
async fn who_does_not_greet_is_cut_off_and_who_did_is_not() {
    let (connections, address) = listen(9, ConnectionTimeout::Handshake(SHORT)).await;
    let mut client = TcpStream::connect(address).await.unwrap();
    let (mut silent, _) = connections.next().await;
    client.write_all(&[0; GREETING_BYTES - 1]).await.unwrap();
    let mut bytes = vec![0; 1_000];
    let mut read = 0;
    let error = loop {
        match silent.read(&mut bytes).await {
            Ok(more) => read += more,
            Err(error) => break error,
        }
    };
    assert_eq!((error.kind(), read), (io::ErrorKind::TimedOut, GREETING_BYTES - 1));

    let mut client = TcpStream::connect(address).await.unwrap();
    let (mut greeted, _) = connections.next().await;
    client.write_all(&[0; GREETING_BYTES]).await.unwrap();
    greeted.read_exact(&mut bytes[..GREETING_BYTES]).await.unwrap();
    let silence = tokio::time::timeout(3 * SHORT, greeted.read(&mut bytes)).await;
    assert!(silence.is_err(), "it may be silent now: {silence:?}");
}

#[tokio::test]
async fn where_the_whole_connection_is_bounded_bytes_lift_nothing() {
    let (connections, address) = listen(9, ConnectionTimeout::Lifetime(SHORT)).await;
    let mut client = TcpStream::connect(address).await.unwrap();
    let (mut slow, _) = connections.next().await;
    client.write_all(&[0; 100]).await.unwrap();
    let mut all = Vec::new();
    let error = slow.read_to_end(&mut all).await.unwrap_err();
    assert_eq!((error.kind(), all.len()), (io::ErrorKind::TimedOut, 100));
    assert_eq!(slow.write(&[0]).await.unwrap_err().kind(), io::ErrorKind::TimedOut);
}
