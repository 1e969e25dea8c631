//! The lead among servers.

use std::time::Duration;

use sentinel_faults::RedisServer;
use sentinel_store::{ServerId, Store};
use sentinel_store_redis::{OpenOptions, RedisStore};

use crate::place::{PATIENCE, directory};

const LONG: Duration = Duration::from_secs(600);
const A: ServerId = ServerId(1);
const B: ServerId = ServerId(2);

#[tokio::test]
async fn one_has_it_until_it_ends_or_is_given_up() {
    let dir = directory();
    let server = RedisServer::start(dir.path(), &[]);
    let store = RedisStore::open(OpenOptions::new(server.url(), 1_000)).await.expect("opens");
    let lead = async |who, lasts| store.acquire_leader_lease(who, lasts).await.expect("answers");
    assert!(lead(A, LONG).await);
    assert!(!lead(B, LONG).await);
    assert!(lead(A, LONG).await, "it is kept");
    assert!(!lead(B, Duration::ZERO).await, "nobody gives up what another one has");
    assert!(!lead(B, LONG).await);
    assert!(lead(A, Duration::ZERO).await);
    assert!(lead(B, Duration::from_millis(50)).await);
    let waited = tokio::time::timeout(PATIENCE, async {
        while !lead(A, LONG).await {
            tokio::task::yield_now().await;
        }
    });
    waited.await.expect("who does not keep it loses it");
}
