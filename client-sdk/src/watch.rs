//! A watch that outlives its connection: it resumes after the last cursor, on whatever server
//! answers, and ends only when the server says that nothing more will come or that it never will.

mod followed;

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
use crate::{Client, Error, is_terminal};
use followed::Followed;

/// One thing that a watch saw. Keepalives are not shown.
pub use crate::proto::jobs::v1::watch_response::Event as WatchEvent;

const REDIAL: Backoff = Backoff { base: Duration::from_millis(50), cap: Duration::from_secs(5) };
/// Servers send a keepalive each 10 s; three missing ones are a dead connection.
const IDLE_TIMEOUT: Duration = Duration::from_secs(30);

/// What to watch, and how.
#[derive(Clone, Debug)]
pub struct WatchOptions {
    request: WatchRequest,
    idle_timeout: Duration,
}

impl WatchOptions {
    /// These jobs, 1..100 ids. The stream ends when all of them are final.
    pub fn jobs(ids: impl IntoIterator<Item = impl Into<String>>) -> Self {
        let ids = ids.into_iter().map(Into::into).collect();
        Self::new(watch_request::Selector::Jobs(JobIds { ids }))
    }

    /// Every job that matches, also those enqueued later. The stream does not end by itself.
    pub fn filter(filter: JobFilter) -> Self {
        Self::new(watch_request::Selector::Filter(filter))
    }

    /// Figures of these queues, at most 100, as [`WatchEvent::Summary`] at once and then every
    /// second. No names: all queues, the first 1,000. The stream does not end by itself.
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

    /// Resumes after this cursor of an earlier watch of the same selection.
    pub fn cursor(mut self, cursor: impl Into<String>) -> Self {
        self.request.cursor = cursor.into();
        self
    }

    /// Also log lines, best effort.
    pub fn logs(mut self, include: bool) -> Self {
        self.request.include_logs = include;
        self
    }

    /// What the jobs in events carry. Default basic.
    pub fn view(mut self, view: JobView) -> Self {
        self.request.view = view.into();
        self
    }

    /// No frame for this long: the connection counts as dead. Default 30 s; servers send a
    /// keepalive each 10 s.
    #[doc(hidden)]
    pub fn idle_timeout(mut self, bound: Duration) -> Self {
        self.idle_timeout = bound;
        self
    }
}

/// An event and the cursor after it.
type Seen = Result<(WatchEvent, String), Error>;

/// The events of a watch. After an `Err` it has ended.
pub struct WatchStream {
    events: Pin<Box<dyn Stream<Item = Seen> + Send>>,
    cursor: String,
}

impl WatchStream {
    /// Where to resume after the last event that was read. Empty before the first.
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
    /// Follows jobs: a snapshot first, then every state change. Breaks are bridged: the stream
    /// resumes after the last event; what could not be resumed shows as a
    /// [`WatchEvent::Gap`] followed by a new snapshot.
    ///
    /// # Errors
    /// The stream yields an error and ends on `INVALID_ARGUMENT`, `NOT_FOUND`,
    /// `UNAUTHENTICATED`, `PERMISSION_DENIED` and `UNIMPLEMENTED`; everything else is retried.
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

    /// Waits until the job is final; answers it with its result.
    ///
    /// # Errors
    /// [`Error::JobNotFound`] when no server knows the id.
    pub async fn wait_for_result(&self, id: impl Into<String>) -> Result<Job, Error> {
        let id = id.into();
        let mut events = self.watch(WatchOptions::jobs([id.clone()]).view(JobView::Full));
        while let Some(event) = events.next().await {
            match event? {
                WatchEvent::Snapshot(snapshot) => {
                    if snapshot.unknown_ids.contains(&id) {
                        return Err(Error::JobNotFound { id });
                    }
                    let ended = |job: &Job| job.id == id && is_terminal(job.state());
                    if let Some(job) = snapshot.jobs.into_iter().find(ended) {
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
        // The end came between two reads of ours: the record itself has the answer.
        self.get(id).await
    }
}

/// What is known of a watch between two frames.
struct Watcher {
    client: Client,
    request: WatchRequest,
    idle_timeout: Duration,
    followed: Followed,
    frames: Option<Streaming<WatchResponse>>,
    failures: u32,
}

impl Watcher {
    fn new(client: Client, watch: WatchOptions) -> Self {
        let followed = Followed::new(watch.request.selector.as_ref());
        let WatchOptions { request, idle_timeout } = watch;
        Self { client, request, idle_timeout, followed, frames: None, failures: 0 }
    }

    fn cursor(&self) -> &str {
        &self.request.cursor
    }

    /// The next event; `None` after a clean end.
    async fn next(&mut self) -> Result<Option<WatchEvent>, Error> {
        loop {
            let Some(frames) = &mut self.frames else {
                self.dial().await?;
                continue;
            };
            match timeout(self.idle_timeout, frames.message()).await {
                Ok(Ok(Some(frame))) => {
                    if let Some(event) = self.take(frame) {
                        return Ok(Some(event));
                    }
                }
                // Only the server may say that a watch is over, and only a watch by ids is ever
                // over; a proxy that closes the stream looks the same.
                Ok(Ok(None)) if self.followed.all_final() => return Ok(None),
                Ok(Ok(None)) => self.lost("the stream ended early"),
                Ok(Err(status)) => {
                    let error = Error::from(status);
                    if error.ends_streams() {
                        return Err(error);
                    }
                    self.lost(&error.to_string());
                }
                Err(_) => self.lost("no frame within the idle bound"),
            }
        }
    }

    fn take(&mut self, frame: WatchResponse) -> Option<WatchEvent> {
        self.failures = 0;
        if !frame.cursor.is_empty() {
            self.request.cursor = frame.cursor;
        }
        let event = frame.event?;
        self.followed.see(&event);
        match event {
            watch_response::Event::Keepalive(_) => None,
            event => Some(event),
        }
    }

    fn lost(&mut self, why: &str) {
        tracing::debug!(why, cursor = %self.request.cursor, "watch lost its stream");
        self.frames = None;
        self.failures = self.failures.saturating_add(1);
    }

    async fn dial(&mut self) -> Result<(), Error> {
        if self.failures > 0 {
            tokio::time::sleep(REDIAL.delay(self.failures - 1, rand::random())).await;
        }
        let mut raw = self.client.raw_jobs();
        match timeout(self.idle_timeout, raw.watch(self.request.clone())).await {
            Ok(Ok(response)) => self.frames = Some(response.into_inner()),
            Ok(Err(status)) => {
                let error = Error::from(status);
                if error.ends_streams() {
                    return Err(error);
                }
                self.lost(&error.to_string());
            }
            Err(_) => self.lost("no answer within the idle bound"),
        }
        Ok(())
    }
}
