//! Servers whose clocks are off by an hour.

use sentinel_domain::State;
use sentinel_engine::session::ReportVerdict;
use sentinel_engine::{Clock, EngineError, Submitter};
use sentinel_store::StoreError;

use super::TestCluster;
use crate::harness::{new_job, wait_until};
use crate::worker::{ScriptedWorker, hello, succeeded_report};

const HOUR_MS: i64 = 3_600_000;

fn off_by(ms: i64) -> Clock {
    let clock = Clock::system();
    Clock::new(move || clock.now() + ms)
}

/// It would advance the time of the store, and no lease would expire for an hour.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_whose_clock_is_ahead_does_not_start() {
    let cluster = TestCluster::new().await;
    let a = cluster.start_server(1).await;
    let mut worker = ScriptedWorker::join(&a.engine, hello(1)).await;
    let b = cluster.try_start_server_with(2, off_by(HOUR_MS), TestCluster::settings()).await;
    let Err(EngineError::Store(StoreError::Unavailable(why))) = b else {
        panic!("the server started")
    };
    assert!(why.contains("AHEAD"), "{why}");
    let job = a.enqueue().await;
    let jobs = worker.accept_jobs(1).await;
    let ahead_ms = jobs[0].status.updated_at - job.status.updated_at;
    assert!(ahead_ms < HOUR_MS, "{ahead_ms} ms");
    assert_eq!(worker.report(vec![succeeded_report(&jobs[0])]).await, [ReportVerdict::Recorded]);
    worker.bye().await;
    a.close().await;
}

/// The time of the store never decreases. At worst, the workers of the late server are considered
/// lost.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_whose_clock_is_behind_does_not_affect_others() {
    let cluster = TestCluster::new().await;
    let a = cluster.start_server(1).await;
    let b = cluster.start_server_with(2, off_by(-HOUR_MS), TestCluster::settings()).await;
    let mut worker = ScriptedWorker::join(&a.engine, hello(1)).await;
    let new = new_job(|new| new.delay_ms = Some(50));
    let late = a
        .engine
        .jobs()
        .enqueue(new, Submitter::unrestricted("test"), None)
        .await
        .expect("the engine accepts it")
        .job;
    let jobs = worker.accept_jobs(1).await;
    assert_eq!(jobs[0].id, late.id);
    assert!(jobs[0].status.updated_at >= late.status.ready_at);
    b.enqueue().await;
    assert_eq!(worker.report(vec![succeeded_report(&jobs[0])]).await, [ReportVerdict::Recorded]);
    worker.credit(1).await;
    let jobs = worker.accept_jobs(1).await;
    assert!(
        jobs[0].status.updated_at >= late.status.updated_at,
        "the time of the store must not decrease"
    );
    assert_eq!(worker.report(vec![succeeded_report(&jobs[0])]).await, [ReportVerdict::Recorded]);
    wait_until("the ledger has the succeeded job", async || {
        let found = cluster.ledger.get(vec![jobs[0].id]).await.expect("a response").pop().flatten();
        found.filter(|job| job.status.state == State::Succeeded)
    })
    .await;
    worker.bye().await;
    a.close().await;
    b.close().await;
}
