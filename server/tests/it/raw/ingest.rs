//! A producer that sends whatever frames it is told to.

use sentinel_proto::jobs::v1::ingest_request::Frame;
use sentinel_proto::jobs::v1::ingest_response::Frame as Told;
use sentinel_proto::jobs::v1::{
    IngestCommitted, IngestItem, IngestRequest, IngestResponse, IngestStart, IngestStarted, JobSpec,
};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Status, Streaming};

use super::Raw;
use crate::harness::PATIENCE;

/// Frames on the way of which the server has not read anything.
const FRAMES: usize = 4_096;

pub(crate) struct Producer {
    /// None: it said that there is no more.
    frames: Option<mpsc::Sender<IngestRequest>>,
    answers: Streaming<IngestResponse>,
}

impl Producer {
    /// A stream without any frame.
    pub(crate) async fn open(raw: &Raw) -> Self {
        let (frames, sent) = mpsc::channel(FRAMES);
        let answers = raw.ingest.clone().ingest(ReceiverStream::new(sent)).await;
        let answers = answers.expect("errors come in the stream").into_inner();
        Self { frames: Some(frames), answers }
    }

    /// A stream that has begun.
    pub(crate) async fn start(raw: &Raw, id: &str) -> (Self, IngestStarted) {
        let mut producer = Self::open(raw).await;
        producer.send(start(id)).await;
        let started = producer.started().await;
        (producer, started)
    }

    /// False: the stream has ended; what it ended with is in the answers.
    pub(crate) async fn send(&self, frame: impl Into<Option<Frame>>) -> bool {
        let frames = self.frames.as_ref().expect("not finished");
        frames.send(IngestRequest { frame: frame.into() }).await.is_ok()
    }

    pub(crate) fn finish(&mut self) {
        self.frames = None;
    }

    pub(crate) async fn answer(&mut self) -> Result<Option<Told>, Status> {
        let answer = tokio::time::timeout(PATIENCE, self.answers.message()).await;
        let answer = answer.unwrap_or_else(|_| panic!("no answer within {PATIENCE:?}"))?;
        Ok(answer.map(|answer| answer.frame.expect("an answer says something")))
    }

    pub(crate) async fn started(&mut self) -> IngestStarted {
        match self.answer().await {
            Ok(Some(Told::Started(started))) => started,
            other => panic!("not Started: {other:?}"),
        }
    }

    /// Reads until everything up to an offset is committed; all that was told on the way.
    pub(crate) async fn committed(&mut self, offset: u64) -> Vec<IngestCommitted> {
        let mut told = Vec::new();
        loop {
            match self.answer().await {
                Ok(Some(Told::Committed(committed))) => {
                    let reached = committed.committed_offset;
                    told.push(committed);
                    if reached >= offset {
                        return told;
                    }
                }
                other => panic!("{offset} is not committed: {other:?}, before it {told:?}"),
            }
        }
    }

    /// What the stream ends with, and the last offset that it told as committed.
    pub(crate) async fn end(&mut self) -> (u64, Result<(), Status>) {
        let mut reached = 0;
        loop {
            match self.answer().await {
                Ok(Some(Told::Committed(committed))) => reached = committed.committed_offset,
                Ok(Some(Told::Started(started))) => reached = started.committed_offset,
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
