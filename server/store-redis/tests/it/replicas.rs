//! Replication: replicated changes survive the loss of the primary, and unreplicated ones are not
//! shown.

use std::path::Path;
use std::time::{Duration, Instant};

use sentinel_domain::JobId;
use sentinel_faults::{Direction, Proxy, RedisServer};
use sentinel_store::conformance::fixture;
use sentinel_store::{JournalPage, Position, Store, StoreError};
use sentinel_store_redis::{OpenOptions, RedisStore, ReplicationOptions, StoreHealth};
use tempfile::TempDir;

use crate::cluster::Cluster;
use crate::failover::RedisSentinel;
use crate::support::{TIMEOUT, temp_dir, wait_until};

const NOW: i64 = 1_000;
/// The number of acknowledged jobs before and after the loss of the primary.
const BEFORE: usize = 200;
const AFTER: usize = 20;

fn options(url: String) -> OpenOptions {
    let replicas = ReplicationOptions {
        min_replicas: 1,
        timeout: Duration::from_millis(500),
        show_only_replicated: true,
    };
    OpenOptions { replication: replicas, ..OpenOptions::new(url, NOW) }
}

fn replica_of(dir: &Path, host_port: &str) -> RedisServer {
    RedisServer::start(dir, &["--replicaof", host_port, "--repl-diskless-sync-delay", "0"])
}

/// Returns whether this many replicas follow a primary.
fn has_replicas(primary: &RedisServer, count: usize) -> bool {
    let info = primary.ask("INFO replication").unwrap_or_default();
    info.matches("state=online").count() == count
}

async fn wait_replicated(store: &RedisStore, at: Position) {
    let started = Instant::now();
    while !store.wait_replicated(at).await.expect("a reply") {
        assert!(started.elapsed() < TIMEOUT, "not replicated in time");
    }
}

/// Creates jobs until `wanted` are acknowledged as replicated. Returns those.
async fn create_replicated_jobs(
    store: &RedisStore,
    writer: &mut fixture::Writer,
    created: &mut u64,
    wanted: usize,
) -> Vec<JobId> {
    let mut replicated = Vec::new();
    let mut waited = Instant::now();
    while replicated.len() < wanted {
        *created += 1;
        let job = fixture::job("q", "k", NOW, *created);
        let call = writer.request(NOW).transaction(fixture::create(&job)).build();
        let at = loop {
            match store.commit(call.clone()).await {
                Ok(outcome) => break outcome.position,
                Err(error @ (StoreError::OutcomeUnknown(_) | StoreError::Unavailable(_))) => {
                    assert!(
                        waited.elapsed() < 2 * TIMEOUT,
                        "the store is not available again: {error}"
                    );
                    tokio::task::yield_now().await;
                }
                Err(error) => panic!("{error}"),
            }
        };
        match store.wait_replicated(at).await {
            Ok(true) => {
                replicated.push(job.id);
                waited = Instant::now();
            }
            Ok(false) | Err(StoreError::Unavailable(_)) => {
                assert!(waited.elapsed() < 2 * TIMEOUT, "no replica is available again");
            }
            Err(error) => panic!("{error}"),
        }
    }
    replicated
}

/// Creates jobs, kills the primary meanwhile, and checks that no replicated job is lost.
async fn assert_survives_kill<T: Send + 'static>(
    store: RedisStore,
    kill: impl FnOnce() -> T + Send + 'static,
) {
    let (mut writer, mut created) = (fixture::Writer::new(1), 0);
    let mut replicated = create_replicated_jobs(&store, &mut writer, &mut created, BEFORE).await;
    let killed = tokio::task::spawn_blocking(kill);
    // During the failover, and afterwards.
    replicated.extend(create_replicated_jobs(&store, &mut writer, &mut created, BEFORE).await);
    let _remaining_nodes = killed.await.expect("killed");
    replicated.extend(create_replicated_jobs(&store, &mut writer, &mut created, AFTER).await);
    assert_eq!(*store.health().borrow(), StoreHealth::Healthy, "the new primary has everything");
    for ids in replicated.chunks(100) {
        let there = store.read(ids.to_vec()).await.expect("a reply");
        let lost = ids.iter().zip(there).filter(|(_, job)| job.is_none()).count();
        assert_eq!(lost, 0, "acknowledged jobs are lost");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn replicated_jobs_survive_a_killed_primary() {
    let dirs: [TempDir; 3] = std::array::from_fn(|_| temp_dir());
    let mut primary = RedisServer::start(dirs[0].path(), &["--repl-diskless-sync-delay", "0"]);
    let of = format!("127.0.0.1 {}", primary.port());
    let replicas = [replica_of(dirs[1].path(), &of), replica_of(dirs[2].path(), &of)];
    wait_until("the replicas follow", || has_replicas(&primary, replicas.len()));
    let sentinel = RedisSentinel::start(dirs[1].path(), primary.port());
    wait_until("the replicas are known", || sentinel.primary().contains("num-slaves\n2"));
    let url = format!("redis+sentinel://127.0.0.1:{}/main", sentinel.port);
    let store = RedisStore::open(options(url)).await.expect("opened");
    assert_survives_kill(store, move || primary.kill()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn replicated_jobs_survive_a_killed_primary_of_a_cluster() {
    let dir = temp_dir();
    let more = ["--cluster-node-timeout", "2000", "--repl-diskless-sync-delay", "0"];
    let mut cluster = Cluster::start_with(dir.path(), &more);
    let replicas = cluster.replicate(dir.path(), 2, &more);
    let store = RedisStore::open(options(cluster.url())).await.expect("opened");
    let kill = move || {
        cluster.kill_owner();
        cluster
    };
    assert_survives_kill(store, kill).await;
    drop(replicas);
}

#[tokio::test(flavor = "multi_thread")]
async fn unreplicated_changes_are_not_shown() {
    let (first, second) = (temp_dir(), temp_dir());
    let primary = RedisServer::start(first.path(), &["--repl-diskless-sync-delay", "0"]);
    let proxy = Proxy::start(([127, 0, 0, 1], primary.port()).into()).await.expect("a port");
    let of = format!("127.0.0.1 {}", proxy.address().port());
    let replica = replica_of(second.path(), &of);
    wait_until("the replica follows", || has_replicas(&primary, 1));
    let store = RedisStore::open(options(primary.url())).await.expect("opened");
    let mut writer = fixture::Writer::new(1);
    let mut create = async |n| {
        let call = writer
            .request(NOW)
            .transaction(fixture::create(&fixture::job("q", "k", NOW, n)))
            .build();
        store.commit(call).await.expect("committed").position
    };
    let replicated = create(1).await;
    wait_replicated(&store, replicated).await;
    assert_eq!(*store.head().borrow(), replicated);

    proxy.stall(Direction::Down);
    let lost = create(2).await;
    assert!(!store.wait_replicated(lost).await.expect("a reply"), "not replicated");
    assert_eq!(*store.head().borrow(), replicated, "the head does not advance");
    let JournalPage::Entries(entries) = store.read_journal(replicated, 9).await.expect("a reply")
    else {
        panic!("nothing was trimmed")
    };
    assert!(entries.is_empty(), "the journal does not show it");

    // The new primary is not behind what was shown.
    replica.ask("REPLICAOF NO ONE").expect("a reply");
    let next =
        OpenOptions { min_position: Some(replicated), ..OpenOptions::new(replica.url(), NOW) };
    let next = RedisStore::open(next).await.expect("not rolled back");
    let job = |n| fixture::job("q", "k", NOW, n).id;
    let there = next.read(vec![job(1), job(2)]).await.expect("a reply");
    assert!(there[0].is_some() && there[1].is_none(), "{there:?}");

    proxy.restore();
}

#[tokio::test]
async fn other_servers_see_replicated_changes() {
    let (first, second) = (temp_dir(), temp_dir());
    let primary = RedisServer::start(first.path(), &["--repl-diskless-sync-delay", "0"]);
    let _replica = replica_of(second.path(), &format!("127.0.0.1 {}", primary.port()));
    wait_until("the replica follows", || has_replicas(&primary, 1));
    let [ours, theirs] = [
        RedisStore::open(options(primary.url())).await.expect("opened"),
        RedisStore::open(options(primary.url())).await.expect("opened"),
    ];
    let mut head = theirs.head();
    let mut writer = fixture::Writer::new(1);
    let call =
        writer.request(NOW).transaction(fixture::create(&fixture::job("q", "k", NOW, 1))).build();
    let at = ours.commit(call).await.expect("committed").position;
    wait_replicated(&ours, at).await;
    let reached = tokio::time::timeout(TIMEOUT, head.wait_for(|head| *head >= at)).await;
    reached.expect("in time").expect("the store is open");
    let JournalPage::Entries(entries) =
        theirs.read_journal(Position::default(), 9).await.expect("a reply")
    else {
        panic!("nothing was trimmed")
    };
    assert_eq!(entries.len(), 1);
}

#[tokio::test]
async fn without_replicas_commits_succeed_and_are_not_replicated() {
    let dir = temp_dir();
    let server = RedisServer::start(dir.path(), &[]);
    let store = RedisStore::open(options(server.url())).await.expect("opened");
    let mut writer = fixture::Writer::new(1);
    for n in 0..5 {
        let call = writer
            .request(NOW)
            .transaction(fixture::create(&fixture::job("q", "k", NOW, n)))
            .build();
        let at = store.commit(call).await.expect("committed").position;
        assert!(!store.wait_replicated(at).await.expect("a reply"));
    }
}
