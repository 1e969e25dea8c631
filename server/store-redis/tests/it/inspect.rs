//! What a look at a Redis tells those who run it.

use sentinel_faults::{RedisServer, free_port};
use sentinel_store::Position;
use sentinel_store_redis::{OpenError, OpenOptions, RedisStore, inspect};

use crate::cluster::Cluster;
use crate::place::directory;

fn clock() -> i64 {
    let since = std::time::UNIX_EPOCH.elapsed().expect("it is after 1970");
    since.as_millis() as i64
}

#[tokio::test]
async fn a_look_finds_what_a_server_was_told() {
    let dir = directory();
    let server = RedisServer::start(dir.path(), &["--maxmemory", "64mb"]);
    let empty = inspect(&server.url(), clock).await.expect("it answers");
    assert_eq!(empty.at, None, "a look begins nothing");
    let store = RedisStore::open(OpenOptions::new(server.url(), 7)).await.expect("opens");
    let found = inspect(&server.url(), || clock() - 3_600_000).await.expect("it answers");
    assert_eq!(found.position, Some(Position { epoch: 7, seq: 0 }));
    assert!((found.clock_ahead_ms - 3_600_000).abs() < 60_000, "{}", found.clock_ahead_ms);
    let [node] = &found.nodes[..] else { panic!("one server is one node: {found:?}") };
    assert!(node.is_primary && node.aof_enabled && node.replicas == 0, "{node:?}");
    assert_eq!((node.appendfsync.as_deref(), node.max_bytes), (Some("always"), 64 << 20));
    assert_eq!(node.eviction_policy, "noeviction");
    assert!(node.used_bytes > 0 && node.version.contains('.'), "{node:?}");
    drop(store);
}

#[tokio::test]
async fn nobody_there_is_told_as_such() {
    let url = format!("redis://127.0.0.1:{}", free_port());
    let error = inspect(&url, clock).await.expect_err("nobody listens");
    assert!(matches!(error, OpenError::Unreachable(_)), "{error}");
}

#[tokio::test]
async fn every_node_of_a_cluster_is_looked_at() {
    let dir = directory();
    let cluster = Cluster::start(dir.path());
    let found = inspect(&cluster.url(), clock).await.expect("it answers");
    assert_eq!(found.nodes.len(), 3, "{found:?}");
    for node in &found.nodes {
        assert!(node.is_primary && node.name.contains(':'), "{node:?}");
        assert_eq!(node.appendfsync.as_deref(), Some("always"));
    }
    assert!(found.clock_ahead_ms.abs() < 60_000, "{}", found.clock_ahead_ms);
}
