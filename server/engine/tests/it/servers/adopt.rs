//! A worker that moves from one server to another.

use sentinel_domain::State;
use sentinel_engine::session::{Ended, HeldVerdict, ReportVerdict};

use super::Site;
use crate::worker::{Worker, hello, success};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_that_moved_ends_where_it_was() {
    let (_site, a, b) = Site::two().await;
    let mut before = Worker::join(&a.engine, hello(1)).await;
    let job = a.enqueue().await;
    let jobs = before.assigned(1).await;
    let mut after = Worker::rejoin(&b.engine, &before.welcome, &[&jobs[0]]).await;
    assert_eq!(after.verdicts(), [HeldVerdict::Keep]);
    // The old stream is open, and its worker says nothing on it any more.
    assert_eq!(before.ended().await, Ended::Superseded);
    assert_eq!(after.report(vec![success(&jobs[0])]).await, [ReportVerdict::Recorded]);
    a.until_state(job.id, State::Succeeded).await;
    after.bye().await;
    a.close().await;
    b.close().await;
}

/// The news of the first move may come when the session is back.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_that_came_back_stays() {
    let (_site, a, b) = Site::two().await;
    let mut here = Worker::join(&a.engine, hello(1)).await;
    let job = a.enqueue().await;
    let jobs = here.assigned(1).await;
    for _ in 0..10 {
        let there = Worker::rejoin(&b.engine, &here.welcome, &[&jobs[0]]).await;
        here = Worker::rejoin(&a.engine, &there.welcome, &[&jobs[0]]).await;
        assert_eq!(here.verdicts(), [HeldVerdict::Keep]);
        assert_eq!(there.ended().await, Ended::Superseded);
    }
    assert_eq!(here.report(vec![success(&jobs[0])]).await, [ReportVerdict::Recorded]);
    b.until_state(job.id, State::Succeeded).await;
    here.bye().await;
    a.close().await;
    b.close().await;
}
