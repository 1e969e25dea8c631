//! What each fault does to the two ends, and what is left when it is over.

use std::time::{Duration, Instant};

use sentinel_faults::{Counts, Direction};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::ends::{Between, PATIENCE, hear, hear_nothing, say, see_reset};

#[tokio::test]
async fn what_is_said_is_heard_and_counted() {
    let between = Between::start().await;
    let (mut near, mut far) = between.pair().await;
    say(&mut near, "question").await;
    hear(&mut far, "question").await;
    say(&mut far, "no").await;
    hear(&mut near, "no").await;
    let counts = between.proxy.counts();
    let expected = Counts { live: 1, accepted: 1, up_bytes: 8, down_bytes: 2, ..counts };
    assert_eq!(counts, expected);
    // An end passes on, one half at a time.
    near.shutdown().await.unwrap();
    assert_eq!(far.read(&mut [0]).await.unwrap(), 0);
    say(&mut far, "late").await;
    drop(far);
    hear(&mut near, "late").await;
    assert_eq!(near.read(&mut [0]).await.unwrap(), 0);
    live_is(&between, 0).await;
}

/// The proxy notes the end a moment after the ends do.
async fn live_is(between: &Between, live: usize) {
    let noted = async {
        while between.proxy.counts().live != live {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, noted).await.expect("the count of open connections");
}

#[tokio::test]
async fn a_large_message_comes_whole() {
    let between = Between::start().await;
    let (mut near, mut far) = between.pair().await;
    between.proxy.delay(Direction::Up, Duration::from_millis(5));
    let sent: Vec<u8> = (0..20_000_000_u32).map(|n| (n % 251) as u8).collect();
    let copy = sent.clone();
    let mut received = Vec::new();
    let (written, read) = tokio::join!(
        async {
            near.write_all(&copy).await.unwrap();
            near.shutdown().await
        },
        far.read_to_end(&mut received)
    );
    written.unwrap();
    assert_eq!(read.unwrap(), sent.len());
    assert!(received == sent, "the bytes differ");
}

#[tokio::test]
async fn a_cut_resets_both_ends_of_all_or_of_one() {
    let between = Between::start().await;
    let (mut first_near, mut first_far) = between.pair().await;
    let (mut near, mut far) = between.pair().await;
    assert!(between.proxy.cut_one());
    see_reset(&mut first_near).await;
    see_reset(&mut first_far).await;
    say(&mut near, "alive").await;
    hear(&mut far, "alive").await;
    assert_eq!(between.proxy.cut(), 1);
    see_reset(&mut near).await;
    see_reset(&mut far).await;
    assert_eq!((between.proxy.cut(), between.proxy.cut_one()), (0, false));
    let (mut near, mut far) = between.pair().await;
    say(&mut near, "again").await;
    hear(&mut far, "again").await;
}

#[tokio::test]
async fn a_refused_connection_is_reset_and_an_open_one_stays() {
    let between = Between::start().await;
    let (mut near, mut far) = between.pair().await;
    between.proxy.refuse();
    see_reset(&mut between.dial().await).await;
    assert_eq!(between.proxy.counts().refused, 1);
    say(&mut near, "alive").await;
    hear(&mut far, "alive").await;
    between.proxy.restore();
    between.pair().await;
}

#[tokio::test]
async fn a_stall_holds_one_direction_and_loses_nothing() {
    let between = Between::start().await;
    let (mut near, mut far) = between.pair().await;
    between.proxy.stall(Direction::Up);
    say(&mut near, "held").await;
    hear_nothing(&mut far).await;
    say(&mut far, "passes").await;
    hear(&mut near, "passes").await;
    between.proxy.restore();
    hear(&mut far, "held").await;
}

#[tokio::test]
async fn a_delay_holds_each_piece_back() {
    let between = Between::start().await;
    let (mut near, mut far) = between.pair().await;
    let by = Duration::from_millis(80);
    between.proxy.delay(Direction::Down, by);
    let start = Instant::now();
    say(&mut near, "soon").await;
    hear(&mut far, "soon").await;
    assert!(start.elapsed() < by, "the other direction takes its time: {:?}", start.elapsed());
    let start = Instant::now();
    say(&mut far, "late").await;
    hear(&mut near, "late").await;
    assert!(start.elapsed() >= by, "{:?}", start.elapsed());
}

#[tokio::test]
async fn a_half_open_connection_never_tells() {
    let between = Between::start().await;
    let (mut near, mut far) = between.pair().await;
    between.proxy.swallow();
    say(&mut near, "lost").await;
    hear_nothing(&mut far).await;
    // Dialled meanwhile: it looks open.
    let mut new = between.dial().await;
    say(&mut new, "lost, too").await;
    hear_nothing(&mut new).await;
    between.proxy.restore();
    say(&mut near, "after the hole").await;
    hear_nothing(&mut far).await;
    // Not even the end of the other one.
    drop(near);
    hear_nothing(&mut far).await;
    drop(far);
    live_is(&between, 2).await;
    assert_eq!(between.proxy.counts().swallowed_bytes, 27);
    let (mut near, mut far) = between.pair().await;
    say(&mut near, "well").await;
    hear(&mut far, "well").await;
}

#[tokio::test]
async fn a_target_that_is_away_is_a_reset() {
    let between = Between::start().await;
    let Between { proxy, listener } = between;
    drop(listener);
    let mut near = tokio::net::TcpStream::connect(proxy.address()).await.unwrap();
    see_reset(&mut near).await;
}
