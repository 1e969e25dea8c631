//! The worker runtime: register `async fn` handlers, run them for the jobs that a server assigns.
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
//! Handlers of typed jobs are registered with [`WorkerBuilder::job`].

mod attempt;
mod builder;
mod clock;
mod context;
mod execute;
mod log;
mod outcome;
mod output;
mod session;
mod state;
mod tuning;
mod typed;
mod wire;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::runtime::Handle;
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;
use tonic::transport::Endpoint;

use crate::{ConnectOptions, Error};
use execute::{Executor, Handler};
use session::Session;
use state::{Identity, Room, SessionState};

pub use attempt::CheckpointError;
pub use builder::WorkerBuilder;
pub use context::JobContext;
pub use outcome::{HandlerError, MAX_RESULT_BYTES, Outcome};
pub use output::OutputError;
pub use tuning::SessionTimings;

pub use crate::proto::jobs::v1::LogLevel;

/// A fleet member: its handlers, and the servers that it takes jobs from.
pub struct Worker {
    identity: Identity,
    endpoints: Vec<Endpoint>,
    access: ConnectOptions,
    handlers: HashMap<String, Handler>,
    room: Room,
    drain_timeout: Duration,
    tuning: SessionTimings,
}

impl Worker {
    /// A worker of the server at `endpoint` (`http://host:port` or `host:port`).
    pub fn builder(endpoint: impl Into<String>) -> WorkerBuilder {
        WorkerBuilder::new(endpoint.into())
    }

    /// Runs jobs until `shutdown` resolves and the drain is over: no new jobs are taken, running
    /// ones get `drain_timeout`, the rest is handed back.
    ///
    /// Handlers run on the caller's tokio runtime; the session has a thread of its own. A server
    /// that can not be reached is dialled for ever. Dropping the future stops at once: the server
    /// sees a crash.
    ///
    /// # Errors
    /// Only when a server refuses the first Hello, such as an unknown queue.
    pub async fn run(self, shutdown: impl Future<Output = ()>) -> Result<(), Error> {
        let shutdown_asked = CancellationToken::new();
        let stop = CancellationToken::new();
        let stop_on_drop = stop.clone().drop_guard();
        let session = self.session(shutdown_asked.clone(), stop);
        let ended = spawn_thread(session)?;
        tokio::pin!(ended);
        let mut shutdown = std::pin::pin!(shutdown);
        let result = tokio::select! {
            result = &mut ended => result,
            () = &mut shutdown => {
                shutdown_asked.cancel();
                ended.await
            }
        };
        drop(stop_on_drop);
        result.unwrap_or(Err(Error::Protocol { message: "the session thread panicked" }))
    }

    fn session(self, shutdown: CancellationToken, stop: CancellationToken) -> Session {
        // One end and one write per running handler: neither channel can be full.
        let capacity = self.room.slots as usize + 1;
        let (finished_tx, finished) = mpsc::channel(capacity);
        let (dirty_tx, dirty) = mpsc::channel(capacity);
        let now = Instant::now();
        let state = SessionState::new(self.identity, self.tuning.clone(), self.room, dirty_tx, now);
        Session {
            state,
            executor: Executor {
                handlers: Arc::new(self.handlers),
                runtime: Handle::current(),
                finished: finished_tx,
            },
            endpoints: self.endpoints,
            access: self.access,
            tuning: self.tuning,
            finished,
            dirty,
            shutdown,
            stop,
            drain_timeout: self.drain_timeout,
            inbox: session::Inbox::default(),
        }
    }
}

/// The session's thread. Its runtime has no other thread and runs nothing but the session.
fn spawn_thread(session: Session) -> Result<oneshot::Receiver<Result<(), Error>>, Error> {
    let failed = |error: std::io::Error| Error::Transport {
        message: format!("can not start the session thread: {error}"),
    };
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(failed)?;
    let (ended_tx, ended) = oneshot::channel();
    std::thread::Builder::new()
        .name("sentinel-session".to_owned())
        .spawn(move || {
            let result = runtime.block_on(session.run());
            // Fails when nobody waits any more.
            let _ = ended_tx.send(result);
        })
        .map_err(failed)?;
    Ok(ended)
}
