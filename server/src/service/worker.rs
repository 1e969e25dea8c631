//! Implements WorkerService: connects the stream of a worker process to a session of the engine.

mod wire;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::stream::{self, BoxStream, StreamExt};
use sentinel_engine::session::{self, FromWorker, OutboundFrames};
use sentinel_engine::{Engine, Tasks};
use sentinel_proto::workers::v1::worker_service_server::WorkerService;
use sentinel_proto::workers::v1::{SessionRequest, SessionResponse, session_request};
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;
use tonic::{Code, Request, Response, Status, Streaming};

use super::status::{protocol_error, to_status};
use crate::identity::Caller;

/// How long a worker may take to send Hello.
const HELLO_TIMEOUT: Duration = Duration::from_secs(5);

/// Implements WorkerService.
#[derive(Clone)]
pub struct WorkerApi {
    engine: Engine,
    tasks: Tasks,
    closing: CancellationToken,
    server: Arc<str>,
}

impl WorkerApi {
    /// Creates the service. Sessions send GoAway when `closing` is cancelled. `server` is the name
    /// of this server in Welcome.
    pub fn new(engine: Engine, tasks: Tasks, closing: CancellationToken, server: &str) -> Self {
        Self { engine, tasks, closing, server: server.into() }
    }

    /// Runs a session until its stream closes. The error is sent as the status of the stream.
    async fn session(
        self,
        caller: Caller,
        mut frames: Streaming<SessionRequest>,
        outbound: session::OutboundQueue,
    ) -> Result<(), Status> {
        let first = tokio::time::timeout(HELLO_TIMEOUT, frames.message()).await;
        let hello = match first {
            Err(_) => return Err(protocol_error("no Hello within 5 s")),
            Ok(frame) => match frame.map_err(to_protocol_error)?.and_then(|frame| frame.frame) {
                Some(session_request::Frame::Hello(hello)) => {
                    wire::hello(hello, &self.server, caller.principal())?
                }
                Some(_) => return Err(protocol_error("the first frame is not Hello")),
                None => return Err(protocol_error("the stream closed before Hello")),
            },
        };
        for queue in &hello.queues {
            caller.check_queue(queue)?;
        }
        let frame_error = Arc::new(Mutex::new(None));
        // The auth layer closes the outgoing half when the key ends; this closes the incoming half.
        let incoming = incoming(frames, frame_error.clone());
        let key_ended = {
            let caller = caller.clone();
            async move { caller.key_ended().await }
        };
        let incoming = incoming.take_until(key_ended).boxed();
        let session = self.engine.sessions().run(hello, incoming, outbound, self.closing.clone());
        session.await.map_err(to_status)?;
        let frame_error = frame_error.lock().unwrap_or_else(PoisonError::into_inner).take();
        frame_error.map_or(Ok(()), Err)
    }
}

/// Returns whether a code means that a frame is malformed rather than that the connection broke.
const fn is_malformed(code: Code) -> bool {
    matches!(code, Code::OutOfRange | Code::InvalidArgument | Code::Internal)
}

fn to_protocol_error(status: Status) -> Status {
    match is_malformed(status.code()) {
        true => protocol_error(format!("malformed frame: {}", status.message())),
        false => status,
    }
}

/// Returns the frames of the worker. The stream ends at the first invalid frame, whose error is
/// stored in `frame_error`.
fn incoming(
    frames: Streaming<SessionRequest>,
    frame_error: Arc<Mutex<Option<Status>>>,
) -> impl stream::Stream<Item = FromWorker> + Send {
    stream::unfold((frames, frame_error), |(mut frames, frame_error)| async move {
        let frame = match frames.message().await {
            Ok(frame) => wire::from_worker(frame?),
            Err(status) if is_malformed(status.code()) => Err(to_protocol_error(status)),
            Err(status) => {
                tracing::debug!(%status, "worker stream broken");
                return None;
            }
        };
        match frame {
            Ok(frame) => Some((frame, (frames, frame_error))),
            Err(status) => {
                tracing::warn!(%status, "worker violated the session protocol, closing its stream");
                *frame_error.lock().unwrap_or_else(PoisonError::into_inner) = Some(status);
                None
            }
        }
    })
}

/// Returns the frames to the worker, then the error that ended the session, if any.
fn outgoing(
    frames: OutboundFrames,
    result: oneshot::Receiver<Result<(), Status>>,
    server: Arc<str>,
) -> impl stream::Stream<Item = Result<SessionResponse, Status>> + Send {
    stream::unfold(Some((frames, result)), move |open| {
        let server = server.clone();
        async move {
            let (mut frames, result) = open?;
            if let Some(frame) = frames.next().await {
                return Some((Ok(wire::to_worker(frame, &server)), Some((frames, result))));
            }
            match result.await {
                Ok(Err(status)) => Some((Err(status), None)),
                Ok(Ok(())) | Err(_) => None,
            }
        }
    })
}

/// Converts any frame, for fuzzing. Returns `None` for a Hello.
#[cfg(test)]
pub(super) fn from_any_frame(frame: SessionRequest) -> Result<Option<FromWorker>, Status> {
    match frame.frame {
        Some(session_request::Frame::Hello(hello)) => {
            let principal =
                session::Principal { key_id: None, scopes: sentinel_domain::Scopes::ALL };
            wire::hello(hello, "", principal).map(|_| None)
        }
        _ => wire::from_worker(frame).map(Some),
    }
}

#[tonic::async_trait]
impl WorkerService for WorkerApi {
    type SessionStream = BoxStream<'static, Result<SessionResponse, Status>>;

    async fn session(
        &self,
        request: Request<Streaming<SessionRequest>>,
    ) -> Result<Response<Self::SessionStream>, Status> {
        let caller = Caller::of(&request)?;
        let (outbound, frames) = session::outbound_queue();
        let (result_sender, result) = oneshot::channel();
        let session = self.clone().session(caller, request.into_inner(), outbound);
        self.tasks.spawn("session", async move {
            // Fails if the worker has disconnected.
            let _ = result_sender.send(session.await);
        });
        Ok(Response::new(outgoing(frames, result, self.server.clone()).boxed()))
    }
}
