//! A watch of all jobs that records its events.

use std::sync::{Arc, Mutex, MutexGuard};

use futures_util::StreamExt;
use sentinel_client::proto::jobs::v1::{JobFilter, JobView};
use sentinel_client::{Client, WatchEvent, WatchOptions, is_terminal};
use tokio::task::JoinHandle;

use crate::history::{ObservedJob, RecordedEvent};

/// A watch that resumes after restarts and broken connections.
pub(crate) struct WatchRecorder {
    events: Arc<Mutex<Vec<RecordedEvent>>>,
    watching: JoinHandle<()>,
}

impl WatchRecorder {
    pub(crate) fn start(url: &str) -> Self {
        let client = Client::connect_lazy(url).expect("a valid server address");
        let events = Arc::new(Mutex::default());
        let watching = tokio::spawn(record(client, Arc::clone(&events)));
        Self { events, watching }
    }

    fn events(&self) -> MutexGuard<'_, Vec<RecordedEvent>> {
        self.events.lock().expect("no poisoned lock")
    }

    /// Returns whether the first snapshot has arrived. The watch then sees every later change.
    pub(crate) fn has_started(&self) -> bool {
        !self.events().is_empty()
    }

    /// Returns whether the watch has shown a terminal state of the job.
    pub(crate) fn shows_end_of(&self, job: &str) -> bool {
        let is_end = |job: &ObservedJob| is_terminal(job.state);
        self.events().iter().rev().any(|event| match event {
            RecordedEvent::Change(id, observed) => id == job && is_end(observed),
            RecordedEvent::Snapshot(jobs) => {
                jobs.iter().any(|(id, observed)| id == job && is_end(observed))
            }
            RecordedEvent::Gap => false,
        })
    }

    /// Stops the watch and returns its events.
    pub(crate) fn stop(self) -> Vec<RecordedEvent> {
        self.watching.abort();
        std::mem::take(&mut *self.events())
    }
}

async fn record(client: Client, events: Arc<Mutex<Vec<RecordedEvent>>>) {
    let all = WatchOptions::filter(JobFilter::default());
    let mut stream = client.watch(all.view(JobView::Full));
    while let Some(event) = stream.next().await {
        let event = match event.expect("a watch does not fail") {
            WatchEvent::Change(change) => {
                let job = change.job.expect("a change has a job");
                RecordedEvent::Change(job.id.clone(), ObservedJob::from(&job))
            }
            WatchEvent::Snapshot(snapshot) => {
                let jobs = snapshot.jobs.iter().map(|job| (job.id.clone(), ObservedJob::from(job)));
                RecordedEvent::Snapshot(jobs.collect())
            }
            WatchEvent::Gap(_) => RecordedEvent::Gap,
            _ => continue,
        };
        events.lock().expect("no poisoned lock").push(event);
    }
}
