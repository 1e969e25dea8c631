//! The background tasks of a server: named in traces, and awaited at shutdown.

use std::future::Future;
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::Instrument;

/// The tasks of one server. Cheap to clone.
#[derive(Clone, Default)]
pub struct Tasks {
    tracker: TaskTracker,
    closing: CancellationToken,
}

impl Tasks {
    /// Starts a task. Its log lines carry its name.
    pub fn spawn(&self, name: &'static str, task: impl Future<Output = ()> + Send + 'static) {
        self.tracker.spawn(task.instrument(tracing::info_span!("task", name)));
    }

    /// Returns the token that is cancelled when the tasks must stop.
    pub fn closing(&self) -> CancellationToken {
        self.closing.clone()
    }

    /// Asks all tasks to stop and waits for them. Returns false when some did not within
    /// `timeout`.
    pub async fn close(&self, timeout: Duration) -> bool {
        self.closing.cancel();
        self.tracker.close();
        tokio::time::timeout(timeout, self.tracker.wait()).await.is_ok()
    }
}
