//! A worker that sends any frame at any time.

use std::time::Duration;

use sentinel_proto::jobs::v1::JobError;
use sentinel_proto::workers::v1::report_item::Outcome;
use sentinel_proto::workers::v1::session_request::Frame as Up;
use sentinel_proto::workers::v1::session_response::Frame as Down;
use sentinel_proto::workers::v1::{
    Assignment, Credit, Failed, Hello, Kind, Lease, Received, Report, ReportItem, SessionRequest,
    SessionResponse, Succeeded, Verdict, Welcome,
};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Status, Streaming};

use super::Raw;
use crate::harness::PATIENCE;

/// One stream.
pub(crate) struct Session {
    to_server: Option<mpsc::Sender<SessionRequest>>,
    from_server: Streaming<SessionResponse>,
}

/// What a Hello says when nothing is wrong with it: room for one job of kind `raw`.
pub(crate) fn hello(change: impl FnOnce(&mut Hello)) -> Hello {
    let mut hello = Hello {
        instance: "raw".into(),
        queues: vec!["default".into()],
        kinds: vec![kind("raw")],
        credit: Some(Credit { jobs: 1, bytes: 0 }),
        ..Hello::default()
    };
    change(&mut hello);
    hello
}

pub(crate) fn kind(name: impl Into<String>) -> Kind {
    Kind { name: name.into(), ..Kind::default() }
}

/// A report of success under a lease.
pub(crate) fn success(lease: Option<Lease>, result: Vec<u8>) -> ReportItem {
    let outcome = Some(Outcome::Succeeded(Succeeded { result: result.into() }));
    ReportItem { lease, started_at: None, outcome }
}

/// A report of failure under a lease.
pub(crate) fn failure(lease: Option<Lease>, error: JobError) -> ReportItem {
    let failed = Failed { error: Some(error), ..Failed::default() };
    ReportItem { lease, started_at: None, outcome: Some(Outcome::Failed(failed)) }
}

impl Session {
    /// Opens a stream and says nothing.
    pub(crate) async fn open(raw: &Raw) -> Result<Self, Status> {
        let (to_server, frames) = mpsc::channel(16);
        let opened = raw.workers.clone().session(ReceiverStream::new(frames)).await?;
        Ok(Self { to_server: Some(to_server), from_server: opened.into_inner() })
    }

    /// Opens a stream with a Hello.
    pub(crate) async fn join(raw: &Raw, hello: Hello) -> Result<(Self, Welcome), Status> {
        let mut session = Self::open(raw).await?;
        session.say(Up::Hello(hello)).await;
        match session.next().await? {
            Some(Down::Welcome(welcome)) => Ok((session, welcome)),
            other => panic!("expected Welcome, got {other:?}"),
        }
    }

    /// Sends a frame; a stream that has ended shows itself in the next answer.
    pub(crate) async fn say(&self, frame: Up) {
        self.send(SessionRequest { frame: Some(frame) }).await;
    }

    /// As [`Session::say`], also for what is no frame of this version.
    pub(crate) async fn send(&self, frame: SessionRequest) {
        if let Some(to_server) = &self.to_server {
            let sent = tokio::time::timeout(PATIENCE, to_server.send(frame)).await;
            let _ = sent.expect("the server reads");
        }
    }

    /// Says no more, and goes on listening.
    pub(crate) fn half_close(&mut self) {
        self.to_server = None;
    }

    /// The next frame; none at a clean end.
    pub(crate) async fn next(&mut self) -> Result<Option<Down>, Status> {
        let frame = tokio::time::timeout(PATIENCE, self.from_server.message()).await;
        Ok(frame.expect("a frame or an end")?.and_then(|response| response.frame))
    }

    /// The first frame that `pick` takes; what comes before is skipped.
    pub(crate) async fn until<T>(&mut self, pick: impl Fn(Down) -> Option<T>) -> T {
        loop {
            match self.next().await {
                Ok(Some(frame)) => {
                    if let Some(found) = pick(frame) {
                        return found;
                    }
                }
                other => panic!("the stream ended before the frame: {other:?}"),
            }
        }
    }

    /// How the stream ends, whatever comes before.
    pub(crate) async fn end(&mut self) -> Result<(), Status> {
        while self.next().await?.is_some() {}
        Ok(())
    }

    /// A job to run, acknowledged.
    pub(crate) async fn assigned(&mut self) -> Assignment {
        let (seq, mut items) = self.assignment().await;
        assert_eq!(items.len(), 1);
        self.say(Up::Received(Received { assign_seq: seq })).await;
        items.remove(0)
    }

    /// The next assignment, not acknowledged.
    pub(crate) async fn assignment(&mut self) -> (u64, Vec<Assignment>) {
        self.until(|frame| match frame {
            Down::Assign(assign) => Some((assign.assign_seq, assign.items)),
            _ => None,
        })
        .await
    }

    /// Reports and answers the verdicts.
    pub(crate) async fn report(&mut self, items: Vec<ReportItem>) -> Vec<Verdict> {
        let count = items.len();
        self.say(Up::Report(Report { items })).await;
        let mut verdicts = Vec::new();
        while verdicts.len() < count {
            let more = self.until(|frame| match frame {
                Down::ReportAck(ack) => Some(ack.items),
                _ => None,
            });
            verdicts.extend(more.await.iter().map(|item| item.verdict()));
        }
        verdicts
    }

    /// Nothing ended the stream: a ping is answered.
    pub(crate) async fn is_alive(&mut self, nonce: u64) {
        self.say(Up::Ping(sentinel_proto::workers::v1::Ping { nonce })).await;
        let pong = self.until(|frame| match frame {
            Down::Pong(pong) => Some(pong.nonce),
            _ => None,
        });
        let nonces = tokio::time::timeout(Duration::from_secs(10), pong).await;
        assert_eq!(nonces.expect("a Pong"), nonce);
    }
}
