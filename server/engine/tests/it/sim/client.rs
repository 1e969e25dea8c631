//! Callers that ask until they are answered. A request is the same however often it is
//! sent; what was answered is written down, what was not is sent again.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};

use sentinel_domain::{JobId, NewJob};
use sentinel_engine::{CancelOutcome, Engine, EngineError, RequestKey};
use tokio::task::JoinSet;

use super::notes::{Note, Notebook};

/// What callers know.
#[derive(Default)]
pub(crate) struct Book {
    /// Not answered yet, or with an error that says nothing about the request.
    open: BTreeMap<String, NewJob>,
    /// Jobs that were answered, oldest first.
    pub(crate) ids: Vec<JobId>,
}

pub(crate) struct Clients {
    notebook: Notebook,
    book: Arc<Mutex<Book>>,
    calls: JoinSet<()>,
    asked: u64,
}

impl Clients {
    pub(crate) fn new(notebook: &Notebook) -> Self {
        let (book, calls) = (Arc::default(), JoinSet::new());
        Self { notebook: notebook.clone(), book, calls, asked: 0 }
    }

    pub(crate) fn book(&self) -> MutexGuard<'_, Book> {
        self.book.lock().expect("not poisoned")
    }

    pub(crate) fn asked(&self) -> u64 {
        self.asked
    }

    /// Nobody waits for an answer, and nobody lacks one.
    pub(crate) fn is_settled(&mut self) -> bool {
        while self.calls.try_join_next().is_some() {}
        self.calls.is_empty() && self.book().open.is_empty()
    }

    /// A new request.
    pub(crate) fn enqueue(&mut self, engine: &Engine, new: NewJob) {
        self.asked += 1;
        let request = format!("request-{}", self.asked);
        self.book().open.insert(request.clone(), new.clone());
        self.send(engine, request, new);
    }

    /// Sends again what was not answered.
    pub(crate) fn insist(&mut self, engine: &Engine) {
        while self.calls.try_join_next().is_some() {}
        if self.calls.is_empty() {
            let open = self.book().open.clone();
            open.into_iter().for_each(|(request, new)| self.send(engine, request, new));
        }
    }

    fn send(&mut self, engine: &Engine, request: String, new: NewJob) {
        let (engine, book, notebook) = (engine.clone(), self.book.clone(), self.notebook.clone());
        self.calls.spawn(async move {
            let key = RequestKey { id: request.clone(), content_hash: 1 };
            let answer = engine.enqueue(new, "sim", Some(key)).await;
            let mut book = book.lock().expect("not poisoned");
            match answer {
                Ok(enqueued) => {
                    let id = enqueued.job.id;
                    if !book.ids.contains(&id) {
                        book.ids.push(id);
                    }
                    book.open.remove(&request);
                    notebook.write(Note::Enqueued { request, id });
                }
                // Too late for its deadline: refused for good, and never stored.
                Err(EngineError::Invalid(_)) => drop(book.open.remove(&request)),
                // Its job was deleted since.
                Err(EngineError::JobNotFound(_)) => drop(book.open.remove(&request)),
                Err(_) => {}
            }
        });
    }

    pub(crate) fn cancel(&mut self, engine: &Engine, id: JobId) {
        let (engine, notebook) = (engine.clone(), self.notebook.clone());
        self.calls.spawn(async move {
            if let Ok(cancelled) = engine.cancel(id, "", "sim").await
                && cancelled.outcome == CancelOutcome::Cancelled
            {
                notebook.write(Note::Cancelled { id, run: cancelled.job.status.run });
            }
        });
    }

    pub(crate) fn retry(&mut self, engine: &Engine, id: JobId) {
        let (engine, notebook) = (engine.clone(), self.notebook.clone());
        self.calls.spawn(async move {
            if let Ok(job) = engine.retry(id, None).await {
                notebook.write(Note::Retried { id, run: job.status.run });
            }
        });
    }

    pub(crate) fn run_now(&mut self, engine: &Engine, id: JobId) {
        let engine = engine.clone();
        self.calls.spawn(async move { drop(engine.run_now(id, None).await) });
    }

    pub(crate) fn delete(&mut self, engine: &Engine, id: JobId) {
        let (engine, notebook) = (engine.clone(), self.notebook.clone());
        self.calls.spawn(async move {
            if engine.delete(id, "sim", None).await.is_ok() {
                notebook.write(Note::Deleted { id });
            }
        });
    }

    /// Nobody is answered any more.
    pub(crate) async fn server_died(&mut self) {
        self.calls.shutdown().await;
    }
}
