//! A worker in the test process, so that its handlers and the test share memory and a clock.

use sentinel_client::Error;
use sentinel_client::worker::{Worker, WorkerBuilder};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use super::TIMEOUT;

/// A worker task. Dropping it ends the worker like a crash, without a drain.
pub(crate) struct InProcessWorker {
    stop: oneshot::Sender<()>,
    running: JoinHandle<Result<(), Error>>,
}

impl InProcessWorker {
    pub(crate) fn start(builder: WorkerBuilder) -> Self {
        let worker = builder.build().expect("build a worker");
        let (stop, stopped) = oneshot::channel::<()>();
        // Dropping the sender also requests the shutdown.
        let running = tokio::spawn(worker.run(async { _ = stopped.await }));
        Self { stop, running }
    }

    /// Returns the builder of a worker for the queue `default`.
    pub(crate) fn builder(address: impl std::fmt::Display, instance: &str) -> WorkerBuilder {
        Worker::builder(format!("http://{address}")).queue("default").instance(instance)
    }

    /// Drains the worker and waits for its end.
    pub(crate) async fn stop(self) {
        drop(self.stop);
        let result = tokio::time::timeout(TIMEOUT, self.running).await.expect("drain in time");
        result.expect("no panic in the worker").expect("the server accepts the worker");
    }
}
