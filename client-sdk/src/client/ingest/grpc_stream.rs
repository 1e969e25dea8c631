//! The gRPC stream of a producer: opens it, reopens it when it breaks, sends items and applies
//! acknowledgements.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::timeout;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Streaming;

use super::state::IngestState;
use crate::backoff::Backoff;
use crate::proto::jobs::v1::ingest_request::Frame as RequestFrame;
use crate::proto::jobs::v1::ingest_response::Frame as ResponseFrame;
use crate::proto::jobs::v1::{IngestRequest, IngestResponse, IngestStart, IngestStarted};
use crate::{Client, Error};

const RECONNECT: Backoff = Backoff { base: Duration::from_millis(50), cap: Duration::from_secs(5) };

/// Items buffered between the window and the connection.
const SEND_BUFFER_ITEMS: usize = 64;

/// A stream for which the server has sent IngestStarted.
pub(super) struct GrpcStream {
    /// `None` after the request side was closed, by this process or by the server.
    requests: Option<mpsc::Sender<IngestRequest>>,
    responses: Streaming<IngestResponse>,
    /// Whether the server has committed an item of this stream.
    has_committed: bool,
}

/// Opens a stream; returns it with the offset that the server has committed.
pub(super) async fn open(
    client: &Client,
    start: &IngestStart,
) -> Result<(GrpcStream, IngestStarted), Error> {
    let (requests, receiver) = mpsc::channel(SEND_BUFFER_ITEMS);
    // Can not fail: the new channel is empty.
    let _ = requests.try_send(IngestRequest { frame: Some(RequestFrame::Start(start.clone())) });
    let handshake = async {
        let request = ReceiverStream::new(receiver);
        let mut responses = client.raw_ingest().ingest(request).await?.into_inner();
        let first = responses.message().await?;
        Ok::<_, Error>((responses, first))
    };
    let (responses, first) =
        timeout(client.timeout, handshake).await.map_err(|_| Error::Timeout)??;
    match first.and_then(|first| first.frame) {
        Some(ResponseFrame::Started(started)) => {
            let stream = GrpcStream { requests: Some(requests), responses, has_committed: false };
            Ok((stream, started))
        }
        Some(ResponseFrame::Committed(_)) => {
            Err(Error::Protocol { message: "received IngestCommitted before IngestStarted" })
        }
        None => {
            Err(Error::Transport { message: "the stream closed before IngestStarted".to_owned() })
        }
    }
}

/// Runs the stream, reopening it after transient errors, until all items are committed or a
/// permanent error occurs.
pub(super) async fn run(
    client: Client,
    start: IngestStart,
    state: Arc<IngestState>,
    first: GrpcStream,
) {
    let mut opened = Some(first);
    let mut failures = 0_u32;
    // An IngestStart without a response may still reach a server after a later stream was opened,
    // and close that later stream with PRODUCER_MOVED. That error is then transient.
    let mut has_unanswered_start = false;
    loop {
        let error = match opened.take() {
            Some(mut stream) => {
                let result = stream.transfer(&state).await;
                if stream.has_committed {
                    (failures, has_unanswered_start) = (0, false);
                }
                match result {
                    Ok(()) => return state.close(Ok(())),
                    Err(error) => error,
                }
            }
            None => match open(&client, &start).await {
                Ok((stream, started)) => match state.resume(started) {
                    Ok(()) => {
                        opened = Some(stream);
                        continue;
                    }
                    Err(error) => error,
                },
                Err(error) => {
                    has_unanswered_start |=
                        matches!(error, Error::Transport { .. } | Error::Timeout);
                    error
                }
            },
        };
        let is_own_start = has_unanswered_start && error.reason() == Some("PRODUCER_MOVED");
        if error.closes_ingest_streams() && !is_own_start {
            return state.close(Err(error));
        }
        has_unanswered_start &= !is_own_start;
        let delay = RECONNECT.delay(failures, rand::random());
        let delay = delay.max(error.retry_after().unwrap_or_default());
        tracing::debug!(%error, ?delay, "ingest stream lost, reconnecting");
        failures = failures.saturating_add(1);
        tokio::time::sleep(delay).await;
    }
}

impl GrpcStream {
    /// Sends items and applies acknowledgements. `Ok` means that all items are committed and the
    /// producer has finished.
    async fn transfer(&mut self, state: &IngestState) -> Result<(), Error> {
        let mut next = state.window().committed() + 1;
        let mut sent_bytes = 0;
        loop {
            let item = {
                let window = state.window();
                if window.is_complete() {
                    self.requests = None;
                }
                window.item(next, sent_bytes)
            };
            let requests = self.requests.clone();
            let send_permit = async {
                match &requests {
                    Some(requests) if item.is_some() => requests.reserve().await,
                    _ => std::future::pending().await,
                }
            };
            tokio::select! {
                response = self.responses.message() => {
                    let Some(response) = response? else { return closed_by_server(state) };
                    sent_bytes -= self.receive(state, response, next - 1)?;
                }
                permit = send_permit => match (permit, item) {
                    (Ok(permit), Some((item, bytes))) => {
                        permit.send(IngestRequest { frame: Some(RequestFrame::Item(item)) });
                        (next, sent_bytes) = (next + 1, sent_bytes + bytes);
                    }
                    // The request side is closed; the response side returns the reason.
                    _ => self.requests = None,
                },
                () = state.items_ready.notified() => {}
            }
        }
    }

    /// Applies a response; returns the bytes of the items that it commits.
    fn receive(
        &mut self,
        state: &IngestState,
        response: IngestResponse,
        last_sent: u64,
    ) -> Result<u64, Error> {
        let committed = match response.frame {
            Some(ResponseFrame::Committed(committed)) => committed,
            Some(ResponseFrame::Started(_)) => {
                return Err(Error::Protocol { message: "received IngestStarted twice" });
            }
            // A frame of a newer protocol version.
            None => return Ok(0),
        };
        let bytes = state.window().commit(committed, last_sent)?;
        self.has_committed = true;
        state.changed.send_replace(());
        Ok(bytes)
    }
}

/// The result when the response side closed without a status. A proxy may close it early, so only
/// a complete window means success.
fn closed_by_server(state: &IngestState) -> Result<(), Error> {
    if state.window().is_complete() {
        return Ok(());
    }
    let message = "the server closed the stream before all items were committed".to_owned();
    Err(Error::Transport { message })
}
