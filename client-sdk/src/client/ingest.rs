//! Exactly-once ingest: a stream of numbered items, each of which is enqueued once even when the
//! server, the connection or the producer fails.

mod grpc_stream;
mod state;
mod window;

use std::sync::Arc;
use std::time::Instant;

use tokio::task::JoinHandle;

use crate::proto::jobs::v1::{AckLevel, IngestRefused, IngestStart, JobSpec};
use crate::retry::CallRetry;
use crate::{Client, Error, NewJob};

use state::IngestState;
use window::Window;

/// The result of a finished [`IngestStream`].
#[derive(Clone, Debug, PartialEq)]
pub struct IngestReport {
    /// The offset of the last committed item.
    pub committed_offset: u64,
    /// Items that the server refused, without those already returned by
    /// [`IngestStream::take_refused`].
    pub refused: Vec<IngestRefused>,
    /// The number of all refused items, including those that the server reported at the start.
    pub refused_count: u64,
}

/// The open stream of a producer, created by [`Client::ingest`]. Dropping it closes the stream;
/// items that were not committed before may or may not be committed.
#[derive(Debug)]
pub struct IngestStream {
    state: Arc<IngestState>,
    task: JoinHandle<()>,
}

impl Client {
    /// Opens the stream of a producer. Its items are numbered from 1, and each becomes exactly one
    /// job. The server stores the offset of `producer_id` for 7 days after the last commit; a
    /// restarted producer continues after [`IngestStream::committed_offset`]. Therefore the item
    /// at an offset must be the same every time, as line `n` of a file is.
    ///
    /// The stream reconnects automatically, to any server, and sends again what was not
    /// acknowledged. A producer has one open stream at a time; opening a new one closes the old.
    ///
    /// ```no_run
    /// # async fn orders() -> Result<(), sentinel_client::Error> {
    /// use sentinel_client::{Client, NewJob};
    ///
    /// let client = Client::connect("http://127.0.0.1:7070").await?;
    /// let orders: Vec<String> = std::fs::read_to_string("orders.txt")
    ///     .unwrap_or_default().lines().map(str::to_owned).collect();
    /// let ingest = client.ingest("shop-orders").await?;
    /// let committed = ingest.committed_offset() as usize;
    /// for order in orders.into_iter().skip(committed) {
    ///     ingest.send(NewJob::new("orders", "order.ship").payload(order)).await?;
    /// }
    /// for refused in ingest.finish().await?.refused {
    ///     eprintln!("order {}: {}", refused.offset, refused.message);
    /// }
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// As [`Client::enqueue`], when no server accepts the stream within the client's retries.
    pub async fn ingest(&self, producer_id: impl Into<String>) -> Result<IngestStream, Error> {
        self.ingest_with(producer_id, AckLevel::Unspecified).await
    }

    /// As [`Client::ingest`], with the durability level that a commit must reach before it is
    /// acknowledged.
    pub async fn ingest_with(
        &self,
        producer_id: impl Into<String>,
        ack: AckLevel,
    ) -> Result<IngestStream, Error> {
        let actor = self.actor.clone();
        let start = IngestStart { producer_id: producer_id.into(), ack: ack.into(), actor };
        let mut retry = CallRetry::new(&self.budget, Instant::now(), self.deadline);
        let (stream, started) = loop {
            let server = self.current_server();
            let error = match grpc_stream::open(self, &start).await {
                Ok(opened) => break opened,
                Err(error) => error,
            };
            if error.is_unavailable() {
                self.server_failed(server);
            }
            let Some(delay) = retry.next_delay(&error, Instant::now(), rand::random()) else {
                return Err(error);
            };
            tokio::time::sleep(delay).await;
        };
        let state = Arc::new(IngestState::new(Window::new(started)));
        let task = grpc_stream::run(self.clone(), start, state.clone(), stream);
        Ok(IngestStream { state, task: tokio::spawn(task) })
    }
}

impl IngestStream {
    /// The offset of the last committed item, 0 when there is none. A restarted producer continues
    /// with the item after it.
    pub fn committed_offset(&self) -> u64 {
        self.state.window().committed()
    }

    /// Sends the next item and returns its offset. Waits while the window of unacknowledged items
    /// is full. The item is a job once [`IngestStream::committed_offset`] has reached it, unless
    /// the server refused it. The job's `request_id` and `actor` are not used.
    ///
    /// # Errors
    /// The error that closed the stream: `PRODUCER_MOVED` when another stream of the producer was
    /// opened, [`Error::ProducerOffsetLost`] when the server lost the offset, an invalid name or
    /// API key. An unavailable or overloaded server is no error: the call waits for it.
    pub async fn send(&self, job: impl Into<NewJob>) -> Result<u64, Error> {
        let mut spec = Some(JobSpec::from(job.into()));
        let offset = self.wait_for(|window| window.push(&mut spec)).await?;
        self.state.items_ready.notify_one();
        Ok(offset)
    }

    /// Waits until all sent items are committed and returns the last offset.
    ///
    /// # Errors
    /// As [`IngestStream::send`].
    pub async fn flush(&self) -> Result<u64, Error> {
        let last = self.state.window().last();
        self.wait_for(|window| (window.committed() >= last).then_some(last)).await
    }

    /// Removes and returns the refused items that were not returned before. Includes refusals among
    /// the last 1000 items of an earlier stream of the producer, which that stream may have missed.
    /// At most the newest 10,000 are kept.
    pub fn take_refused(&self) -> Vec<IngestRefused> {
        self.state.window().take_refused().0
    }

    /// Waits until all sent items are committed, then closes the stream.
    ///
    /// # Errors
    /// As [`IngestStream::send`].
    pub async fn finish(self) -> Result<IngestReport, Error> {
        self.state.window().is_finishing = true;
        self.state.items_ready.notify_one();
        let mut changed = self.state.changed.subscribe();
        loop {
            let closed = self.state.window().closed.clone();
            if let Some(result) = closed {
                result?;
                let mut window = self.state.window();
                let (refused, refused_count) = window.take_refused();
                let committed_offset = window.committed();
                return Ok(IngestReport { committed_offset, refused, refused_count });
            }
            // Can not fail: `state` owns the sender.
            let _ = changed.changed().await;
        }
    }

    /// Waits until `condition` returns a value, or the stream has closed with an error.
    async fn wait_for<T>(
        &self,
        mut condition: impl FnMut(&mut Window) -> Option<T>,
    ) -> Result<T, Error> {
        let mut changed = self.state.changed.subscribe();
        loop {
            {
                let mut window = self.state.window();
                if let Some(Err(error)) = &window.closed {
                    return Err(error.clone());
                }
                if let Some(value) = condition(&mut window) {
                    return Ok(value);
                }
            }
            // Can not fail: `state` owns the sender.
            let _ = changed.changed().await;
        }
    }
}

impl Drop for IngestStream {
    fn drop(&mut self) {
        self.task.abort();
    }
}
