//! One server cannot reach Redis while the others can: its workers move to them, and its readiness
//! endpoint tells load balancers to skip it.

use sentinel_client::NewJob;
use sentinel_client::proto::jobs::v1::JobState;

use super::SERVERS;
use crate::chaos::fixture::{ChaosFixture, Topology};
use crate::chaos::seed;
use crate::harness::{TIMEOUT, enqueue, wait_state, wait_until};
use crate::ops::http_get;

async fn readiness(fixture: &ChaosFixture, nth: usize) -> String {
    http_get(&fixture.servers[nth].ops_address, "/readyz").await.1
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn workers_leave_a_server_that_cannot_reach_redis() {
    let mut fixture = ChaosFixture::start("redis partition", seed(), Topology::Cluster).await;
    // The servers differ only in that one is the leader.
    for nth in 0..SERVERS - 1 {
        fixture.load.wait_acknowledged(40).await;
        fixture.isolate_from_redis(nth);
        // One job in each worker's own queue proves that every worker has found a healthy server.
        let client = fixture.client(nth + 1);
        for worker in fixture.worker_names() {
            let id = enqueue(&client, NewJob::new(worker, "demo.noop")).await;
            wait_state(&client, &id, JobState::Succeeded).await;
            fixture.load.record(|history| history.acknowledged.insert(id));
        }
        wait_until("the server is not ready", TIMEOUT, || async {
            readiness(&fixture, nth).await.contains("Redis").then_some(())
        })
        .await;
        fixture.restore();
        wait_until("the server is ready again", TIMEOUT, || async {
            readiness(&fixture, nth).await.starts_with("ready").then_some(())
        })
        .await;
    }
    fixture.finish().await;
}
