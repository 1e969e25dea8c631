//! One server does not reach Redis any more, and the others do: its workers go to them, and a
//! balancer hears that it should leave it out.

use sentinel_client::NewJob;
use sentinel_client::proto::jobs::v1::JobState;

use super::SERVERS;
use crate::chaos::seed;
use crate::chaos::site::{Ground, Site};
use crate::harness::{PATIENCE, enqueue, in_state, until};
use crate::ops::http_get;

async fn readiness(site: &Site, nth: usize) -> String {
    http_get(&site.servers[nth].ops_address, "/readyz").await.1
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn workers_leave_a_server_that_does_not_reach_redis() {
    let mut site = Site::start("isolated", seed(), Ground::Shared).await;
    for nth in 0..SERVERS {
        site.load.acknowledges(40).await;
        site.cut_off_from_redis(nth);
        // Each in the queue of a worker: they have all found a server that works.
        let client = site.client(nth + 1);
        for worker in site.workers() {
            let id = enqueue(&client, NewJob::new(worker, "demo.noop")).await;
            in_state(&client, &id, JobState::Succeeded).await;
            site.load.note(|history| history.acknowledged.insert(id));
        }
        until("the server says that it is not ready", PATIENCE, || async {
            readiness(&site, nth).await.contains("Redis").then_some(())
        })
        .await;
        site.restore();
        until("the server is ready again", PATIENCE, || async {
            readiness(&site, nth).await.starts_with("ready").then_some(())
        })
        .await;
    }
    site.close().await;
}
