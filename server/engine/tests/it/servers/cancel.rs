//! What one server decides about jobs whose workers another one has.

use sentinel_domain::Lease;
use sentinel_engine::session::{FromWorker, ToWorker};
use sentinel_engine::{CancelOutcome, Clock};

use super::Site;
use crate::house::new_job;
use crate::worker::{Worker, held, hello};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cancel_reaches_a_handler_elsewhere() {
    let (_site, a, b) = Site::two().await;
    let mut worker = Worker::join(&b.engine, hello(8)).await;
    for _ in 0..8 {
        let job = a.enqueue().await;
        // Before or after the assignment, as it happens.
        let is_early = job.id.as_u128() % 2 == 0;
        if !is_early {
            worker.assigned(1).await;
        }
        let outcome = a.engine.cancel(job.id, "why", "me").await.expect("answers").outcome;
        if outcome != CancelOutcome::Requested {
            continue;
        }
        if is_early {
            worker.assigned(1).await;
        }
        let told = worker.until("Cancel", |f| match f {
            ToWorker::Cancel(jobs) | ToWorker::Pong { cancels: jobs, .. } => Some(jobs),
            _ => None,
        });
        let told = told.await;
        assert_eq!(told[0].id, job.id);
        worker.send(FromWorker::CancelAck(vec![held(&told[0])])).await;
    }
    worker.bye().await;
    a.close().await;
    b.close().await;
}

/// The sweeper of one server revokes what the worker of another one holds.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lease_that_is_revoked_elsewhere_is_told() {
    let site = Site::new().await;
    let a = site.server(1).await;
    // Its own sweeper finds late that the time of the job is over.
    let clock = Clock::system();
    let b = site.server_with(2, Clock::new(move || clock.now() - 30_000), Site::settings()).await;
    let mut worker = Worker::join(&b.engine, hello(1)).await;
    let new = new_job(|new| new.run_timeout_ms = Some(1));
    let job = a.engine.enqueue(new, "test", None).await.expect("is taken").job;
    let jobs = worker.assigned(1).await;
    let revoked = worker.revoked().await;
    assert_eq!(revoked[0].id, job.id);
    let lease: Lease = revoked[0].lease;
    assert!(jobs[0].status.lease.expect("it runs").is_same(&lease));
    worker.bye().await;
    a.close().await;
    b.close().await;
}
