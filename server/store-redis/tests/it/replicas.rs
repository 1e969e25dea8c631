//! What was acknowledged as replicated outlives the primary, and is not shown before.

use std::path::Path;
use std::time::{Duration, Instant};

use sentinel_domain::JobId;
use sentinel_faults::{Direction, Proxy, RedisServer};
use sentinel_store::conformance::fixture;
use sentinel_store::{JournalPage, Position, Store, StoreError};
use sentinel_store_redis::{StoreHealth, OpenOptions, RedisStore, ReplicationOptions};
use tempfile::TempDir;

use crate::cluster::Cluster;
use crate::failover::Watcher;
use crate::place::{PATIENCE, directory, eventually};

const NOW: i64 = 1_000;
/// Acknowledged jobs before and after the primary is lost.
const BEFORE: usize = 200;
const AFTER: usize = 20;

fn options(url: String) -> OpenOptions {
    let replicas = ReplicationOptions { min_replicas: 1, timeout: Duration::from_millis(500), show_only_replicated: true };
    OpenOptions { replication: replicas, ..OpenOptions::new(url, NOW) }
}

fn replica_of(dir: &Path, host_port: &str) -> RedisServer {
    RedisServer::start(dir, &["--replicaof", host_port, "--repl-diskless-sync-delay", "0"])
}

/// So many replicas follow a primary.
fn has_replicas(primary: &RedisServer, count: usize) -> bool {
    let info = primary.ask("INFO replication").unwrap_or_default();
    info.matches("state=online").count() == count
}

async fn becomes_safe(store: &RedisStore, at: Position) {
    let began = Instant::now();
    while !store.wait_replicated(at).await.expect("answers") {
        assert!(began.elapsed() < PATIENCE, "no replica ever has it");
    }
}

/// Creates jobs until so many were acknowledged as replicated; answers those.
async fn load(
    store: &RedisStore,
    writer: &mut fixture::Writer,
    made: &mut u64,
    wanted: usize,
) -> Vec<JobId> {
    let mut safe = Vec::new();
    let mut waited = Instant::now();
    while safe.len() < wanted {
        *made += 1;
        let job = fixture::job("q", "k", NOW, *made);
        let call = writer.request(NOW).transaction(fixture::create(&job)).build();
        let at = loop {
            match store.commit(call.clone()).await {
                Ok(outcome) => break outcome.position,
                Err(error @ (StoreError::OutcomeUnknown(_) | StoreError::Unavailable(_))) => {
                    assert!(waited.elapsed() < 2 * PATIENCE, "no store comes back: {error}");
                    tokio::task::yield_now().await;
                }
                Err(error) => panic!("{error}"),
            }
        };
        match store.wait_replicated(at).await {
            Ok(true) => {
                safe.push(job.id);
                waited = Instant::now();
            }
            Ok(false) | Err(StoreError::Unavailable(_)) => {
                assert!(waited.elapsed() < 2 * PATIENCE, "no replica comes back");
            }
            Err(error) => panic!("{error}"),
        }
    }
    safe
}

/// Loads, kills the primary somewhere in between, and loads on.
async fn outlive<T: Send + 'static>(store: RedisStore, kill: impl FnOnce() -> T + Send + 'static) {
    let (mut writer, mut made) = (fixture::Writer::new(1), 0);
    let mut safe = load(&store, &mut writer, &mut made, BEFORE).await;
    let killed = tokio::task::spawn_blocking(kill);
    // Goes on while it happens and afterwards.
    safe.extend(load(&store, &mut writer, &mut made, BEFORE).await);
    let _others = killed.await.expect("is killed");
    safe.extend(load(&store, &mut writer, &mut made, AFTER).await);
    assert_eq!(*store.health().borrow(), StoreHealth::Healthy, "the next primary had all of it");
    for ids in safe.chunks(100) {
        let there = store.read(ids.to_vec()).await.expect("answers");
        let lost = ids.iter().zip(there).filter(|(_, job)| job.is_none()).count();
        assert_eq!(lost, 0, "acknowledged jobs are gone");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_primary_that_is_killed_under_load_takes_nothing_along() {
    let dirs: [TempDir; 3] = std::array::from_fn(|_| directory());
    let mut primary = RedisServer::start(dirs[0].path(), &["--repl-diskless-sync-delay", "0"]);
    let of = format!("127.0.0.1 {}", primary.port());
    let replicas = [replica_of(dirs[1].path(), &of), replica_of(dirs[2].path(), &of)];
    eventually("the replicas follow", || has_replicas(&primary, replicas.len()));
    let watcher = Watcher::start(dirs[1].path(), primary.port());
    eventually("the replicas are known", || watcher.primary().contains("num-slaves\n2"));
    let url = format!("redis+sentinel://127.0.0.1:{}/main", watcher.port);
    let store = RedisStore::open(options(url)).await.expect("opens");
    outlive(store, move || primary.kill()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_primary_of_a_cluster_that_is_killed_under_load_takes_nothing_along() {
    let dir = directory();
    let more = ["--cluster-node-timeout", "2000", "--repl-diskless-sync-delay", "0"];
    let mut cluster = Cluster::start_with(dir.path(), &more);
    let replicas = cluster.replicate(dir.path(), 2, &more);
    let store = RedisStore::open(options(cluster.url())).await.expect("opens");
    let kill = move || {
        cluster.kill_owner();
        cluster
    };
    outlive(store, kill).await;
    drop(replicas);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_replicas_may_not_have_is_not_shown() {
    let (first, second) = (directory(), directory());
    let primary = RedisServer::start(first.path(), &["--repl-diskless-sync-delay", "0"]);
    let between = Proxy::start(([127, 0, 0, 1], primary.port()).into()).await.expect("a port");
    let of = format!("127.0.0.1 {}", between.address().port());
    let replica = replica_of(second.path(), &of);
    eventually("the replica follows", || has_replicas(&primary, 1));
    let store = RedisStore::open(options(primary.url())).await.expect("opens");
    let mut writer = fixture::Writer::new(1);
    let mut create = async |n| {
        let call = writer.request(NOW).transaction(fixture::create(&fixture::job("q", "k", NOW, n))).build();
        store.commit(call).await.expect("commits").position
    };
    let safe = create(1).await;
    becomes_safe(&store, safe).await;
    assert_eq!(*store.head().borrow(), safe);

    between.stall(Direction::Down);
    let lost = create(2).await;
    assert!(!store.wait_replicated(lost).await.expect("answers"), "nobody has it");
    assert_eq!(*store.head().borrow(), safe, "nobody is told of it");
    let JournalPage::Entries(entries) = store.read_journal(safe, 9).await.expect("answers") else {
        panic!("nothing was trimmed")
    };
    assert!(entries.is_empty(), "nor shown it");

    // The next primary is not behind anything that was shown.
    replica.ask("REPLICAOF NO ONE").expect("answers");
    let next = OpenOptions { min_position: Some(safe), ..OpenOptions::new(replica.url(), NOW) };
    let next = RedisStore::open(next).await.expect("is not rolled back");
    let job = |n| fixture::job("q", "k", NOW, n).id;
    let there = next.read(vec![job(1), job(2)]).await.expect("answers");
    assert!(there[0].is_some() && there[1].is_none(), "{there:?}");

    between.restore();
}

#[tokio::test]
async fn another_server_is_shown_what_replicas_have() {
    let (first, second) = (directory(), directory());
    let primary = RedisServer::start(first.path(), &["--repl-diskless-sync-delay", "0"]);
    let _replica = replica_of(second.path(), &format!("127.0.0.1 {}", primary.port()));
    eventually("the replica follows", || has_replicas(&primary, 1));
    let [ours, theirs] = [
        RedisStore::open(options(primary.url())).await.expect("opens"),
        RedisStore::open(options(primary.url())).await.expect("opens"),
    ];
    let mut head = theirs.head();
    let mut writer = fixture::Writer::new(1);
    let call = writer.request(NOW).transaction(fixture::create(&fixture::job("q", "k", NOW, 1))).build();
    let at = ours.commit(call).await.expect("commits").position;
    becomes_safe(&ours, at).await;
    let told = tokio::time::timeout(PATIENCE, head.wait_for(|head| *head >= at)).await;
    told.expect("it is told").expect("the store lives");
    let JournalPage::Entries(entries) = theirs.read_journal(Position::default(), 9).await.expect("answers")
    else {
        panic!("nothing was trimmed")
    };
    assert_eq!(entries.len(), 1);
}

#[tokio::test]
async fn without_replicas_nothing_is_safe_and_all_goes_on() {
    let dir = directory();
    let server = RedisServer::start(dir.path(), &[]);
    let store = RedisStore::open(options(server.url())).await.expect("opens");
    let mut writer = fixture::Writer::new(1);
    for n in 0..5 {
        let call = writer.request(NOW).transaction(fixture::create(&fixture::job("q", "k", NOW, n))).build();
        let at = store.commit(call).await.expect("commits").position;
        assert!(!store.wait_replicated(at).await.expect("answers"));
    }
}
