//! Leader election: one server at a time projects the journal.

use sentinel_domain::State;
use sentinel_engine::session::ReportVerdict;

use super::{ClusterServer, TestCluster};
use crate::harness::wait_until;
use crate::worker::{ScriptedWorker, hello, succeeded_report};

/// Waits until a server is the leader and returns its index.
async fn leader(servers: &[&ClusterServer]) -> usize {
    wait_until("a server is the leader", async || {
        servers.iter().position(|server| server.engine.is_leader())
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_server_takes_over_from_a_killed_leader() {
    let (cluster, a, b) = TestCluster::two_servers().await;
    let first = leader(&[&a, &b]).await;
    let (dead, alive) = if first == 0 { (a, b) } else { (b, a) };
    let mut worker = ScriptedWorker::join(&alive.engine, hello(1)).await;
    dead.kill();
    let job = alive.enqueue().await;
    let jobs = worker.accept_jobs(1).await;
    assert_eq!(worker.report(vec![succeeded_report(&jobs[0])]).await, [ReportVerdict::Recorded]);
    wait_until("the other server projects", async || {
        let found = cluster.ledger.get(vec![job.id]).await.expect("a response").pop().flatten();
        found.filter(|job| job.status.state == State::Succeeded)
    })
    .await;
    assert!(alive.engine.is_leader());
    worker.bye().await;
    alive.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stopping_leader_releases_the_leader_lease() {
    let (_cluster, a, b) = TestCluster::two_servers().await;
    let first = leader(&[&a, &b]).await;
    let (stopping, other) = if first == 0 { (a, b) } else { (b, a) };
    assert!(!other.engine.is_leader());
    stopping.close().await;
    leader(&[&other]).await;
    other.close().await;
}
