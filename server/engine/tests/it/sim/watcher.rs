//! Watchers that resume at their cursor whenever their stream breaks.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use sentinel_domain::{Filter, JobId};
use sentinel_engine::{Cursor, Engine, EngineError, Selector, WatchEvent};
use tokio::task::JoinHandle;
use tokio::time::Instant;

use super::observations::{EventLog, Observation, WatchObservation};

/// The pause between two attempts to open a watch.
const RETRY_DELAY: Duration = Duration::from_millis(100);

/// A watcher of all jobs or of some.
pub(crate) struct Watcher {
    number: usize,
    event_log: EventLog,
    /// The job ids; `None` for all jobs.
    pub(crate) wanted: Option<Vec<JobId>>,
    cursor: Arc<Mutex<Option<Cursor>>>,
    run: Option<JoinHandle<()>>,
}

impl Watcher {
    pub(crate) fn new(number: usize, wanted: Option<Vec<JobId>>, event_log: &EventLog) -> Self {
        let (event_log, cursor) = (event_log.clone(), Arc::default());
        Self { number, event_log, wanted, cursor, run: None }
    }

    /// Opens the watch at the last cursor.
    pub(crate) fn open(&mut self, engine: &Engine) {
        self.close();
        let selector = match &self.wanted {
            Some(ids) => Selector::Jobs(ids.clone()),
            None => Selector::Filter(Filter::default()),
        };
        let task = WatchTask {
            number: self.number,
            event_log: self.event_log.clone(),
            cursor: self.cursor.clone(),
        };
        let engine = engine.clone();
        self.run = Some(tokio::spawn(async move {
            while let Err(error) = task.watch(&engine, selector.clone()).await {
                // The watched job was deleted.
                if matches!(error, EngineError::JobNotFound(_)) {
                    break;
                }
                let retry_at = Instant::now() + RETRY_DELAY;
                let _ = tokio::time::timeout_at(retry_at, std::future::pending::<()>()).await;
            }
        }));
    }

    /// Returns true when the watch has ended: a watch by ids ends with its jobs.
    pub(crate) fn has_ended(&self) -> bool {
        self.run.as_ref().is_none_or(JoinHandle::is_finished)
    }

    pub(crate) fn close(&mut self) {
        if let Some(run) = self.run.take() {
            run.abort();
        }
    }
}

struct WatchTask {
    number: usize,
    event_log: EventLog,
    cursor: Arc<Mutex<Option<Cursor>>>,
}

impl WatchTask {
    fn record(&self, seen: WatchObservation, cursor: Option<Cursor>) {
        self.event_log.write(Observation::Watched { watch: self.number, seen });
        if cursor.is_some() {
            *self.cursor.lock().expect("no poisoned lock") = cursor;
        }
    }

    async fn watch(&self, engine: &Engine, selector: Selector) -> Result<(), EngineError> {
        let cursor = *self.cursor.lock().expect("no poisoned lock");
        let mut watch = engine.watches().open(selector, cursor, false).await?;
        if cursor.is_some() {
            self.record(WatchObservation::Resumed, None);
        }
        while let Some(event) = watch.next().await? {
            match event {
                WatchEvent::Snapshot(snapshot, at) => {
                    let versions = snapshot.jobs.iter().map(|job| (job.id, job.status.version));
                    self.record(WatchObservation::Snapshot(versions.collect()), Some(at));
                }
                WatchEvent::Change(job, at) => {
                    let (id, version) = (job.id, job.status.version);
                    let is_terminal = job.status.state.is_terminal();
                    self.record(WatchObservation::Change { id, version, is_terminal }, Some(at));
                }
                WatchEvent::Gap(_) => self.record(WatchObservation::Gap, None),
                WatchEvent::Keepalive(at) => {
                    *self.cursor.lock().expect("no poisoned lock") = Some(at)
                }
                WatchEvent::Progress { .. } | WatchEvent::Logs { .. } => {}
            }
        }
        self.record(WatchObservation::End, None);
        Ok(())
    }
}
