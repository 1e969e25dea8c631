//! A producer that can send any frame.

use sentinel_proto::jobs::v1::ingest_request::Frame;
use sentinel_proto::jobs::v1::ingest_response::Frame as Response;
use sentinel_proto::jobs::v1::{
    IngestCommitted, IngestItem, IngestRequest, IngestResponse, IngestStart, IngestStarted, JobSpec,
};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Status, Streaming};

use super::RawClients;
use crate::harness::TIMEOUT;

/// The capacity of the channel of unsent frames.
const FRAMES: usize = 4_096;

pub(crate) struct RawProducer {
    /// `None` after the sending half was closed.
    frames: Option<mpsc::Sender<IngestRequest>>,
    responses: Streaming<IngestResponse>,
}

impl RawProducer {
    /// Opens a stream without sending a frame.
    pub(crate) async fn open(raw: &RawClients) -> Self {
        let (frames, sent) = mpsc::channel(FRAMES);
        let responses = raw.ingest.clone().ingest(ReceiverStream::new(sent)).await;
        let responses = responses.expect("the stream opens").into_inner();
        Self { frames: Some(frames), responses }
    }

    /// Opens a stream, sends Start and waits for Started.
    pub(crate) async fn start(raw: &RawClients, id: &str) -> (Self, IngestStarted) {
        let mut producer = Self::open(raw).await;
        producer.send(start(id)).await;
        let started = producer.started().await;
        (producer, started)
    }

    /// Sends a frame; returns false when the stream has closed. The next read then returns why.
    pub(crate) async fn send(&self, frame: impl Into<Option<Frame>>) -> bool {
        let frames = self.frames.as_ref().expect("an open sending half");
        frames.send(IngestRequest { frame: frame.into() }).await.is_ok()
    }

    pub(crate) fn finish(&mut self) {
        self.frames = None;
    }

    pub(crate) async fn next(&mut self) -> Result<Option<Response>, Status> {
        let response = tokio::time::timeout(TIMEOUT, self.responses.message()).await;
        let response = response.unwrap_or_else(|_| panic!("no response within {TIMEOUT:?}"))?;
        Ok(response.map(|response| response.frame.expect("a frame")))
    }

    pub(crate) async fn started(&mut self) -> IngestStarted {
        match self.next().await {
            Ok(Some(Response::Started(started))) => started,
            other => panic!("expected Started, got {other:?}"),
        }
    }

    /// Reads until everything up to `offset` is committed and returns the frames read.
    pub(crate) async fn committed(&mut self, offset: u64) -> Vec<IngestCommitted> {
        let mut frames = Vec::new();
        loop {
            match self.next().await {
                Ok(Some(Response::Committed(committed))) => {
                    let reached = committed.committed_offset;
                    frames.push(committed);
                    if reached >= offset {
                        return frames;
                    }
                }
                other => panic!("{offset} is not committed: {other:?} after {frames:?}"),
            }
        }
    }

    /// Reads until the stream closes; returns the last committed offset and the status.
    pub(crate) async fn closed(&mut self) -> (u64, Result<(), Status>) {
        let mut reached = 0;
        loop {
            match self.next().await {
                Ok(Some(Response::Committed(committed))) => reached = committed.committed_offset,
                Ok(Some(Response::Started(started))) => reached = started.committed_offset,
                Ok(None) => return (reached, Ok(())),
                Err(status) => return (reached, Err(status)),
            }
        }
    }
}

pub(crate) fn start(id: &str) -> Frame {
    Frame::Start(IngestStart { producer_id: id.into(), ..IngestStart::default() })
}

pub(crate) fn item(offset: u64, spec: JobSpec) -> Frame {
    Frame::Item(IngestItem { offset, spec: Some(spec) })
}
