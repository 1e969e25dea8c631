//! Failover with Redis Sentinel: the store finds the new primary.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use sentinel_faults::{RedisServer, free_port, redis_cli};
use sentinel_store::conformance::fixture;
use sentinel_store::{PeerEvents, Store, StoreError};
use sentinel_store_redis::{OpenOptions, RedisStore};

use crate::peer_events::Server;
use crate::support::{temp_dir, wait_until};

const NOW: i64 = 1_000;
const FAILOVER_MAX: Duration = Duration::from_secs(30);

/// A Redis Sentinel with a quorum of one.
pub(crate) struct RedisSentinel {
    process: Child,
    pub(crate) port: u16,
}

impl RedisSentinel {
    pub(crate) fn start(dir: &Path, primary: u16) -> Self {
        let port = free_port();
        let file = dir.join("sentinel.conf");
        let lines = [
            format!("port {port}"),
            format!("sentinel monitor main 127.0.0.1 {primary} 1"),
            "sentinel down-after-milliseconds main 300".to_owned(),
            "sentinel failover-timeout main 3000".to_owned(),
        ];
        std::fs::write(&file, lines.join("\n")).expect("is written");
        let process = Command::new("redis-server")
            .arg(&file)
            .arg("--sentinel")
            .current_dir(dir)
            .stdout(Stdio::null())
            .spawn()
            .expect("redis-server is installed");
        Self { process, port }
    }

    pub(crate) fn primary(&self) -> String {
        redis_cli(self.port, &["SENTINEL", "MASTER", "main"]).unwrap_or_default()
    }
}

impl Drop for RedisSentinel {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

#[tokio::test]
async fn the_store_reconnects_to_the_new_primary() {
    let (first, second) = (temp_dir(), temp_dir());
    let mut primary = RedisServer::start(first.path(), &[]);
    let of = format!("127.0.0.1 {}", primary.port());
    let replica = RedisServer::start(second.path(), &["--replicaof", &of]);
    let sentinel = RedisSentinel::start(second.path(), primary.port());
    wait_until("the replica is known", || sentinel.primary().contains("num-slaves\n1"));

    let url = format!("redis+sentinel://127.0.0.1:{}/main", sentinel.port);
    let mut other = Server::open(&url, 2).await;
    other.events = PeerEvents::default();
    let store = RedisStore::open(OpenOptions::new(url, NOW)).await.expect("opened");
    let mut writer = fixture::Writer::new(1);
    let jobs = [1, 2].map(|n| fixture::job("q", "k", NOW, n));
    let call = writer.request(NOW).transaction(fixture::create(&jobs[0])).build();
    store.commit(call).await.expect("committed");
    wait_until("the replica has it", || {
        let has = |server: &RedisServer| server.ask("HGET sentinel:{s0}:meta seq");
        has(&replica) == has(&primary)
    });
    primary.kill();

    let call = writer.request(NOW).transaction(fixture::create(&jobs[1])).build();
    let started = Instant::now();
    let outcome = loop {
        match store.commit(call.clone()).await {
            Ok(outcome) => break outcome,
            Err(StoreError::OutcomeUnknown(_) | StoreError::Unavailable(_)) => {
                assert!(started.elapsed() < FAILOVER_MAX, "no new primary was found");
                tokio::task::yield_now().await;
            }
            Err(error) => panic!("{error}"),
        }
    };
    assert_eq!(outcome.position.seq, 2, "no call was lost or applied twice");
    other.until("subscribed to the new primary", |events| events.is_incomplete).await;
    other.events = PeerEvents::default();
    let call = writer
        .request(NOW)
        .transaction(fixture::create(&fixture::job("after", "k", NOW, 3)))
        .build();
    store.commit(call).await.expect("committed");
    other.until("events arrive", |events| !events.ready.is_empty()).await;
    let there = store.read(jobs.iter().map(|job| job.id).collect()).await.expect("a reply");
    assert!(there.iter().all(Option::is_some), "{there:?}");
}
