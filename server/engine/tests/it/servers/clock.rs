//! Servers whose clocks are an hour off.

use sentinel_domain::State;
use sentinel_engine::session::ReportVerdict;
use sentinel_engine::{Clock, EngineError};
use sentinel_store::StoreError;

use super::Site;
use crate::house::{eventually, new_job};
use crate::worker::{Worker, hello, success};

const HOUR_MS: i64 = 3_600_000;

fn off_by(ms: i64) -> Clock {
    let clock = Clock::system();
    Clock::new(move || clock.now() + ms)
}

/// It would take the time of the store along, and let no lease end for an hour.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_that_is_ahead_is_turned_away() {
    let site = Site::new().await;
    let a = site.server(1).await;
    let mut worker = Worker::join(&a.engine, hello(1)).await;
    let b = site.try_server_with(2, off_by(HOUR_MS), Site::settings()).await;
    let Err(EngineError::Store(StoreError::Unavailable(why))) = b else { panic!("it starts") };
    assert!(why.contains("AHEAD"), "{why}");
    let job = a.enqueue().await;
    let jobs = worker.assigned(1).await;
    let ahead_ms = jobs[0].status.updated_at - job.status.updated_at;
    assert!(ahead_ms < HOUR_MS, "{ahead_ms} ms");
    assert_eq!(worker.report(vec![success(&jobs[0])]).await, [ReportVerdict::Recorded]);
    worker.bye().await;
    a.close().await;
}

/// Nobody else notices: times of the store never run backwards, and its own workers are
/// taken for lost, at the worst.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_that_is_behind_harms_no_other() {
    let site = Site::new().await;
    let a = site.server(1).await;
    let b = site.server_with(2, off_by(-HOUR_MS), Site::settings()).await;
    let mut worker = Worker::join(&a.engine, hello(1)).await;
    let new = new_job(|new| new.delay_ms = Some(50));
    let late = a.engine.enqueue(new, "test", None).await.expect("is taken").job;
    let jobs = worker.assigned(1).await;
    assert_eq!(jobs[0].id, late.id);
    assert!(jobs[0].status.updated_at >= late.status.ready_at);
    b.enqueue().await;
    assert_eq!(worker.report(vec![success(&jobs[0])]).await, [ReportVerdict::Recorded]);
    worker.credit(1).await;
    let jobs = worker.assigned(1).await;
    assert!(jobs[0].status.updated_at >= late.status.updated_at, "not an hour before");
    assert_eq!(worker.report(vec![success(&jobs[0])]).await, [ReportVerdict::Recorded]);
    eventually("the ledger has it", async || {
        let found = site.ledger.get(vec![jobs[0].id]).await.expect("answers").pop().flatten();
        found.filter(|job| job.status.state == State::Succeeded)
    })
    .await;
    worker.bye().await;
    a.close().await;
    b.close().await;
}
