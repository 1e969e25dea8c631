//! Runs handlers on the caller's runtime. However a handler finishes (return, panic, dropped
//! future, runtime shutdown), the session is notified exactly once.

use std::collections::HashMap;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Instant;

use tokio::runtime::Handle;
use tokio::sync::mpsc;

use super::active_attempt::ActiveAttempt;
use super::clock::wall_clock;
use super::events::{EventHooks, WorkerEvent};
use super::handler_error::HandlerError;
use super::job_context::JobContext;
use super::outcome::Outcome;
use super::panics::{self, Panic};
use super::state::HandlerFinished;

type HandlerFuture = Pin<Box<dyn Future<Output = Outcome> + Send>>;

/// A type-erased handler.
pub(crate) type Handler = Arc<dyn Fn(JobContext) -> HandlerFuture + Send + Sync>;

pub(crate) fn boxed_handler<H, A>(handler: H) -> Handler
where
    H: Fn(JobContext) -> A + Send + Sync + 'static,
    A: Future + Send + 'static,
    A::Output: Into<Outcome>,
{
    Arc::new(move |context| {
        let future = handler(context);
        Box::pin(async move { future.await.into() })
    })
}

/// The handlers by kind, and the runtime that runs them.
pub(crate) struct Executor {
    pub(crate) handlers: Arc<HashMap<String, Handler>>,
    pub(crate) events: EventHooks,
    pub(crate) runtime: Handle,
    /// Holds at most one message per running handler; its capacity is the concurrency.
    pub(crate) finished: mpsc::Sender<HandlerFinished>,
}

impl Executor {
    /// Starts the handlers of a batch of attempts. A single task crosses to the runtime and spawns
    /// the handlers there, on a local run queue.
    pub(crate) fn start(&self, attempts: Vec<Arc<ActiveAttempt>>) {
        if attempts.is_empty() {
            return;
        }
        let guards = attempts
            .into_iter()
            .map(|attempt| FinishGuard { attempt: Some(attempt), finished: self.finished.clone() });
        let guards: Vec<FinishGuard> = guards.collect();
        let (handlers, events) = (self.handlers.clone(), self.events.clone());
        self.runtime.spawn(async move {
            for guard in guards {
                let Some(attempt) = guard.attempt.clone() else { continue };
                let handler = handlers.get(&attempt.assignment.kind).cloned();
                let task = tokio::spawn(run(handler, attempt.clone(), events.clone(), guard));
                attempt.set_abort_handle(task.abort_handle());
            }
        });
    }
}

/// Notifies the session that a handler has finished, at the latest when it is dropped.
struct FinishGuard {
    attempt: Option<Arc<ActiveAttempt>>,
    finished: mpsc::Sender<HandlerFinished>,
}

impl FinishGuard {
    fn finish(&mut self, outcome: Outcome) {
        if let Some(attempt) = self.attempt.take() {
            // Fails only after the session has stopped.
            let message = HandlerFinished { local_id: attempt.local_id, outcome };
            let _ = self.finished.try_send(message);
        }
    }
}

impl Drop for FinishGuard {
    /// The handler was dropped before its end: by the abort of a drain, of a timeout or of a lost
    /// lease, or with the runtime. A panic in here is a bug that must count as an attempt.
    fn drop(&mut self) {
        self.finish(match std::thread::panicking() {
            true => {
                let message = "while its task was dropped".to_owned();
                Outcome::Fail(HandlerError::panicked(&Panic { message, place: String::new() }))
            }
            false => Outcome::Release,
        });
    }
}

async fn run(
    handler: Option<Handler>,
    attempt: Arc<ActiveAttempt>,
    events: EventHooks,
    mut guard: FinishGuard,
) {
    let started_at = Instant::now();
    attempt.begin(wall_clock(), started_at);
    let context = JobContext::new(attempt.clone());
    events.emit(&WorkerEvent::AttemptStarted { job: &context });
    let outcome = outcome_of(handler, context.clone()).await;
    log_failure(&context, &outcome);
    let elapsed = started_at.elapsed();
    events.emit(&WorkerEvent::AttemptFinished { job: &context, outcome: &outcome, elapsed });
    guard.finish(outcome);
}

/// Runs a handler to its outcome, whichever way it ends.
async fn outcome_of(handler: Option<Handler>, context: JobContext) -> Outcome {
    let Some(handler) = handler else {
        // A server assigns only declared kinds. If it does not, another worker may have the
        // handler.
        let text = format!("this worker has no handler for kind {:?}", context.kind());
        return Outcome::Fail(HandlerError::new(text, true).with_code("NO_HANDLER"));
    };
    let result = panics::catch(Box::pin(async move { handler(context).await })).await;
    result.unwrap_or_else(|panic| Outcome::Fail(HandlerError::panicked(&panic)))
}

/// A handler that fails after it was asked to stop is not worth a warning.
fn log_failure(context: &JobContext, outcome: &Outcome) {
    let Outcome::Fail(error) = outcome else { return };
    let (job, kind, attempt) = (context.job_id(), context.kind(), context.attempt());
    let (message, code, detail) = (error.message(), error.code(), error.detail());
    if context.is_cancelled() {
        tracing::debug!(job, kind, attempt, code, message, detail, "attempt failed after its stop");
    } else {
        tracing::warn!(job, kind, attempt, code, message, detail, "attempt failed");
    }
}
