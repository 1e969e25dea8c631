//! WorkerService: one stream per worker process, carried between the wire and a session of
//! the engine.

mod wire;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::stream::{self, BoxStream, StreamExt};
use sentinel_engine::session::{self, FromWorker, Outgoing};
use sentinel_engine::{Engine, Tasks};
use sentinel_proto::workers::v1::worker_service_server::WorkerService;
use sentinel_proto::workers::v1::{SessionRequest, SessionResponse, session_request};
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;
use tonic::{Code, Request, Response, Status, Streaming};

use super::status::{to_status, protocol_error};
use crate::identity::Caller;

/// A stream that does not begin with Hello in this time is closed.
const HELLO_WITHIN: Duration = Duration::from_secs(5);

/// WorkerService on an engine.
#[derive(Clone)]
pub struct WorkerApi {
    engine: Engine,
    tasks: Tasks,
    closing: CancellationToken,
    server: Arc<str>,
}

impl WorkerApi {
    /// Sessions say GoAway when `closing` is cancelled. `server` is the name in Welcome.
    pub fn new(engine: Engine, tasks: Tasks, closing: CancellationToken, server: &str) -> Self {
        Self { engine, tasks, closing, server: server.into() }
    }

    /// From the first frame to the end of the stream. The error is the last thing that is sent.
    async fn session(
        self,
        caller: Caller,
        mut frames: Streaming<SessionRequest>,
        lanes: session::Lanes,
    ) -> Result<(), Status> {
        let first = tokio::time::timeout(HELLO_WITHIN, frames.message()).await;
        let hello = match first {
            Err(_) => return Err(protocol_error("no Hello came within 5 s")),
            Ok(frame) => match frame.map_err(unreadable)?.and_then(|frame| frame.frame) {
                Some(session_request::Frame::Hello(hello)) => wire::hello(hello, &self.server)?,
                Some(_) => return Err(protocol_error("the first frame is not Hello")),
                None => return Err(protocol_error("the stream ended before Hello")),
            },
        };
        for queue in &hello.queues {
            caller.check_queue(queue)?;
        }
        let fault = Arc::new(Mutex::new(None));
        // The layer ends what goes out; what comes in under a key that is over ends here.
        let incoming = incoming(frames, fault.clone());
        let over = {
            let caller = caller.clone();
            async move { caller.key_ended().await }
        };
        let incoming = incoming.take_until(over).boxed();
        let ended = self.engine.run_session(hello, incoming, lanes, self.closing.clone());
        ended.await.map_err(to_status)?;
        let fault = fault.lock().unwrap_or_else(PoisonError::into_inner).take();
        fault.map_or(Ok(()), Err)
    }
}

/// The bytes of a frame are at fault, not the connection: the worker is told.
const fn is_unreadable(code: Code) -> bool {
    matches!(code, Code::OutOfRange | Code::InvalidArgument | Code::Internal)
}

fn unreadable(status: Status) -> Status {
    match is_unreadable(status.code()) {
        true => protocol_error(format!("a frame can not be read: {}", status.message())),
        false => status,
    }
}

/// The worker's frames until the stream ends; a frame that makes no sense ends it too.
fn incoming(
    frames: Streaming<SessionRequest>,
    fault: Arc<Mutex<Option<Status>>>,
) -> impl stream::Stream<Item = FromWorker> + Send {
    stream::unfold((frames, fault), |(mut frames, fault)| async move {
        let frame = match frames.message().await {
            Ok(frame) => wire::from_worker(frame?),
            Err(status) if is_unreadable(status.code()) => Err(unreadable(status)),
            Err(status) => {
                tracing::debug!(%status, "the stream of a worker broke");
                return None;
            }
        };
        match frame {
            Ok(frame) => Some((frame, (frames, fault))),
            Err(status) => {
                tracing::warn!(%status, "a worker does not follow the protocol");
                *fault.lock().unwrap_or_else(PoisonError::into_inner) = Some(status);
                None
            }
        }
    })
}

/// The frames to the worker, then the error that ended the session, if one did.
fn outgoing(
    frames: Outgoing,
    end: oneshot::Receiver<Result<(), Status>>,
    server: Arc<str>,
) -> impl stream::Stream<Item = Result<SessionResponse, Status>> + Send {
    stream::unfold(Some((frames, end)), move |open| {
        let server = server.clone();
        async move {
            let (mut frames, end) = open?;
            if let Some(frame) = frames.next().await {
                return Some((Ok(wire::to_worker(frame, &server)), Some((frames, end))));
            }
            match end.await {
                Ok(Err(status)) => Some((Err(status), None)),
                Ok(Ok(())) | Err(_) => None,
            }
        }
    })
}

/// A frame at either of the places where it is read; none is a Hello.
#[cfg(test)]
pub(super) fn from_any_frame(frame: SessionRequest) -> Result<Option<FromWorker>, Status> {
    match frame.frame {
        Some(session_request::Frame::Hello(hello)) => wire::hello(hello, "").map(|_| None),
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
        let (lanes, frames) = session::lanes();
        let (ended, end) = oneshot::channel();
        let session = self.clone().session(caller, request.into_inner(), lanes);
        self.tasks.spawn("session", async move {
            // Nobody listens when the worker has gone: then there is nobody to tell.
            let _ = ended.send(session.await);
        });
        Ok(Response::new(outgoing(frames, end, self.server.clone()).boxed()))
    }
}
