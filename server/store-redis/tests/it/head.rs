//! The head as other servers see it.

use std::time::{Duration, Instant};

use sentinel_faults::RedisServer;
use sentinel_store::conformance::fixture;
use sentinel_store::{Position, Store};
use sentinel_store_redis::{OpenOptions, RedisStore};
use tokio::sync::watch;

use crate::place::{directory, eventually};

const NOW: i64 = 1_000;
/// Longer than any pause of a subscriber.
const LONG: Duration = Duration::from_secs(10);

async fn reaches(head: &mut watch::Receiver<Position>, at: Position) {
    let wait = head.wait_for(|head| *head >= at);
    tokio::time::timeout(LONG, wait).await.expect("it is told").expect("the store lives");
}

#[tokio::test]
async fn it_moves_with_the_commits_of_others() {
    let dir = directory();
    let server = RedisServer::start(dir.path(), &[]);
    let a = RedisStore::open(OpenOptions::new(server.url(), NOW)).await.expect("opens");
    let b = RedisStore::open(OpenOptions::new(server.url(), NOW + 5)).await.expect("opens");
    assert_eq!(a.head().borrow().epoch, b.head().borrow().epoch, "one store, one epoch");
    let mut writer = fixture::Writer::new(1);
    let mut head = b.head();
    let begun = Instant::now();
    for n in 0..20 {
        let call = writer.request(NOW).transaction(fixture::create(&fixture::job("q", "k", NOW, n))).build();
        let at = a.commit(call).await.expect("commits").position;
        reaches(&mut head, at).await;
    }
    let took = begun.elapsed();
    assert!(took < Duration::from_secs(8), "{took:?}: by messages, not by the read each second");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_subscriber_that_was_cut_off_comes_back() {
    let dir = directory();
    let server = RedisServer::start(dir.path(), &[]);
    let a = RedisStore::open(OpenOptions::new(server.url(), NOW)).await.expect("opens");
    let b = RedisStore::open(OpenOptions::new(server.url(), NOW)).await.expect("opens");
    let mut writer = fixture::Writer::new(1);
    let mut head = b.head();
    let listening = || {
        let shards = server.ask("PUBSUB SHARDNUMSUB sentinel:{s0}:head").unwrap_or_default();
        shards.contains('2')
    };
    for n in 0..3 {
        eventually("both listen", listening);
        server.ask("CLIENT KILL TYPE pubsub").expect("answers");
        let call = writer.request(NOW).transaction(fixture::create(&fixture::job("q", "k", NOW, n))).build();
        let at = a.commit(call).await.expect("commits").position;
        reaches(&mut head, at).await;
    }
}
