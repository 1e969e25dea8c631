//! The head of the journal, as other servers observe it.

use std::time::{Duration, Instant};

use sentinel_faults::RedisServer;
use sentinel_store::conformance::fixture;
use sentinel_store::{Position, Store};
use sentinel_store_redis::{OpenOptions, RedisStore};
use tokio::sync::watch;

use crate::support::{temp_dir, wait_until};

const NOW: i64 = 1_000;
/// Longer than any pause of the subscriber.
const LONG: Duration = Duration::from_secs(10);

async fn wait_for_head(head: &mut watch::Receiver<Position>, at: Position) {
    let wait = head.wait_for(|head| *head >= at);
    tokio::time::timeout(LONG, wait).await.expect("in time").expect("the store is open");
}

#[tokio::test]
async fn the_head_advances_with_commits_of_other_servers() {
    let dir = temp_dir();
    let server = RedisServer::start(dir.path(), &[]);
    let a = RedisStore::open(OpenOptions::new(server.url(), NOW)).await.expect("opened");
    let b = RedisStore::open(OpenOptions::new(server.url(), NOW + 5)).await.expect("opened");
    assert_eq!(a.head().borrow().epoch, b.head().borrow().epoch, "both servers use the same epoch");
    let mut writer = fixture::Writer::new(1);
    let mut head = b.head();
    let started = Instant::now();
    for n in 0..20 {
        let call = writer
            .request(NOW)
            .transaction(fixture::create(&fixture::job("q", "k", NOW, n)))
            .build();
        let at = a.commit(call).await.expect("committed").position;
        wait_for_head(&mut head, at).await;
    }
    let took = started.elapsed();
    assert!(took < Duration::from_secs(8), "{took:?}: advanced by messages, not by polling");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_subscriber_reconnects() {
    let dir = temp_dir();
    let server = RedisServer::start(dir.path(), &[]);
    let a = RedisStore::open(OpenOptions::new(server.url(), NOW)).await.expect("opened");
    let b = RedisStore::open(OpenOptions::new(server.url(), NOW)).await.expect("opened");
    let mut writer = fixture::Writer::new(1);
    let mut head = b.head();
    let listening = || {
        let shards = server.ask("PUBSUB SHARDNUMSUB sentinel:{s0}:head").unwrap_or_default();
        shards.contains('2')
    };
    for n in 0..3 {
        wait_until("both servers are subscribed", listening);
        server.ask("CLIENT KILL TYPE pubsub").expect("a reply");
        let call = writer
            .request(NOW)
            .transaction(fixture::create(&fixture::job("q", "k", NOW, n)))
            .build();
        let at = a.commit(call).await.expect("committed").position;
        wait_for_head(&mut head, at).await;
    }
}
