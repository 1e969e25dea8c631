//! A worker session that can send any frame at any time.

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

use super::RawClients;
use crate::harness::TIMEOUT;

/// A session stream without the checks of the SDK.
pub(crate) struct RawSession {
    to_server: Option<mpsc::Sender<SessionRequest>>,
    from_server: Streaming<SessionResponse>,
}

/// Returns a valid Hello with credit for one job of kind `raw`, after `change`.
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

/// Returns a report of success under a lease.
pub(crate) fn succeeded_report(lease: Option<Lease>, result: Vec<u8>) -> ReportItem {
    let outcome = Some(Outcome::Succeeded(Succeeded { result: result.into() }));
    ReportItem { lease, started_at: None, outcome }
}

/// Returns a report of failure under a lease.
pub(crate) fn failed_report(lease: Option<Lease>, error: JobError) -> ReportItem {
    let failed = Failed { error: Some(error), ..Failed::default() };
    ReportItem { lease, started_at: None, outcome: Some(Outcome::Failed(failed)) }
}

impl RawSession {
    /// Opens a stream without sending a frame.
    pub(crate) async fn open(raw: &RawClients) -> Result<Self, Status> {
        let (to_server, frames) = mpsc::channel(16);
        let opened = raw.workers.clone().session(ReceiverStream::new(frames)).await?;
        Ok(Self { to_server: Some(to_server), from_server: opened.into_inner() })
    }

    /// Opens a stream, sends Hello and waits for Welcome.
    pub(crate) async fn join(raw: &RawClients, hello: Hello) -> Result<(Self, Welcome), Status> {
        let mut session = Self::open(raw).await?;
        session.send_frame(Up::Hello(hello)).await;
        match session.next().await? {
            Some(Down::Welcome(welcome)) => Ok((session, welcome)),
            other => panic!("expected Welcome, got {other:?}"),
        }
    }

    /// Sends a frame. When the stream has closed, the next read returns why.
    pub(crate) async fn send_frame(&self, frame: Up) {
        self.send_request(SessionRequest { frame: Some(frame) }).await;
    }

    /// Like [`RawSession::send_frame`], also for a message without a known frame.
    pub(crate) async fn send_request(&self, frame: SessionRequest) {
        if let Some(to_server) = &self.to_server {
            let sent = tokio::time::timeout(TIMEOUT, to_server.send(frame)).await;
            let _ = sent.expect("the server reads in time");
        }
    }

    /// Closes the sending half and keeps the receiving half open.
    pub(crate) fn half_close(&mut self) {
        self.to_server = None;
    }

    /// Returns the next frame, or `None` when the server closes the stream without an error.
    pub(crate) async fn next(&mut self) -> Result<Option<Down>, Status> {
        let frame = tokio::time::timeout(TIMEOUT, self.from_server.message()).await;
        Ok(frame
            .expect("a frame or the end of the stream in time")?
            .and_then(|response| response.frame))
    }

    /// Skips frames until `pick` accepts one.
    pub(crate) async fn wait_for<T>(&mut self, pick: impl Fn(Down) -> Option<T>) -> T {
        loop {
            match self.next().await {
                Ok(Some(frame)) => {
                    if let Some(found) = pick(frame) {
                        return found;
                    }
                }
                other => panic!("the stream closed before the expected frame: {other:?}"),
            }
        }
    }

    /// Reads until the stream closes and returns its status.
    pub(crate) async fn closed(&mut self) -> Result<(), Status> {
        while self.next().await?.is_some() {}
        Ok(())
    }

    /// Waits for one assignment and acknowledges its receipt.
    pub(crate) async fn accept_job(&mut self) -> Assignment {
        let (seq, mut items) = self.next_assignment().await;
        assert_eq!(items.len(), 1);
        self.send_frame(Up::Received(Received { assign_seq: seq })).await;
        items.remove(0)
    }

    /// Waits for assignments without acknowledging them.
    pub(crate) async fn next_assignment(&mut self) -> (u64, Vec<Assignment>) {
        self.wait_for(|frame| match frame {
            Down::Assign(assign) => Some((assign.assign_seq, assign.items)),
            _ => None,
        })
        .await
    }

    /// Sends a report and returns the verdicts.
    pub(crate) async fn report(&mut self, items: Vec<ReportItem>) -> Vec<Verdict> {
        let count = items.len();
        self.send_frame(Up::Report(Report { items })).await;
        let mut verdicts = Vec::new();
        while verdicts.len() < count {
            let more = self.wait_for(|frame| match frame {
                Down::ReportAck(ack) => Some(ack.items),
                _ => None,
            });
            verdicts.extend(more.await.iter().map(|item| item.verdict()));
        }
        verdicts
    }

    /// Asserts that the server answers a ping on this stream.
    pub(crate) async fn assert_alive(&mut self, nonce: u64) {
        self.send_frame(Up::Ping(sentinel_proto::workers::v1::Ping { nonce })).await;
        let pong = self.wait_for(|frame| match frame {
            Down::Pong(pong) => Some(pong.nonce),
            _ => None,
        });
        let received = tokio::time::timeout(Duration::from_secs(10), pong).await;
        assert_eq!(received.expect("a Pong in time"), nonce);
    }
}
