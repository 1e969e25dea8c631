//! The one way to start a task: named, traced, and waited for at the end.

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
    /// Starts a task whose log lines carry its name.
    pub fn spawn(&self, name: &'static str, task: impl Future<Output = ()> + Send + 'static) {
        self.tracker.spawn(task.instrument(tracing::info_span!("task", name)));
    }

    /// Cancelled when the tasks shall end.
    pub fn closing(&self) -> CancellationToken {
        self.closing.clone()
    }

    /// Asks all tasks to end and waits for them, at most `patience`. False when some did not.
    pub async fn close(&self, patience: Duration) -> bool {
        self.closing.cancel();
        self.tracker.close();
        tokio::time::timeout(patience, self.tracker.wait()).await.is_ok()
    }
}
