//! The effect of each fault on both ends, during the fault and after it.

use std::time::{Duration, Instant};

use sentinel_faults::{Counts, Direction};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::fixture::{ProxyFixture, TIMEOUT, expect_nothing, expect_reset, expect_text, send};

#[tokio::test]
async fn bytes_are_forwarded_and_counted() {
    let fixture = ProxyFixture::start().await;
    let (mut client, mut server) = fixture.pair().await;
    send(&mut client, "question").await;
    expect_text(&mut server, "question").await;
    send(&mut server, "no").await;
    expect_text(&mut client, "no").await;
    let counts = fixture.proxy.counts();
    let expected = Counts { live: 1, accepted: 1, up_bytes: 8, down_bytes: 2, ..counts };
    assert_eq!(counts, expected);
    // A close is forwarded, one half at a time.
    client.shutdown().await.unwrap();
    assert_eq!(server.read(&mut [0]).await.unwrap(), 0);
    send(&mut server, "late").await;
    drop(server);
    expect_text(&mut client, "late").await;
    assert_eq!(client.read(&mut [0]).await.unwrap(), 0);
    wait_for_live(&fixture, 0).await;
}

/// Waits for the count: the proxy sees a close later than the ends.
async fn wait_for_live(fixture: &ProxyFixture, live: usize) {
    let counted = async {
        while fixture.proxy.counts().live != live {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(TIMEOUT, counted).await.expect("the count of open connections");
}

#[tokio::test]
async fn a_large_message_arrives_complete() {
    let fixture = ProxyFixture::start().await;
    let (mut client, mut server) = fixture.pair().await;
    fixture.proxy.delay(Direction::Up, Duration::from_millis(5));
    let sent: Vec<u8> = (0..20_000_000_u32).map(|n| (n % 251) as u8).collect();
    let copy = sent.clone();
    let mut received = Vec::new();
    let (written, read) = tokio::join!(
        async {
            client.write_all(&copy).await.unwrap();
            client.shutdown().await
        },
        server.read_to_end(&mut received)
    );
    written.unwrap();
    assert_eq!(read.unwrap(), sent.len());
    assert!(received == sent, "the bytes differ");
}

#[tokio::test]
async fn a_cut_resets_both_ends_of_all_or_of_one() {
    let fixture = ProxyFixture::start().await;
    let (mut first_client, mut first_server) = fixture.pair().await;
    let (mut client, mut server) = fixture.pair().await;
    assert!(fixture.proxy.cut_one());
    expect_reset(&mut first_client).await;
    expect_reset(&mut first_server).await;
    send(&mut client, "alive").await;
    expect_text(&mut server, "alive").await;
    assert_eq!(fixture.proxy.cut(), 1);
    expect_reset(&mut client).await;
    expect_reset(&mut server).await;
    assert_eq!((fixture.proxy.cut(), fixture.proxy.cut_one()), (0, false));
    let (mut client, mut server) = fixture.pair().await;
    send(&mut client, "again").await;
    expect_text(&mut server, "again").await;
}

#[tokio::test]
async fn a_refused_connection_is_reset_and_an_open_one_stays() {
    let fixture = ProxyFixture::start().await;
    let (mut client, mut server) = fixture.pair().await;
    fixture.proxy.refuse();
    expect_reset(&mut fixture.dial().await).await;
    assert_eq!(fixture.proxy.counts().refused, 1);
    send(&mut client, "alive").await;
    expect_text(&mut server, "alive").await;
    fixture.proxy.restore();
    fixture.pair().await;
}

#[tokio::test]
async fn a_stall_holds_one_direction_and_loses_nothing() {
    let fixture = ProxyFixture::start().await;
    let (mut client, mut server) = fixture.pair().await;
    fixture.proxy.stall(Direction::Up);
    send(&mut client, "held").await;
    expect_nothing(&mut server).await;
    send(&mut server, "passes").await;
    expect_text(&mut client, "passes").await;
    fixture.proxy.restore();
    expect_text(&mut server, "held").await;
}

#[tokio::test]
async fn a_delay_holds_each_piece_back() {
    let fixture = ProxyFixture::start().await;
    let (mut client, mut server) = fixture.pair().await;
    let by = Duration::from_millis(80);
    fixture.proxy.delay(Direction::Down, by);
    let start = Instant::now();
    send(&mut client, "soon").await;
    expect_text(&mut server, "soon").await;
    assert!(start.elapsed() < by, "the other direction is delayed: {:?}", start.elapsed());
    let start = Instant::now();
    send(&mut server, "late").await;
    expect_text(&mut client, "late").await;
    assert!(start.elapsed() >= by, "{:?}", start.elapsed());
}

#[tokio::test]
async fn a_half_open_connection_forwards_no_close() {
    let fixture = ProxyFixture::start().await;
    let (mut client, mut server) = fixture.pair().await;
    fixture.proxy.discard();
    send(&mut client, "lost").await;
    expect_nothing(&mut server).await;
    // A connection made meanwhile looks open.
    let mut new = fixture.dial().await;
    send(&mut new, "lost, too").await;
    expect_nothing(&mut new).await;
    fixture.proxy.restore();
    send(&mut client, "after the hole").await;
    expect_nothing(&mut server).await;
    // Not even a close is forwarded.
    drop(client);
    expect_nothing(&mut server).await;
    drop(server);
    wait_for_live(&fixture, 2).await;
    assert_eq!(fixture.proxy.counts().discarded_bytes, 27);
    let (mut client, mut server) = fixture.pair().await;
    send(&mut client, "well").await;
    expect_text(&mut server, "well").await;
}

#[tokio::test]
async fn an_unreachable_target_resets_the_connection() {
    let fixture = ProxyFixture::start().await;
    let ProxyFixture { proxy, listener } = fixture;
    drop(listener);
    let mut client = tokio::net::TcpStream::connect(proxy.address()).await.unwrap();
    expect_reset(&mut client).await;
}
