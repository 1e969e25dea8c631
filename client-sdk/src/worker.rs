//! The worker runtime: runs registered `async fn` handlers for the jobs that a server assigns.
//!
//! ```no_run
//! use sentinel_client::worker::{JobContext, HandlerError, Worker};
//!
//! async fn greet(job: JobContext) -> Result<String, HandlerError> {
//!     let name: String = job.payload_json()?;
//!     job.progress(1, 1, "greeted");
//!     Ok(format!("hello {name}"))
//! }
//!
//! # async fn run() -> Result<(), sentinel_client::Error> {
//! let worker = Worker::builder("http://127.0.0.1:7070")
//!     .queue("default")
//!     .handler("greet", greet)
//!     .concurrency(64)
//!     .build()?;
//! worker.run(async { tokio::signal::ctrl_c().await.unwrap_or_default() }).await
//! # }
//! ```
//!
//! Register handlers of typed jobs with [`WorkerBuilder::job`].

mod active_attempt;
mod builder;
mod clock;
mod events;
mod executor;
mod handler_error;
mod job_context;
mod log;
mod outcome;
mod output;
mod panics;
mod session;
mod session_stream;
mod state;
mod text;
mod timings;
mod typed;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::runtime::Handle;
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;
use tonic::transport::Endpoint;

use crate::{ConnectOptions, Error};
use events::EventHooks;
use executor::{Executor, Handler};
use session::Session;
use state::{Capacity, SessionState, WorkerInfo};

pub use active_attempt::CheckpointError;
pub use builder::WorkerBuilder;
pub use events::WorkerEvent;
pub use handler_error::{HandlerError, PayloadError};
pub use job_context::JobContext;
pub use outcome::{MAX_RESULT_BYTES, Outcome};
pub use output::OutputError;
pub use timings::SessionTimings;

pub use crate::proto::jobs::v1::LogLevel;

/// A worker: runs its handlers for jobs of the servers that it connects to.
pub struct Worker {
    info: WorkerInfo,
    endpoints: Vec<Endpoint>,
    connect_options: ConnectOptions,
    handlers: HashMap<String, Handler>,
    events: EventHooks,
    capacity: Capacity,
    drain_timeout: Duration,
    timings: SessionTimings,
}

impl Worker {
    /// Starts building a worker of the server at `endpoint`: `http://host:port`,
    /// `https://host:port` or `host:port`.
    pub fn builder(endpoint: impl Into<String>) -> WorkerBuilder {
        WorkerBuilder::new(endpoint.into())
    }

    /// Runs jobs until `shutdown` resolves, then drains: takes no new jobs, gives running ones
    /// `drain_timeout` to finish, and releases the rest.
    ///
    /// Handlers run on the caller's tokio runtime, the session runs on its own thread. The worker
    /// reconnects without a limit. Dropping the future stops it without a drain, as a crash would.
    ///
    /// A handler can begin before the server has received that its job arrived. When the process
    /// dies in between, the job runs again and that attempt is not counted, so a side effect may
    /// happen once more than `max_attempts` says.
    ///
    /// Installs a panic hook that calls the previous one, to report where handlers panicked.
    ///
    /// # Errors
    /// When a server rejects the first Hello, for example because a queue does not exist.
    pub async fn run(self, shutdown: impl Future<Output = ()>) -> Result<(), Error> {
        panics::install_hook();
        let shutdown_requested = CancellationToken::new();
        let stop = CancellationToken::new();
        let stop_on_drop = stop.clone().drop_guard();
        let session = self.into_session(shutdown_requested.clone(), stop);
        let finished = spawn_thread(session)?;
        tokio::pin!(finished);
        let mut shutdown = std::pin::pin!(shutdown);
        let result = tokio::select! {
            result = &mut finished => result,
            () = &mut shutdown => {
                shutdown_requested.cancel();
                finished.await
            }
        };
        drop(stop_on_drop);
        result.unwrap_or(Err(Error::Protocol { message: "the session thread panicked" }))
    }

    fn into_session(self, shutdown: CancellationToken, stop: CancellationToken) -> Session {
        // A running handler queues at most one message per channel, so neither can be full.
        let max_messages = self.capacity.slots as usize + 1;
        let (finished_tx, finished) = mpsc::channel(max_messages);
        let (dirty_tx, dirty) = mpsc::channel(max_messages);
        let now = Instant::now();
        let timings = self.timings.clone();
        let state = SessionState::new(self.info, timings, self.capacity, dirty_tx, now);
        Session {
            state,
            events: self.events.clone(),
            executor: Executor {
                handlers: Arc::new(self.handlers),
                events: self.events,
                runtime: Handle::current(),
                finished: finished_tx,
            },
            endpoints: self.endpoints,
            connect_options: self.connect_options,
            timings: self.timings,
            finished,
            dirty,
            shutdown,
            stop,
            drain_timeout: self.drain_timeout,
            buffers: session::EventBuffers::default(),
            next_endpoint: 0,
            failures: 0,
        }
    }
}

/// Starts the session's thread. Its single-threaded runtime runs only the session.
fn spawn_thread(session: Session) -> Result<oneshot::Receiver<Result<(), Error>>, Error> {
    let failed = |error: std::io::Error| Error::Transport {
        message: format!("cannot start the session thread: {error}"),
    };
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(failed)?;
    let (finished_tx, finished) = oneshot::channel();
    std::thread::Builder::new()
        .name("sentinel-session".to_owned())
        .spawn(move || {
            let result = runtime.block_on(session.run());
            // Fails when the caller dropped the future.
            let _ = finished_tx.send(result);
        })
        .map_err(failed)?;
    Ok(finished)
}
