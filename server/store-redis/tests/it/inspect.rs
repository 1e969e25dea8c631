//! Inspection of Redis.

use sentinel_faults::{RedisServer, free_port};
use sentinel_store::Position;
use sentinel_store_redis::{OpenError, OpenOptions, RedisStore, inspect};

use crate::cluster::Cluster;
use crate::support::temp_dir;

fn clock() -> i64 {
    let since = std::time::UNIX_EPOCH.elapsed().expect("it is after 1970");
    since.as_millis() as i64
}

#[tokio::test]
async fn inspect_reports_settings_and_position() {
    let dir = temp_dir();
    let server = RedisServer::start(dir.path(), &["--maxmemory", "64mb"]);
    let empty = inspect(&server.url(), clock).await.expect("a reply");
    assert_eq!(empty.position, None, "inspect creates no store");
    let store = RedisStore::open(OpenOptions::new(server.url(), 7)).await.expect("opened");
    let found = inspect(&server.url(), || clock() - 3_600_000).await.expect("a reply");
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
async fn an_unreachable_server_is_reported() {
    let url = format!("redis://127.0.0.1:{}", free_port());
    let error = inspect(&url, clock).await.expect_err("no server");
    assert!(matches!(error, OpenError::Unreachable(_)), "{error}");
}

#[tokio::test]
async fn every_node_of_a_cluster_is_inspected() {
    let dir = temp_dir();
    let cluster = Cluster::start(dir.path());
    let found = inspect(&cluster.url(), clock).await.expect("a reply");
    assert_eq!(found.nodes.len(), 3, "{found:?}");
    for node in &found.nodes {
        assert!(node.is_primary && node.name.contains(':'), "{node:?}");
        assert_eq!(node.appendfsync.as_deref(), Some("always"));
    }
    assert!(found.clock_ahead_ms.abs() < 60_000, "{}", found.clock_ahead_ms);
}
