//! Watchers that come back where they were, as often as their stream breaks.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use sentinel_domain::{Filter, JobId};
use sentinel_engine::{Cursor, Engine, EngineError, Selector, WatchEvent};
use tokio::task::JoinHandle;
use tokio::time::Instant;

use super::notes::{Note, Notebook, Seen};

/// Between two tries to open a watch.
const AGAIN_AFTER: Duration = Duration::from_millis(100);

/// One watcher and what it has seen.
pub(crate) struct Watcher {
    number: usize,
    notebook: Notebook,
    /// None: all jobs.
    pub(crate) wanted: Option<Vec<JobId>>,
    cursor: Arc<Mutex<Option<Cursor>>>,
    run: Option<JoinHandle<()>>,
}

impl Watcher {
    pub(crate) fn new(number: usize, wanted: Option<Vec<JobId>>, notebook: &Notebook) -> Self {
        let (notebook, cursor) = (notebook.clone(), Arc::default());
        Self { number, notebook, wanted, cursor, run: None }
    }

    /// Opens the watch where the last one ended.
    pub(crate) fn open(&mut self, engine: &Engine) {
        self.close();
        let selector = match &self.wanted {
            Some(ids) => Selector::Jobs(ids.clone()),
            None => Selector::Filter(Filter::default()),
        };
        let eyes = Eyes {
            number: self.number,
            notebook: self.notebook.clone(),
            cursor: self.cursor.clone(),
        };
        let engine = engine.clone();
        self.run = Some(tokio::spawn(async move {
            while let Err(error) = eyes.watch(&engine, selector.clone()).await {
                // What it was opened for was deleted.
                if matches!(error, EngineError::JobNotFound(_)) {
                    break;
                }
                let again_at = Instant::now() + AGAIN_AFTER;
                let _ = tokio::time::timeout_at(again_at, std::future::pending::<()>()).await;
            }
        }));
    }

    /// A watch by ids that has shown all ends; the other one goes on.
    pub(crate) fn has_ended(&self) -> bool {
        self.run.as_ref().is_none_or(JoinHandle::is_finished)
    }

    pub(crate) fn close(&mut self) {
        if let Some(run) = self.run.take() {
            run.abort();
        }
    }
}

struct Eyes {
    number: usize,
    notebook: Notebook,
    cursor: Arc<Mutex<Option<Cursor>>>,
}

impl Eyes {
    fn see(&self, seen: Seen, cursor: Option<Cursor>) {
        self.notebook.write(Note::Watched { watch: self.number, seen });
        if cursor.is_some() {
            *self.cursor.lock().expect("not poisoned") = cursor;
        }
    }

    async fn watch(&self, engine: &Engine, selector: Selector) -> Result<(), EngineError> {
        let cursor = *self.cursor.lock().expect("not poisoned");
        let mut watch = engine.watch(selector, cursor, false).await?;
        if cursor.is_some() {
            self.see(Seen::Resumed, None);
        }
        while let Some(event) = watch.next().await? {
            match event {
                WatchEvent::Snapshot(snapshot, at) => {
                    let versions = snapshot.jobs.iter().map(|job| (job.id, job.status.version));
                    self.see(Seen::Snapshot(versions.collect()), Some(at));
                }
                WatchEvent::Change(job, at) => {
                    let (id, version) = (job.id, job.status.version);
                    let is_terminal = job.status.state.is_terminal();
                    self.see(Seen::Change { id, version, is_terminal }, Some(at));
                }
                WatchEvent::Gap(_) => self.see(Seen::Gap, None),
                WatchEvent::Keepalive(at) => *self.cursor.lock().expect("not poisoned") = Some(at),
                WatchEvent::Progress { .. } | WatchEvent::Logs { .. } => {}
            }
        }
        self.see(Seen::End, None);
        Ok(())
    }
}
