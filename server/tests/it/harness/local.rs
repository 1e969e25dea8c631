//! A worker in the process of the test: its handlers and the test share a clock and memory.

use sentinel_client::Error;
use sentinel_client::worker::{Worker, WorkerBuilder};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use super::PATIENCE;

/// Runs until it is stopped; dropped, it is gone as after a crash.
pub(crate) struct LocalWorker {
    stop: oneshot::Sender<()>,
    running: JoinHandle<Result<(), Error>>,
}

impl LocalWorker {
    pub(crate) fn start(builder: WorkerBuilder) -> Self {
        let worker = builder.build().expect("a worker");
        let (stop, stopped) = oneshot::channel::<()>();
        // A sender that is gone asks for the end, too.
        let running = tokio::spawn(worker.run(async { _ = stopped.await }));
        Self { stop, running }
    }

    /// A worker of the queue `default` through any address of the server.
    pub(crate) fn builder(address: impl std::fmt::Display, instance: &str) -> WorkerBuilder {
        Worker::builder(format!("http://{address}")).queue("default").instance(instance)
    }

    /// Drains.
    pub(crate) async fn stop(self) {
        drop(self.stop);
        let ended = tokio::time::timeout(PATIENCE, self.running).await.expect("the drain ends");
        ended.expect("the worker does not panic").expect("the server took the worker");
    }
}
