//! A primary that is lost while Redis Sentinel watches: the store finds the one after it.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use sentinel_faults::{RedisServer, free_port, redis_cli};
use sentinel_store::conformance::fixture;
use sentinel_store::{PeerEvents, Store, StoreError};
use sentinel_store_redis::{OpenOptions, RedisStore};

use crate::news::Server;
use crate::place::{directory, eventually};

const NOW: i64 = 1_000;
const FAILOVER_MAX: Duration = Duration::from_secs(30);

/// One Redis Sentinel, whose word is enough.
pub(crate) struct Watcher {
    process: Child,
    pub(crate) port: u16,
}

impl Watcher {
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

impl Drop for Watcher {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

#[tokio::test]
async fn the_next_primary_is_found() {
    let (first, second) = (directory(), directory());
    let mut primary = RedisServer::start(first.path(), &[]);
    let of = format!("127.0.0.1 {}", primary.port());
    let replica = RedisServer::start(second.path(), &["--replicaof", &of]);
    let watcher = Watcher::start(second.path(), primary.port());
    eventually("the replica is known", || watcher.primary().contains("num-slaves\n1"));

    let url = format!("redis+sentinel://127.0.0.1:{}/main", watcher.port);
    let mut other = Server::open(&url, 2).await;
    other.news = PeerEvents::default();
    let store = RedisStore::open(OpenOptions::new(url, NOW)).await.expect("opens");
    let mut writer = fixture::Writer::new(1);
    let jobs = [1, 2].map(|n| fixture::job("q", "k", NOW, n));
    let call = writer.request(NOW).transaction(fixture::create(&jobs[0])).build();
    store.commit(call).await.expect("commits");
    eventually("the replica has it", || {
        let has = |server: &RedisServer| server.ask("HGET sentinel:{s0}:meta seq");
        has(&replica) == has(&primary)
    });
    primary.kill();

    let call = writer.request(NOW).transaction(fixture::create(&jobs[1])).build();
    let begun = Instant::now();
    let outcome = loop {
        match store.commit(call.clone()).await {
            Ok(outcome) => break outcome,
            Err(StoreError::OutcomeUnknown(_) | StoreError::Unavailable(_)) => {
                assert!(begun.elapsed() < FAILOVER_MAX, "no primary was found");
                tokio::task::yield_now().await;
            }
            Err(error) => panic!("{error}"),
        }
    };
    assert_eq!(outcome.position.seq, 2, "nothing was lost, nothing came twice");
    other.until("it listens to the next one", |news| news.is_incomplete).await;
    other.news = PeerEvents::default();
    let call = writer.request(NOW).transaction(fixture::create(&fixture::job("after", "k", NOW, 3))).build();
    store.commit(call).await.expect("commits");
    other.until("it hears", |news| !news.ready.is_empty()).await;
    let there = store.read(jobs.iter().map(|job| job.id).collect()).await.expect("answers");
    assert!(there.iter().all(Option::is_some), "{there:?}");
}
