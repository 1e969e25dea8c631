//! A worker session that moves from one server to another.

use sentinel_domain::State;
use sentinel_engine::session::{HeldLeaseVerdict, ReportVerdict, StreamEnd};

use super::TestCluster;
use crate::worker::{ScriptedWorker, hello, succeeded_report};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_moved_session_closes_the_stream_at_its_former_server() {
    let (_cluster, a, b) = TestCluster::two_servers().await;
    let mut before = ScriptedWorker::join(&a.engine, hello(1)).await;
    let job = a.enqueue().await;
    let jobs = before.accept_jobs(1).await;
    let mut after = ScriptedWorker::resume(&b.engine, &before.welcome, &[&jobs[0]]).await;
    assert_eq!(after.verdicts(), [HeldLeaseVerdict::Keep]);
    // The old stream is open, but its worker sends nothing.
    assert_eq!(before.closed().await, StreamEnd::Superseded);
    assert_eq!(after.report(vec![succeeded_report(&jobs[0])]).await, [ReportVerdict::Recorded]);
    a.wait_state(job.id, State::Succeeded).await;
    after.bye().await;
    a.close().await;
    b.close().await;
}

/// The notification of the first move may arrive after the session has returned.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_that_returns_to_its_server_stays_open() {
    let (_cluster, a, b) = TestCluster::two_servers().await;
    let mut at_a = ScriptedWorker::join(&a.engine, hello(1)).await;
    let job = a.enqueue().await;
    let jobs = at_a.accept_jobs(1).await;
    for _ in 0..10 {
        let at_b = ScriptedWorker::resume(&b.engine, &at_a.welcome, &[&jobs[0]]).await;
        at_a = ScriptedWorker::resume(&a.engine, &at_b.welcome, &[&jobs[0]]).await;
        assert_eq!(at_a.verdicts(), [HeldLeaseVerdict::Keep]);
        assert_eq!(at_b.closed().await, StreamEnd::Superseded);
    }
    assert_eq!(at_a.report(vec![succeeded_report(&jobs[0])]).await, [ReportVerdict::Recorded]);
    b.wait_state(job.id, State::Succeeded).await;
    at_a.bye().await;
    a.close().await;
    b.close().await;
}
