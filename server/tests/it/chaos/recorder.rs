//! A watch of all jobs that notes what it is shown.

use std::sync::{Arc, Mutex, MutexGuard};

use futures_util::StreamExt;
use sentinel_client::proto::jobs::v1::{JobFilter, JobView};
use sentinel_client::{Client, Watch, WatchEvent, is_terminal};
use tokio::task::JoinHandle;

use crate::history::{Look, Seen};

/// A watch that goes on over restarts and broken connections.
pub(crate) struct Recorder {
    seen: Arc<Mutex<Vec<Seen>>>,
    watching: JoinHandle<()>,
}

impl Recorder {
    pub(crate) fn start(url: &str) -> Self {
        let client = Client::lazy(url).expect("the address of a server");
        let seen = Arc::new(Mutex::default());
        let watching = tokio::spawn(record(client, Arc::clone(&seen)));
        Self { seen, watching }
    }

    fn seen(&self) -> MutexGuard<'_, Vec<Seen>> {
        self.seen.lock().expect("what a watch showed")
    }

    /// Its first snapshot is there: nothing that is enqueued from now on is before the watch.
    pub(crate) fn has_begun(&self) -> bool {
        !self.seen().is_empty()
    }

    /// Whether it has shown the end of a job.
    pub(crate) fn has_end_of(&self, job: &str) -> bool {
        let ends = |look: &Look| is_terminal(look.state);
        self.seen().iter().rev().any(|seen| match seen {
            Seen::Change(id, look) => id == job && ends(look),
            Seen::Snapshot(jobs) => jobs.iter().any(|(id, look)| id == job && ends(look)),
            Seen::Gap => false,
        })
    }

    /// All that was shown.
    pub(crate) fn stop(self) -> Vec<Seen> {
        self.watching.abort();
        std::mem::take(&mut *self.seen())
    }
}

async fn record(client: Client, seen: Arc<Mutex<Vec<Seen>>>) {
    let all = Watch::filter(JobFilter::default());
    let mut events = client.watch(all.view(JobView::Full));
    while let Some(event) = events.next().await {
        let event = match event.expect("a watch goes on") {
            WatchEvent::Change(change) => {
                let job = change.job.expect("the job of a change");
                Seen::Change(job.id.clone(), Look::from(&job))
            }
            WatchEvent::Snapshot(snapshot) => {
                let jobs = snapshot.jobs.iter().map(|job| (job.id.clone(), Look::from(job)));
                Seen::Snapshot(jobs.collect())
            }
            WatchEvent::Gap(_) => Seen::Gap,
            _ => continue,
        };
        seen.lock().expect("what a watch showed").push(event);
    }
}
