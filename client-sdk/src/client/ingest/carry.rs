//! The stream behind a producer: opens it, again when it breaks, and carries items and answers.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::timeout;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Streaming;

use super::Shared;
use crate::backoff::Backoff;
use crate::proto::jobs::v1::ingest_request::Frame;
use crate::proto::jobs::v1::ingest_response::Frame as Told;
use crate::proto::jobs::v1::{IngestRequest, IngestResponse, IngestStart, IngestStarted};
use crate::{Client, Error};

const REDIAL: Backoff = Backoff { base: Duration::from_millis(50), cap: Duration::from_secs(5) };

/// Items between the window and the connection.
const FRAMES: usize = 64;

/// A stream that has begun.
pub(super) struct Carrier {
    /// None: the server was told that nothing more comes, or takes nothing more.
    frames: Option<mpsc::Sender<IngestRequest>>,
    answers: Streaming<IngestResponse>,
    /// Something was committed by it.
    has_committed: bool,
}

/// Opens a stream; where the server stands.
pub(super) async fn open(
    client: &Client,
    start: &IngestStart,
) -> Result<(Carrier, IngestStarted), Error> {
    let (frames, sent) = mpsc::channel(FRAMES);
    // There is room for the first.
    let _ = frames.try_send(IngestRequest { frame: Some(Frame::Start(start.clone())) });
    let begin = async {
        let mut answers = client.raw_ingest().ingest(ReceiverStream::new(sent)).await?.into_inner();
        let first = answers.message().await?;
        Ok::<_, Error>((answers, first))
    };
    let (answers, first) = timeout(client.timeout, begin).await.map_err(|_| Error::Timeout)??;
    match first.and_then(|first| first.frame) {
        Some(Told::Started(started)) => {
            Ok((Carrier { frames: Some(frames), answers, has_committed: false }, started))
        }
        Some(Told::Committed(_)) => Err(Error::Protocol { message: "IngestCommitted came first" }),
        None => Err(Error::Transport { message: "the stream ended before it began".into() }),
    }
}

/// Carries until there is nothing more to carry, or for a reason that does not pass.
pub(super) async fn run(client: Client, start: IngestStart, shared: Arc<Shared>, first: Carrier) {
    let mut open_one = Some(first);
    let mut failures = 0_u32;
    // A Start without an answer may still reach a server, and take the producer from the stream
    // that was opened after it.
    let mut has_stray = false;
    loop {
        let error = match open_one.take() {
            Some(mut carrier) => {
                let carried = carrier.carry(&shared).await;
                if carrier.has_committed {
                    (failures, has_stray) = (0, false);
                }
                match carried {
                    Ok(()) => return shared.end(Ok(())),
                    Err(error) => error,
                }
            }
            None => match open(&client, &start).await {
                Ok((carrier, started)) => match shared.resumed(started) {
                    Ok(()) => {
                        open_one = Some(carrier);
                        continue;
                    }
                    Err(error) => error,
                },
                Err(error) => {
                    has_stray |= matches!(error, Error::Transport { .. } | Error::Timeout);
                    error
                }
            },
        };
        let is_stray = has_stray && error.reason() == Some("PRODUCER_MOVED");
        if error.ends_ingest() && !is_stray {
            return shared.end(Err(error));
        }
        has_stray &= !is_stray;
        let pause = REDIAL.delay(failures, rand::random());
        let pause = pause.max(error.retry_after().unwrap_or_default());
        tracing::debug!(%error, ?pause, "a producer opens its stream again");
        failures = failures.saturating_add(1);
        tokio::time::sleep(pause).await;
    }
}

impl Shared {
    fn resumed(&self, started: IngestStarted) -> Result<(), Error> {
        self.window().resume(started)?;
        self.changed.send_replace(());
        Ok(())
    }
}

impl Carrier {
    /// Ok: everything is committed and no more will come.
    async fn carry(&mut self, shared: &Shared) -> Result<(), Error> {
        let mut next = shared.window().committed() + 1;
        let mut sent_bytes = 0;
        loop {
            let item = {
                let window = shared.window();
                if window.is_finishing && window.committed() == window.last() {
                    self.frames = None;
                }
                window.item(next, sent_bytes)
            };
            let frames = self.frames.clone();
            let room = async {
                match &frames {
                    Some(frames) if item.is_some() => frames.reserve().await,
                    _ => std::future::pending().await,
                }
            };
            tokio::select! {
                answer = self.answers.message() => {
                    let Some(answer) = answer? else { return self.ended(shared) };
                    sent_bytes -= self.told(shared, answer, next - 1)?;
                }
                permit = room => match (permit, item) {
                    (Ok(permit), Some((item, bytes))) => {
                        permit.send(IngestRequest { frame: Some(Frame::Item(item)) });
                        (next, sent_bytes) = (next + 1, sent_bytes + bytes);
                    }
                    // The connection takes no more; why, the answers tell.
                    _ => self.frames = None,
                },
                () = shared.work.notified() => {}
            }
        }
    }

    fn told(&mut self, shared: &Shared, answer: IngestResponse, sent: u64) -> Result<u64, Error> {
        let told = match answer.frame {
            Some(Told::Committed(told)) => told,
            Some(Told::Started(_)) => {
                return Err(Error::Protocol { message: "IngestStarted twice" });
            }
            // Of a later version.
            None => return Ok(0),
        };
        let bytes = shared.window().commit(told, sent)?;
        self.has_committed = true;
        shared.changed.send_replace(());
        Ok(bytes)
    }

    /// The server says that it is done; a proxy that closes the stream looks the same.
    fn ended(&self, shared: &Shared) -> Result<(), Error> {
        let window = shared.window();
        if window.is_finishing && window.committed() == window.last() {
            return Ok(());
        }
        Err(Error::Transport { message: "the stream ended early".into() })
    }
}
