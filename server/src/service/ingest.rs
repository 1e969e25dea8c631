//! Implements IngestService: connects the stream of a producer to the engine.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::stream::{self, BoxStream, StreamExt};
use prost::Message;
use sentinel_domain::limits::{INGEST_WINDOW_BYTES, INGEST_WINDOW_ITEMS};
use sentinel_engine::{
    Engine, IngestItem, IngestProgress, ItemError, Producer, RejectedItem, Tasks,
};
use sentinel_proto::jobs::v1 as wire;
use sentinel_proto::jobs::v1::ingest_request::Frame;
use sentinel_proto::jobs::v1::ingest_response::Frame as ResponseFrame;
use sentinel_proto::jobs::v1::ingest_service_server::IngestService;
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;
use tonic::{Code, Request, Response, Status, Streaming};
use tonic_types::StatusExt;

use super::from_wire;
use super::job::request_traceparent;
use super::status::{invalid_field, reason_of, to_status};
use crate::identity::Caller;
use crate::telemetry::span::{batch_span, traceparent_for};

/// How long a producer may take to send Start.
const START_TIMEOUT: Duration = Duration::from_secs(5);

/// Number of responses that are buffered for sending.
const RESPONSE_BUFFER: usize = 16;

/// Implements IngestService.
#[derive(Clone)]
pub struct IngestApi {
    engine: Engine,
    tasks: Tasks,
    closing: CancellationToken,
}

/// The invalid frame that ended a stream.
type FrameError = Arc<Mutex<Option<Status>>>;

/// Converts the frames of a producer into items.
struct Incoming {
    frames: Streaming<wire::IngestRequest>,
    frame_error: FrameError,
    caller: Caller,
    /// For jobs without a `traceparent`.
    default_traceparent: String,
}

impl IngestApi {
    /// Creates the service. Its streams close when `closing` is cancelled.
    pub fn new(engine: Engine, tasks: Tasks, closing: CancellationToken) -> Self {
        Self { engine, tasks, closing }
    }

    /// Runs a stream until it closes. The error is sent as its status.
    async fn produce(
        self,
        mut incoming: Incoming,
        responses: mpsc::Sender<IngestProgress>,
    ) -> Result<(), Status> {
        let start = start(&mut incoming.frames).await?;
        let caller = incoming.caller.clone();
        from_wire::actor(&start.actor)?;
        let producer = Producer {
            ack: from_wire::ack("start.ack", start.ack)?,
            actor: caller.actor(&start.actor).into_owned(),
            namespace: caller.namespace(),
            id: start.producer_id,
            scopes: caller.scopes().clone(),
        };
        let ingest = self.engine.producers().open(producer).await.map_err(to_status)?;
        // The first response. The buffer is empty, so this does not wait.
        let _ = responses.send(ingest.progress()).await;
        let frame_error = incoming.frame_error.clone();
        let stop = self.closing.child_token();
        let running = ingest.run(incoming.into_items(), responses, stop.clone());
        let mut running = std::pin::pin!(running);
        let result = tokio::select! {
            result = &mut running => result,
            // The auth layer closes the outgoing half when the key ends; this stops further
            // commits.
            status = caller.key_ended() => {
                stop.cancel();
                let _ = running.await;
                return Err(status);
            }
        };
        result.map_err(to_status)?;
        let frame_error = frame_error.lock().unwrap_or_else(PoisonError::into_inner).take();
        frame_error.map_or(Ok(()), Err)
    }
}

async fn start(frames: &mut Streaming<wire::IngestRequest>) -> Result<wire::IngestStart, Status> {
    let first = tokio::time::timeout(START_TIMEOUT, frames.message()).await;
    let first = first.map_err(|_| invalid_field("start", "was not sent within 5 s"))?;
    match first?.and_then(|frame| frame.frame) {
        Some(Frame::Start(start)) => Ok(start),
        Some(Frame::Item(_)) => Err(invalid_field("item", "was sent before start")),
        None => Err(invalid_field("start", "was not sent")),
    }
}

impl Incoming {
    /// Returns the items. The stream ends at the first invalid frame, whose error is stored in
    /// `frame_error`.
    fn into_items(self) -> impl stream::Stream<Item = IngestItem> + Send {
        stream::unfold(self, |mut this| async move {
            match this.next().await {
                Ok(item) => Some((item?, this)),
                Err(status) => {
                    tracing::debug!(%status, "producer stream closed");
                    *this.frame_error.lock().unwrap_or_else(PoisonError::into_inner) = Some(status);
                    None
                }
            }
        })
    }

    async fn next(&mut self) -> Result<Option<IngestItem>, Status> {
        let Some(frame) = self.frames.message().await? else { return Ok(None) };
        let wire::IngestItem { offset, spec } = match frame.frame {
            Some(Frame::Item(item)) => item,
            Some(Frame::Start(_)) => return Err(invalid_field("start", "was sent twice")),
            None => return Err(invalid_field("frame", "is required: start or item")),
        };
        let bytes = spec.as_ref().map_or(0, |spec| spec.encoded_len() as u64);
        let new = match from_wire::new_job("spec", spec) {
            Ok(mut new) => {
                if new.traceparent.is_empty() {
                    new.traceparent.clone_from(&self.default_traceparent);
                }
                Ok(new)
            }
            Err(status) => Err(to_item_error(status)?),
        };
        Ok(Some(IngestItem { offset, bytes, new }))
    }
}

/// Converts a status into the error of one item. A status that concerns the whole stream is
/// returned as an error.
fn to_item_error(status: Status) -> Result<ItemError, Status> {
    if !matches!(status.code(), Code::InvalidArgument | Code::PermissionDenied) {
        return Err(status);
    }
    let reason = reason_of(&status);
    let details = status.get_details_bad_request();
    let violation = details.and_then(|mut found| found.field_violations.pop());
    Ok(match violation {
        Some(found) => ItemError { reason, message: found.description, field: found.field },
        None => {
            let message = status.message().to_owned();
            ItemError { reason, message, field: String::new() }
        }
    })
}

fn rejected_to_wire(rejected: Vec<RejectedItem>) -> Vec<wire::IngestRefused> {
    let one = |RejectedItem { offset, error }: RejectedItem| {
        let ItemError { reason, message, field } = error;
        wire::IngestRefused { offset, reason, message, field }
    };
    rejected.into_iter().map(one).collect()
}

/// Converts progress into a response. The first one is Started.
fn to_response(progress: IngestProgress, is_first: bool) -> wire::IngestResponse {
    let IngestProgress { committed: committed_offset, rejected: items } = progress;
    let refused = rejected_to_wire(items);
    let frame = if is_first {
        ResponseFrame::Started(wire::IngestStarted {
            committed_offset,
            window_items: INGEST_WINDOW_ITEMS as u32,
            window_bytes: INGEST_WINDOW_BYTES,
            refused,
        })
    } else {
        ResponseFrame::Committed(wire::IngestCommitted { committed_offset, refused })
    };
    wire::IngestResponse { frame: Some(frame) }
}

/// Returns the responses, then the error that ended the stream, if any.
fn outgoing(
    responses: mpsc::Receiver<IngestProgress>,
    result: oneshot::Receiver<Result<(), Status>>,
) -> impl stream::Stream<Item = Result<wire::IngestResponse, Status>> + Send {
    stream::unfold((true, Some((responses, result))), |(is_first, open)| async move {
        let (mut responses, result) = open?;
        if let Some(progress) = responses.recv().await {
            return Some((Ok(to_response(progress, is_first)), (false, Some((responses, result)))));
        }
        match result.await {
            Ok(Err(status)) => Some((Err(status), (false, None))),
            Ok(Ok(())) | Err(_) => None,
        }
    })
}

#[tonic::async_trait]
impl IngestService for IngestApi {
    type IngestStream = BoxStream<'static, Result<wire::IngestResponse, Status>>;

    async fn ingest(
        &self,
        request: Request<Streaming<wire::IngestRequest>>,
    ) -> Result<Response<Self::IngestStream>, Status> {
        let caller = Caller::of(&request)?;
        let default_traceparent = traceparent_for(&batch_span([]), &request_traceparent(&request));
        let incoming = Incoming {
            frames: request.into_inner(),
            frame_error: Arc::default(),
            caller,
            default_traceparent,
        };
        let (sender, responses) = mpsc::channel(RESPONSE_BUFFER);
        let (result_sender, result) = oneshot::channel();
        let produce = self.clone().produce(incoming, sender);
        self.tasks.spawn("ingest", async move {
            // Fails if the producer has disconnected.
            let _ = result_sender.send(produce.await);
        });
        Ok(Response::new(outgoing(responses, result).boxed()))
    }
}
