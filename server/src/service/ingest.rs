//! IngestService: the stream of a producer, carried between the wire and the engine.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::stream::{self, BoxStream, StreamExt};
use prost::Message;
use sentinel_domain::limits::{INGEST_WINDOW_BYTES, INGEST_WINDOW_ITEMS};
use sentinel_engine::{
    Engine, IngestItem, IngestProgress, ItemRefused, Producer, RefusedItem, Tasks,
};
use sentinel_proto::jobs::v1 as wire;
use sentinel_proto::jobs::v1::ingest_request::Frame;
use sentinel_proto::jobs::v1::ingest_response::Frame as Told;
use sentinel_proto::jobs::v1::ingest_service_server::IngestService;
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;
use tonic::{Code, Request, Response, Status, Streaming};
use tonic_types::StatusExt;

use super::from_wire;
use super::job::{caller_trace, check_enqueue};
use super::status::{to_status, invalid_field, reason_of};
use crate::identity::Caller;
use crate::telemetry::span::{batch_span, traceparent_for};

/// A stream that does not begin with Start in this time is closed.
const START_WITHIN: Duration = Duration::from_secs(5);

/// Answers that may wait to be sent.
const ANSWERS: usize = 16;

/// IngestService on an engine.
#[derive(Clone)]
pub struct IngestApi {
    engine: Engine,
    tasks: Tasks,
    closing: CancellationToken,
}

/// What ends a stream from the side of its producer.
type Fault = Arc<Mutex<Option<Status>>>;

/// What makes items of frames.
struct Incoming {
    frames: Streaming<wire::IngestRequest>,
    fault: Fault,
    engine: Engine,
    caller: Caller,
    /// For jobs that bring none.
    trace: String,
}

impl IngestApi {
    /// Streams end when `closing` is cancelled.
    pub fn new(engine: Engine, tasks: Tasks, closing: CancellationToken) -> Self {
        Self { engine, tasks, closing }
    }

    /// From the first frame to the end of the stream. The error is the last thing that is sent.
    async fn produce(
        self,
        mut incoming: Incoming,
        answers: mpsc::Sender<IngestProgress>,
    ) -> Result<(), Status> {
        let start = start(&mut incoming.frames).await?;
        let caller = incoming.caller.clone();
        from_wire::actor(&start.actor)?;
        let producer = Producer {
            ack: from_wire::ack("start.ack", start.ack)?,
            actor: caller.actor(&start.actor).into_owned(),
            realm: caller.namespace(),
            id: start.producer_id,
        };
        let ingest = self.engine.ingest(producer).await.map_err(to_status)?;
        // The first answer; there is room for it.
        let _ = answers.send(ingest.progress()).await;
        let fault = incoming.fault.clone();
        let stop = self.closing.child_token();
        let running = ingest.run(incoming.into_items(), answers, stop.clone());
        let mut running = std::pin::pin!(running);
        let ended = tokio::select! {
            ended = &mut running => ended,
            // The layer ends what goes out; nothing more is committed under a key that is over.
            over = caller.key_ended() => {
                stop.cancel();
                let _ = running.await;
                return Err(over);
            }
        };
        ended.map_err(to_status)?;
        let fault = fault.lock().unwrap_or_else(PoisonError::into_inner).take();
        fault.map_or(Ok(()), Err)
    }
}

async fn start(frames: &mut Streaming<wire::IngestRequest>) -> Result<wire::IngestStart, Status> {
    let first = tokio::time::timeout(START_WITHIN, frames.message()).await;
    let first = first.map_err(|_| invalid_field("start", "did not come within 5 s"))?;
    match first?.and_then(|frame| frame.frame) {
        Some(Frame::Start(start)) => Ok(start),
        Some(Frame::Item(_)) => Err(invalid_field("item", "came before start")),
        None => Err(invalid_field("start", "did not come")),
    }
}

impl Incoming {
    /// The items until the stream ends; a frame that makes no sense ends it too.
    fn into_items(self) -> impl stream::Stream<Item = IngestItem> + Send {
        stream::unfold(self, |mut this| async move {
            match this.next().await {
                Ok(item) => Some((item?, this)),
                Err(status) => {
                    tracing::debug!(%status, "the stream of a producer ends");
                    *this.fault.lock().unwrap_or_else(PoisonError::into_inner) = Some(status);
                    None
                }
            }
        })
    }

    async fn next(&mut self) -> Result<Option<IngestItem>, Status> {
        let Some(frame) = self.frames.message().await? else { return Ok(None) };
        let wire::IngestItem { offset, spec } = match frame.frame {
            Some(Frame::Item(item)) => item,
            Some(Frame::Start(_)) => return Err(invalid_field("start", "came before")),
            None => return Err(invalid_field("frame", "is not set: start or item")),
        };
        let bytes = spec.as_ref().map_or(0, |spec| spec.encoded_len() as u64);
        let new = match from_wire::new_job("spec", spec) {
            Ok(mut new) => match check_enqueue(&self.engine, &self.caller, "spec", &new).await {
                Ok(()) => {
                    if new.traceparent.is_empty() {
                        new.traceparent.clone_from(&self.trace);
                    }
                    Ok(new)
                }
                Err(status) => Err(of_item(status)?),
            },
            Err(status) => Err(of_item(status)?),
        };
        Ok(Some(IngestItem { offset, bytes, new }))
    }
}

/// What refuses a single item, or what concerns the stream.
fn of_item(status: Status) -> Result<ItemRefused, Status> {
    if !matches!(status.code(), Code::InvalidArgument | Code::PermissionDenied) {
        return Err(status);
    }
    let reason = reason_of(&status);
    let details = status.get_details_bad_request();
    let violation = details.and_then(|mut found| found.field_violations.pop());
    Ok(match violation {
        Some(found) => ItemRefused { reason, message: found.description, field: found.field },
        None => {
            let message = status.message().to_owned();
            ItemRefused { reason, message, field: String::new() }
        }
    })
}

fn refused(refused: Vec<RefusedItem>) -> Vec<wire::IngestRefused> {
    let one = |RefusedItem { offset, why }: RefusedItem| {
        let ItemRefused { reason, message, field } = why;
        wire::IngestRefused { offset, reason, message, field }
    };
    refused.into_iter().map(one).collect()
}

/// The first answer is Started.
fn told(progress: IngestProgress, is_first: bool) -> wire::IngestResponse {
    let IngestProgress { committed: committed_offset, refused: items } = progress;
    let refused = refused(items);
    let frame = if is_first {
        Told::Started(wire::IngestStarted {
            committed_offset,
            window_items: INGEST_WINDOW_ITEMS as u32,
            window_bytes: INGEST_WINDOW_BYTES,
            refused,
        })
    } else {
        Told::Committed(wire::IngestCommitted { committed_offset, refused })
    };
    wire::IngestResponse { frame: Some(frame) }
}

/// The answers, then the error that ended the stream, if one did.
fn outgoing(
    answers: mpsc::Receiver<IngestProgress>,
    end: oneshot::Receiver<Result<(), Status>>,
) -> impl stream::Stream<Item = Result<wire::IngestResponse, Status>> + Send {
    stream::unfold((true, Some((answers, end))), |(is_first, open)| async move {
        let (mut answers, end) = open?;
        if let Some(progress) = answers.recv().await {
            return Some((Ok(told(progress, is_first)), (false, Some((answers, end)))));
        }
        match end.await {
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
        let trace = traceparent_for(&batch_span([]), &caller_trace(&request));
        let incoming = Incoming {
            frames: request.into_inner(),
            fault: Arc::default(),
            engine: self.engine.clone(),
            caller,
            trace,
        };
        let (told, answers) = mpsc::channel(ANSWERS);
        let (ended, end) = oneshot::channel();
        let produce = self.clone().produce(incoming, told);
        self.tasks.spawn("ingest", async move {
            // Nobody listens when the producer has gone: then there is nobody to tell.
            let _ = ended.send(produce.await);
        });
        Ok(Response::new(outgoing(answers, end).boxed()))
    }
}
