//! Runs handlers on the caller's runtime. Whatever becomes of a handler (a return, a panic, a
//! dropped future, a runtime that shuts down), its end reaches the session exactly once.

use std::any::Any;
use std::collections::HashMap;
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::sync::Arc;

use futures_util::FutureExt;
use tokio::runtime::Handle;
use tokio::sync::mpsc;

use super::attempt::Attempt;
use super::clock::wall_clock;
use super::context::JobContext;
use super::outcome::{HandlerError, Outcome};
use super::state::Finished;

type Running = Pin<Box<dyn Future<Output = Outcome> + Send>>;

/// A handler with its future's type erased.
pub(crate) type Handler = Arc<dyn Fn(JobContext) -> Running + Send + Sync>;

pub(crate) fn erase<H, A>(handler: H) -> Handler
where
    H: Fn(JobContext) -> A + Send + Sync + 'static,
    A: Future + Send + 'static,
    A::Output: Into<Outcome>,
{
    Arc::new(move |context| {
        let run = handler(context);
        Box::pin(async move { run.await.into() })
    })
}

/// Handlers by kind, and the runtime that runs them.
pub(crate) struct Executor {
    pub(crate) handlers: Arc<HashMap<String, Handler>>,
    pub(crate) runtime: Handle,
    /// Holds at most one end per running handler: its capacity is the concurrency.
    pub(crate) finished: mpsc::Sender<Finished>,
}

impl Executor {
    /// Starts the handlers of one batch. The batch crosses to the runtime as one task, which then
    /// spawns its handlers on a worker's own run queue.
    pub(crate) fn start(&self, attempts: Vec<Arc<Attempt>>) {
        if attempts.is_empty() {
            return;
        }
        let ends = attempts
            .into_iter()
            .map(|attempt| End { attempt: Some(attempt), finished: self.finished.clone() });
        let ends: Vec<End> = ends.collect();
        let handlers = self.handlers.clone();
        self.runtime.spawn(async move {
            for end in ends {
                let Some(attempt) = end.attempt.clone() else { continue };
                let handler = handlers.get(&attempt.assignment.kind).cloned();
                let task = tokio::spawn(run(handler, attempt.clone(), end));
                attempt.set_abort(task.abort_handle());
            }
        });
    }
}

/// The duty to tell the session that a handler has ended; dropping it tells so, too.
struct End {
    attempt: Option<Arc<Attempt>>,
    finished: mpsc::Sender<Finished>,
}

impl End {
    fn tell(&mut self, outcome: Outcome) {
        if let Some(attempt) = self.attempt.take() {
            // Fails only when the session is gone.
            let _ = self.finished.try_send(Finished { no: attempt.no, outcome });
        }
    }
}

impl Drop for End {
    fn drop(&mut self) {
        self.tell(Outcome::Release);
    }
}

async fn run(handler: Option<Handler>, attempt: Arc<Attempt>, mut end: End) {
    attempt.start(wall_clock());
    let Some(handler) = handler else {
        // A server assigns only declared kinds; if one does not, another worker may know better.
        let text = format!("this worker has no handler for kind {:?}", attempt.assignment.kind);
        end.tell(Outcome::Fail(HandlerError::retryable(text).with_code("NO_HANDLER")));
        return;
    };
    let handled = AssertUnwindSafe(async move { handler(JobContext::new(attempt)).await });
    end.tell(match handled.catch_unwind().await {
        Ok(outcome) => outcome,
        Err(panic) => {
            let text = format!("the handler panicked: {}", panic_text(panic.as_ref()));
            Outcome::Fail(HandlerError::retryable(text).with_code("PANIC"))
        }
    });
}

fn panic_text(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<&'static str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("(no text)")
}
