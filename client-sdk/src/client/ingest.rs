//! A stream of numbered items: each is enqueued once, over crashes of the server, of the
//! connection and of the producer.

mod carry;
mod window;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use tokio::sync::{Notify, watch};
use tokio::task::JoinHandle;

use crate::proto::jobs::v1::{AckLevel, IngestRefused, IngestStart, JobSpec};
use crate::tries::Tries;
use crate::{Client, Error, NewJob};

use window::Window;

/// What a producer and the task of its stream share.
#[derive(Debug)]
struct Shared {
    window: Mutex<Window>,
    /// For the stream: items were handed over, or there will be no more.
    work: Notify,
    /// For the producer: something was committed, or the stream has ended.
    changed: watch::Sender<()>,
}

impl Shared {
    fn window(&self) -> MutexGuard<'_, Window> {
        self.window.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn end(&self, how: Result<(), Error>) {
        self.window().ended = Some(how);
        self.changed.send_replace(());
    }
}

/// What came of a stream of items.
#[derive(Clone, Debug, PartialEq)]
pub struct IngestReport {
    /// The last item that is committed.
    pub committed_offset: u64,
    /// Items that became no job, as far as [`IngestStream::take_refused`] has not given them out.
    pub refused: Vec<IngestRefused>,
    /// How many there were in all, those told at the start included.
    pub refused_count: u64,
}

/// The open stream of a producer, made by [`Client::ingest`]. Dropped, it is closed, and what
/// was not committed by then may or may not be.
#[derive(Debug)]
pub struct IngestStream {
    shared: Arc<Shared>,
    stream: JoinHandle<()>,
}

impl Client {
    /// Opens the stream of a producer: its items are numbered from 1, and each becomes one job,
    /// whatever dies. The server remembers how far it is under `producer_id`, for 7 days after
    /// the last commit; a producer that starts again goes on after [`IngestStream::committed`]. So the
    /// nth item must be the same whenever it is sent, as the nth line of a file is.
    ///
    /// Breaks are bridged: the stream is opened again, on whatever server answers, and sends
    /// what was not told as committed. One stream of a producer is open at a time; the newest
    /// one holds it.
    ///
    /// ```no_run
    /// # async fn orders() -> Result<(), sentinel_client::Error> {
    /// use sentinel_client::{Client, NewJob};
    ///
    /// let client = Client::connect("http://127.0.0.1:7070").await?;
    /// let orders: Vec<String> = std::fs::read_to_string("orders.txt")
    ///     .unwrap_or_default().lines().map(str::to_owned).collect();
    /// let ingest = client.ingest("shop-orders").await?;
    /// let done = ingest.committed_offset() as usize;
    /// for order in orders.into_iter().skip(done) {
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
    /// As of an enqueue, when no server takes the stream within the client's tries.
    pub async fn ingest(&self, producer_id: impl Into<String>) -> Result<IngestStream, Error> {
        self.ingest_with(producer_id, AckLevel::Unspecified).await
    }

    /// The same with a level that the commits must have at least before they are told.
    pub async fn ingest_with(
        &self,
        producer_id: impl Into<String>,
        ack: AckLevel,
    ) -> Result<IngestStream, Error> {
        let actor = self.actor.clone();
        let start = IngestStart { producer_id: producer_id.into(), ack: ack.into(), actor };
        let mut tries = Tries::new(&self.budget, Instant::now(), self.deadline);
        let (carrier, started) = loop {
            let error = match carry::open(self, &start).await {
                Ok(open) => break open,
                Err(error) => error,
            };
            let Some(pause) = tries.failed(&error, Instant::now(), rand::random()) else {
                return Err(error);
            };
            tokio::time::sleep(pause).await;
        };
        tries.answered();
        let shared = Arc::new(Shared {
            window: Mutex::new(Window::new(started)),
            work: Notify::new(),
            changed: watch::Sender::new(()),
        });
        let stream = carry::run(self.clone(), start, shared.clone(), carrier);
        Ok(IngestStream { shared, stream: tokio::spawn(stream) })
    }
}

impl IngestStream {
    /// The last item that is committed: after a start, go on with the one after it. 0: none yet.
    pub fn committed_offset(&self) -> u64 {
        self.shared.window().committed()
    }

    /// Hands over the next item and gives its offset. Waits while as much is on the way as the
    /// server takes. It is a job when [`IngestStream::committed`] has reached it, and not refused. A
    /// `request_id` and an `actor` of the job are not used.
    ///
    /// # Errors
    /// What the stream has ended with: `PRODUCER_MOVED` when another one holds the producer,
    /// [`Error::ProducerOffsetLost`] when the server has forgotten it, a wrong name or key. A server
    /// that is away or has no room is waited for.
    pub async fn send(&self, job: impl Into<NewJob>) -> Result<u64, Error> {
        let mut spec = Some(JobSpec::from(job.into()));
        self.when(|window| window.push(&mut spec)).await.inspect(|_| self.shared.work.notify_one())
    }

    /// Waits until everything that was handed over is committed; the last offset.
    ///
    /// # Errors
    /// As of [`IngestStream::send`].
    pub async fn flush(&self) -> Result<u64, Error> {
        let last = self.shared.window().last();
        self.when(|window| (window.committed() >= last).then_some(last)).await
    }

    /// Items that became no job and were not taken before; also those among the last 1000 items
    /// that an earlier stream of the producer may not have been told of. At most 10,000 are kept.
    pub fn take_refused(&self) -> Vec<IngestRefused> {
        self.shared.window().take_refused().0
    }

    /// Waits until everything that was handed over is committed, and closes the stream.
    ///
    /// # Errors
    /// As of [`IngestStream::send`].
    pub async fn finish(self) -> Result<IngestReport, Error> {
        self.shared.window().is_finishing = true;
        self.shared.work.notify_one();
        let mut changed = self.shared.changed.subscribe();
        loop {
            let ended = self.shared.window().ended.clone();
            if let Some(ended) = ended {
                ended?;
                let mut window = self.shared.window();
                let (refused, refused_count) = window.take_refused();
                let committed_offset = window.committed();
                return Ok(IngestReport { committed_offset, refused, refused_count });
            }
            // The sender is in `shared`.
            let _ = changed.changed().await;
        }
    }

    /// Waits until there is an answer, or the stream has ended.
    async fn when<T>(&self, mut answer: impl FnMut(&mut Window) -> Option<T>) -> Result<T, Error> {
        let mut changed = self.shared.changed.subscribe();
        loop {
            {
                let mut window = self.shared.window();
                if let Some(Err(error)) = &window.ended {
                    return Err(error.clone());
                }
                if let Some(answer) = answer(&mut window) {
                    return Ok(answer);
                }
            }
            // The sender is in `shared`.
            let _ = changed.changed().await;
        }
    }
}

impl Drop for IngestStream {
    fn drop(&mut self) {
        self.stream.abort();
    }
}
