//! Runs handlers on the caller's runtime. However a handler finishes (return, panic, dropped
//! future, runtime shutdown), the session is notified exactly once.

use std::any::Any;
use std::collections::HashMap;
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::sync::Arc;

use futures_util::FutureExt;
use tokio::runtime::Handle;
use tokio::sync::mpsc;

use super::active_attempt::ActiveAttempt;
use super::clock::wall_clock;
use super::job_context::JobContext;
use super::outcome::{HandlerError, Outcome};
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
        let handlers = self.handlers.clone();
        self.runtime.spawn(async move {
            for guard in guards {
                let Some(attempt) = guard.attempt.clone() else { continue };
                let handler = handlers.get(&attempt.assignment.kind).cloned();
                let task = tokio::spawn(run(handler, attempt.clone(), guard));
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
    fn drop(&mut self) {
        self.finish(Outcome::Release);
    }
}

async fn run(handler: Option<Handler>, attempt: Arc<ActiveAttempt>, mut guard: FinishGuard) {
    attempt.set_started_at(wall_clock());
    let Some(handler) = handler else {
        // A server assigns only declared kinds. If it does not, another worker may have the
        // handler.
        let text = format!("this worker has no handler for kind {:?}", attempt.assignment.kind);
        guard.finish(Outcome::Fail(HandlerError::retryable(text).with_code("NO_HANDLER")));
        return;
    };
    let result = AssertUnwindSafe(async move { handler(JobContext::new(attempt)).await });
    guard.finish(match result.catch_unwind().await {
        Ok(outcome) => outcome,
        Err(panic) => {
            let text = format!("the handler panicked: {}", panic_message(panic.as_ref()));
            Outcome::Fail(HandlerError::retryable(text).with_code("PANIC"))
        }
    });
}

fn panic_message(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<&'static str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("(no message)")
}
