//! Jobs that one server takes in and the workers of another one wait for.

use sentinel_engine::session::ReportVerdict;

use super::Site;
use crate::house::bounded;
use crate::worker::{Worker, hello, success};

/// Each would wait for about a second, if the other server were not told.
const JOBS: usize = 60;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn credit_elsewhere_asks_at_once() {
    let (_site, a, b) = Site::two().await;
    let mut worker = Worker::join(&b.engine, hello(1)).await;
    bounded("all jobs, one after another", async {
        for _ in 0..JOBS {
            let job = a.enqueue().await;
            let jobs = worker.assigned(1).await;
            assert_eq!(jobs[0].id, job.id);
            assert_eq!(worker.report(vec![success(&jobs[0])]).await, [ReportVerdict::Recorded]);
            worker.credit(1).await;
        }
    })
    .await;
    worker.bye().await;
    a.close().await;
    b.close().await;
}
