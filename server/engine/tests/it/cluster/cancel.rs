//! Cancels and revocations by one server for jobs whose workers are connected to another.

use sentinel_domain::LeaseId;
use sentinel_engine::session::{FromWorker, ToWorker};
use sentinel_engine::{CancelOutcome, Clock, Submitter};

use super::TestCluster;
use crate::harness::new_job;
use crate::worker::{ScriptedWorker, held, hello};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cancel_reaches_a_worker_of_another_server() {
    let (_cluster, a, b) = TestCluster::two_servers().await;
    let mut worker = ScriptedWorker::join(&b.engine, hello(8)).await;
    for _ in 0..8 {
        let job = a.enqueue().await;
        // Half of the cancels come before the assignment.
        let is_early = job.id.as_u128() % 2 == 0;
        if !is_early {
            worker.accept_jobs(1).await;
        }
        let outcome =
            a.engine.jobs().cancel(job.id, "why", "me").await.expect("a response").outcome;
        if outcome != CancelOutcome::Requested {
            continue;
        }
        if is_early {
            worker.accept_jobs(1).await;
        }
        let cancels = worker.wait_for("Cancel", |f| match f {
            ToWorker::Cancel(jobs) | ToWorker::Pong { cancels: jobs, .. } => Some(jobs),
            _ => None,
        });
        let cancels = cancels.await;
        assert_eq!(cancels[0].id, job.id);
        worker.send(FromWorker::CancelAck(vec![held(&cancels[0])])).await;
    }
    worker.bye().await;
    a.close().await;
    b.close().await;
}

/// The sweeper of one server revokes a lease of another server's worker.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lease_revoked_by_another_server_is_reported_to_the_worker() {
    let cluster = TestCluster::new().await;
    let a = cluster.start_server(1).await;
    // The clock of the worker's own server is late, so the other server's sweeper acts first.
    let clock = Clock::system();
    let b = cluster
        .start_server_with(2, Clock::new(move || clock.now() - 30_000), TestCluster::settings())
        .await;
    let mut worker = ScriptedWorker::join(&b.engine, hello(1)).await;
    let new = new_job(|new| new.run_timeout_ms = Some(1));
    let job = a
        .engine
        .jobs()
        .enqueue(new, Submitter::unrestricted("test"), None)
        .await
        .expect("the engine accepts it")
        .job;
    let jobs = worker.accept_jobs(1).await;
    let revoked = worker.next_revoked().await;
    assert_eq!(revoked[0].id, job.id);
    let lease: LeaseId = revoked[0].lease;
    assert!(jobs[0].status.lease.expect("a lease").id == lease);
    worker.bye().await;
    a.close().await;
    b.close().await;
}
