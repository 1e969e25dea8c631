//! A worker of one server is drained through another server.

use super::TestCluster;
use crate::harness::wait_until;
use crate::worker::{ScriptedWorker, hello};
use crate::worker_registry::only_worker;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_drain_through_another_server_stops_claims_for_the_worker() {
    let (_cluster, a, b) = TestCluster::two_servers().await;
    let worker = ScriptedWorker::join(&b.engine, hello(8)).await;
    wait_until("the worker has credit", || async {
        (b.engine.sessions().load() == (1, 8)).then_some(())
    })
    .await;
    let listed = only_worker(&a.engine).await;
    assert!(a.engine.workers().drain(listed.id).await.expect("a connected worker").is_draining);
    wait_until("the credit of the worker is zero", || async {
        (b.engine.sessions().load().1 == 0).then_some(())
    })
    .await;
    assert!(only_worker(&b.engine).await.is_draining);
    worker.bye().await;
    a.close().await;
    b.close().await;
}
