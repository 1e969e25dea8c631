//! Watches that reconnect: after a lost connection they resume from the last cursor, on any server.
//! They close only when all watched jobs are terminal or on a permanent error.

mod open_jobs;

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::stream::{self, Stream, StreamExt};
use tokio::time::timeout;
use tonic::Streaming;

use crate::backoff::Backoff;
use crate::proto::jobs::v1::{
    Job, JobFilter, JobIds, JobView, SummarySelection, WatchRequest, WatchResponse, watch_request,
    watch_response,
};
use crate::{Client, Error, id, is_terminal};
use open_jobs::OpenJobs;

/// An event of a watch. Keepalives are not returned.
pub use crate::proto::jobs::v1::watch_response::Event as WatchEvent;

const RECONNECT: Backoff = Backoff { base: Duration::from_millis(50), cap: Duration::from_secs(5) };
/// Servers send a keepalive every 10 s; after three missing ones the connection is dead.
const IDLE_TIMEOUT: Duration = Duration::from_secs(30);

/// The selection and the options of a watch.
#[derive(Clone, Debug)]
pub struct WatchOptions {
    request: WatchRequest,
    idle_timeout: Duration,
}

impl WatchOptions {
    /// Watches jobs by id, 1..100 ids. The stream closes when all of them are terminal.
    pub fn jobs(ids: impl IntoIterator<Item = impl Into<String>>) -> Self {
        let ids = ids.into_iter().map(id::canonical).collect();
        Self::new(watch_request::Selector::Jobs(JobIds { ids }))
    }

    /// Watches all jobs that match a filter, including those enqueued later. The stream does not
    /// close by itself.
    pub fn filter(filter: JobFilter) -> Self {
        Self::new(watch_request::Selector::Filter(filter))
    }

    /// Watches the metrics of queues, at most 100, as a [`WatchEvent::Summary`] now and then every
    /// second. An empty list selects all queues, at most 1,000. The stream does not close by
    /// itself.
    pub fn summary(queues: impl IntoIterator<Item = impl Into<String>>) -> Self {
        let queues = queues.into_iter().map(Into::into).collect();
        let summary = Some(SummarySelection { queues });
        let request = WatchRequest { summary, ..WatchRequest::default() };
        Self { request, idle_timeout: IDLE_TIMEOUT }
    }

    fn new(selector: watch_request::Selector) -> Self {
        let request = WatchRequest { selector: Some(selector), ..WatchRequest::default() };
        Self { request, idle_timeout: IDLE_TIMEOUT }
    }

    /// Resumes after the cursor of an earlier watch with the same selection.
    pub fn cursor(mut self, cursor: impl Into<String>) -> Self {
        self.request.cursor = cursor.into();
        self
    }

    /// Whether to include log lines, best effort. Default no.
    pub fn logs(mut self, include: bool) -> Self {
        self.request.include_logs = include;
        self
    }

    /// Sets which fields the jobs in events have. Default [`JobView::Basic`].
    pub fn view(mut self, view: JobView) -> Self {
        self.request.view = view.into();
        self
    }

    /// Sets after how long without any frame the stream reconnects. Default 30 s; servers send a
    /// keepalive every 10 s.
    #[doc(hidden)]
    pub fn idle_timeout(mut self, timeout: Duration) -> Self {
        self.idle_timeout = timeout;
        self
    }
}

/// An event and the cursor after it.
type EventWithCursor = Result<(WatchEvent, String), Error>;

/// The event stream of a watch. It closes after an `Err`.
pub struct WatchStream {
    events: Pin<Box<dyn Stream<Item = EventWithCursor> + Send>>,
    cursor: String,
}

impl WatchStream {
    /// The cursor after the last event that was read, for [`WatchOptions::cursor`]. Empty before
    /// the first event.
    pub fn cursor(&self) -> &str {
        &self.cursor
    }
}

impl std::fmt::Debug for WatchStream {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("WatchStream").field("cursor", &self.cursor).finish_non_exhaustive()
    }
}

impl Stream for WatchStream {
    type Item = Result<WatchEvent, Error>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let next = std::task::ready!(self.events.poll_next_unpin(cx));
        Poll::Ready(next.map(|item| {
            item.map(|(event, cursor)| {
                self.cursor = cursor;
                event
            })
        }))
    }
}

impl Client {
    /// Watches jobs: a snapshot first, then every state change. The stream reconnects automatically
    /// and resumes after the last event. When it cannot resume, it returns a [`WatchEvent::Gap`]
    /// followed by a new snapshot.
    ///
    /// # Errors
    /// The stream returns an error and closes on `INVALID_ARGUMENT`, `NOT_FOUND`,
    /// `UNAUTHENTICATED`, `PERMISSION_DENIED` and `UNIMPLEMENTED`. It retries all other errors.
    pub fn watch(&self, watch: WatchOptions) -> WatchStream {
        let cursor = watch.request.cursor.clone();
        let watcher = Some(Watcher::new(self.clone(), watch));
        let events = stream::unfold(watcher, |watcher| async move {
            let mut watcher = watcher?;
            match watcher.next().await {
                Ok(Some(event)) => Some((Ok((event, watcher.cursor().to_owned())), Some(watcher))),
                Ok(None) => None,
                Err(error) => Some((Err(error), None)),
            }
        });
        WatchStream { events: Box::pin(events), cursor }
    }

    /// Waits until a job is terminal and returns it with its result.
    ///
    /// # Errors
    /// [`Error::JobNotFound`] when no job has this id.
    pub async fn wait_for_result(&self, id: impl Into<String>) -> Result<Job, Error> {
        let id = id::canonical(id);
        let mut events = self.watch(WatchOptions::jobs([id.clone()]).view(JobView::Full));
        while let Some(event) = events.next().await {
            match event? {
                WatchEvent::Snapshot(snapshot) => {
                    if snapshot.unknown_ids.contains(&id) {
                        return Err(Error::JobNotFound { id });
                    }
                    let is_finished = |job: &Job| job.id == id && is_terminal(job.state());
                    if let Some(job) = snapshot.jobs.into_iter().find(is_finished) {
                        return Ok(job);
                    }
                }
                WatchEvent::Change(change) => {
                    if let Some(job) = change.job.filter(|job| is_terminal(job.state())) {
                        return Ok(job);
                    }
                }
                _ => {}
            }
        }
        // The job finished while the watch was reconnecting, so that no event showed it.
        self.get(id).await
    }
}

/// The state of a watch between two frames.
struct Watcher {
    client: Client,
    request: WatchRequest,
    idle_timeout: Duration,
    open_jobs: OpenJobs,
    frames: Option<Streaming<WatchResponse>>,
    failures: u32,
}

impl Watcher {
    fn new(client: Client, watch: WatchOptions) -> Self {
        let open_jobs = OpenJobs::new(watch.request.selector.as_ref());
        let WatchOptions { request, idle_timeout } = watch;
        Self { client, request, idle_timeout, open_jobs, frames: None, failures: 0 }
    }

    fn cursor(&self) -> &str {
        &self.request.cursor
    }

    /// The next event, or `None` when the watch has finished.
    async fn next(&mut self) -> Result<Option<WatchEvent>, Error> {
        loop {
            let Some(frames) = &mut self.frames else {
                self.connect().await?;
                continue;
            };
            match timeout(self.idle_timeout, frames.message()).await {
                Ok(Ok(Some(frame))) => {
                    if let Some(event) = self.apply(frame) {
                        return Ok(Some(event));
                    }
                }
                // A proxy may close the stream early, so that alone does not finish the watch.
                Ok(Ok(None)) if self.open_jobs.all_terminal() => return Ok(None),
                Ok(Ok(None)) => self.disconnected("the server closed the stream early"),
                Ok(Err(status)) => {
                    let error = Error::from(status);
                    if error.closes_streams() {
                        return Err(error);
                    }
                    self.disconnected(&error.to_string());
                }
                Err(_) => self.disconnected("no frame within the idle timeout"),
            }
        }
    }

    fn apply(&mut self, frame: WatchResponse) -> Option<WatchEvent> {
        self.failures = 0;
        if !frame.cursor.is_empty() {
            self.request.cursor = frame.cursor;
        }
        let event = frame.event?;
        self.open_jobs.apply(&event);
        match event {
            watch_response::Event::Keepalive(_) => None,
            event => Some(event),
        }
    }

    fn disconnected(&mut self, reason: &str) {
        tracing::debug!(reason, cursor = %self.request.cursor, "watch stream lost, reconnecting");
        self.frames = None;
        self.failures = self.failures.saturating_add(1);
    }

    async fn connect(&mut self) -> Result<(), Error> {
        if self.failures > 0 {
            tokio::time::sleep(RECONNECT.delay(self.failures - 1, rand::random())).await;
        }
        let server = self.client.current_server();
        let mut raw = self.client.raw_jobs();
        match timeout(self.idle_timeout, raw.watch(self.request.clone())).await {
            Ok(Ok(response)) => self.frames = Some(response.into_inner()),
            Ok(Err(status)) => {
                let error = Error::from(status);
                if error.closes_streams() {
                    return Err(error);
                }
                self.client.server_failed(server);
                self.disconnected(&error.to_string());
            }
            Err(_) => self.disconnected("no response within the idle timeout"),
        }
        Ok(())
    }
}
