//! A worker of one server that is drained at the other one.

use super::Site;
use crate::house::eventually;
use crate::registry::only;
use crate::worker::{Worker, hello};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn its_server_is_told_and_asks_for_it_no_more() {
    let (_site, a, b) = Site::two().await;
    let worker = Worker::join(&b.engine, hello(8)).await;
    eventually("its credits are there", || async { (b.engine.sessions() == (1, 8)).then_some(()) })
        .await;
    let its = only(&a.engine).await;
    assert!(a.engine.drain_worker(its.id).await.expect("is there").is_draining);
    eventually("its credits are gone", || async { (b.engine.sessions().1 == 0).then_some(()) })
        .await;
    assert!(only(&b.engine).await.is_draining);
    worker.bye().await;
    a.close().await;
    b.close().await;
}
