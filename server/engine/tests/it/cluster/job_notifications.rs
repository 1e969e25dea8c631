//! Jobs that one server accepts for the workers of another.

use sentinel_engine::session::ReportVerdict;

use super::TestCluster;
use crate::harness::within_timeout;
use crate::worker::{ScriptedWorker, hello, succeeded_report};

/// Without a notification between the servers, each job would wait for about a second.
const JOBS: usize = 60;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn workers_of_another_server_get_a_new_job_immediately() {
    let (_cluster, a, b) = TestCluster::two_servers().await;
    let mut worker = ScriptedWorker::join(&b.engine, hello(1)).await;
    within_timeout("all jobs in sequence", async {
        for _ in 0..JOBS {
            let job = a.enqueue().await;
            let jobs = worker.accept_jobs(1).await;
            assert_eq!(jobs[0].id, job.id);
            assert_eq!(
                worker.report(vec![succeeded_report(&jobs[0])]).await,
                [ReportVerdict::Recorded]
            );
            worker.credit(1).await;
        }
    })
    .await;
    worker.bye().await;
    a.close().await;
    b.close().await;
}
