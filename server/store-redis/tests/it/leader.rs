//! The leader lease.

use std::time::Duration;

use sentinel_faults::RedisServer;
use sentinel_store::{ServerId, Store};
use sentinel_store_redis::{OpenOptions, RedisStore};

use crate::support::{TIMEOUT, temp_dir};

const LONG: Duration = Duration::from_secs(600);
const A: ServerId = ServerId(1);
const B: ServerId = ServerId(2);

#[tokio::test]
async fn one_server_holds_the_lease_until_it_expires_or_is_released() {
    let dir = temp_dir();
    let server = RedisServer::start(dir.path(), &[]);
    let store = RedisStore::open(OpenOptions::new(server.url(), 1_000)).await.expect("opened");
    let acquire = async |server, duration| {
        store.acquire_leader_lease(server, duration).await.expect("a reply")
    };
    assert!(acquire(A, LONG).await);
    assert!(!acquire(B, LONG).await);
    assert!(acquire(A, LONG).await, "renewed");
    assert!(!acquire(B, Duration::ZERO).await, "a server cannot release the lease of another one");
    assert!(!acquire(B, LONG).await);
    assert!(acquire(A, Duration::ZERO).await);
    assert!(acquire(B, Duration::from_millis(50)).await);
    let waited = tokio::time::timeout(TIMEOUT, async {
        while !acquire(A, LONG).await {
            tokio::task::yield_now().await;
        }
    });
    waited.await.expect("the lease expires");
}
