//! Hooks for the events of a worker: metrics, traces and error reports of the application.

use std::sync::Arc;
use std::time::Duration;

use super::{JobContext, Outcome, panics};
use crate::Error;

/// An event of a worker, for [`super::WorkerBuilder::on_event`].
#[derive(Debug)]
#[non_exhaustive]
pub enum WorkerEvent<'a> {
    /// A server accepted the session, at the start, after a reconnect or after a move.
    SessionOpened {
        /// The name of the server.
        server: &'a str,
    },
    /// The stream to the server broke. The worker reconnects; running handlers continue.
    SessionLost {
        /// Why.
        error: &'a Error,
    },
    /// A handler begins.
    AttemptStarted {
        /// The job.
        job: &'a JobContext,
    },
    /// A handler has ended. The server may still decide otherwise, for example when the lease was
    /// lost.
    AttemptFinished {
        /// The job.
        job: &'a JobContext,
        /// The outcome that the handler returned, or the error that it ended with.
        outcome: &'a Outcome,
        /// How long the handler ran.
        elapsed: Duration,
    },
}

type Hook = Arc<dyn Fn(&WorkerEvent<'_>) + Send + Sync>;

/// The hooks of a worker.
#[derive(Clone, Default)]
pub(crate) struct EventHooks(Vec<Hook>);

impl EventHooks {
    pub(crate) fn add(&mut self, hook: impl Fn(&WorkerEvent<'_>) + Send + Sync + 'static) {
        self.0.push(Arc::new(hook));
    }

    pub(crate) fn emit(&self, event: &WorkerEvent<'_>) {
        for hook in &self.0 {
            if let Err(message) = panics::guarded(|| hook(event)) {
                tracing::error!(message, "a hook for worker events panicked");
            }
        }
    }
}
