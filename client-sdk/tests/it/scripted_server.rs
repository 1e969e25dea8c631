//! A scripted WorkerService: each session stream is handed to the test, which reads and writes its
//! frames.

use std::net::SocketAddr;
use std::time::Duration;

use sentinel_client::proto::jobs::v1::JobError;
use sentinel_client::proto::workers::v1::session_request::Frame as RequestFrame;
use sentinel_client::proto::workers::v1::session_response::Frame as ResponseFrame;
use sentinel_client::proto::workers::v1::worker_service_server::{
    WorkerService, WorkerServiceServer,
};
use sentinel_client::proto::workers::v1::{
    Assign, Assignment, Failed, HeldVerdict, Hello, Lease, Pong, Report, ReportAck, ReportItem,
    ReportVerdict, SessionRequest, SessionResponse, Verdict, Welcome, report_item,
};
use sentinel_client::worker::{SessionTimings, Worker, WorkerBuilder};
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_stream::wrappers::{ReceiverStream, TcpListenerStream};
use tonic::{Request, Response, Status, Streaming};

/// The limit of each wait, long enough for a loaded machine.
pub(crate) const TIMEOUT: Duration = Duration::from_secs(20);

struct Service {
    streams: mpsc::Sender<SessionStream>,
}

#[tonic::async_trait]
impl WorkerService for Service {
    type SessionStream = ReceiverStream<Result<SessionResponse, Status>>;

    async fn session(
        &self,
        request: Request<Streaming<SessionRequest>>,
    ) -> Result<Response<Self::SessionStream>, Status> {
        let (to_worker, responses) = mpsc::channel(256);
        let stream = SessionStream { from_worker: request.into_inner(), to_worker, assign_seq: 0 };
        let stopped = |_| Status::unavailable("the test is over");
        self.streams.send(stream).await.map_err(stopped)?;
        Ok(Response::new(ReceiverStream::new(responses)))
    }
}

pub(crate) struct ScriptedServer {
    address: SocketAddr,
    streams: mpsc::Receiver<SessionStream>,
    task: JoinHandle<()>,
}

impl Drop for ScriptedServer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl ScriptedServer {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (streams_tx, streams) = mpsc::channel(16);
        let service = WorkerServiceServer::new(Service { streams: streams_tx });
        let task = tokio::spawn(async move {
            tonic::transport::Server::builder()
                .tcp_nodelay(true)
                .add_service(service)
                .serve_with_incoming(TcpListenerStream::new(listener))
                .await
                .unwrap();
        });
        Self { address, streams, task }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The builder of a worker of this server with short timings.
    pub(crate) fn worker(&self) -> WorkerBuilder {
        Worker::builder(self.url()).queue("default").instance("w1").timings(short_timings())
    }

    /// The next stream that a worker opens.
    pub(crate) async fn accept(&mut self) -> SessionStream {
        timeout(TIMEOUT, self.streams.recv()).await.expect("no stream was opened").unwrap()
    }

    /// The next stream, after Hello and Welcome with the session id `s1`.
    pub(crate) async fn accept_session(&mut self) -> (SessionStream, Hello) {
        let mut stream = self.accept().await;
        let hello = stream.hello().await;
        stream.welcome("s1", &[]).await;
        (stream, hello)
    }
}

fn short_timings() -> SessionTimings {
    SessionTimings {
        reconnect_base: Duration::from_millis(5),
        reconnect_cap: Duration::from_millis(50),
        resend_base: Duration::from_millis(5),
        resend_cap: Duration::from_millis(20),
        abort_grace: Duration::from_millis(50),
        progress_interval: Duration::from_millis(10),
        release_grace: Duration::from_millis(50),
        ..SessionTimings::default()
    }
}

/// The server side of a session stream.
pub(crate) struct SessionStream {
    from_worker: Streaming<SessionRequest>,
    to_worker: mpsc::Sender<Result<SessionResponse, Status>>,
    assign_seq: u64,
}

impl SessionStream {
    /// The next frame except Ping, which is answered; `None` when the stream has closed.
    pub(crate) async fn next(&mut self) -> Option<RequestFrame> {
        loop {
            let frame = timeout(TIMEOUT, self.from_worker.message()).await;
            match frame.expect("no frame was received").ok()??.frame {
                Some(RequestFrame::Ping(ping)) => {
                    let pong = Pong { nonce: ping.nonce, cancels: vec![] };
                    self.send(ResponseFrame::Pong(pong)).await;
                }
                frame => return frame,
            }
        }
    }

    /// The next frame for which `pick` returns a value; skips others.
    pub(crate) async fn next_matching<T>(
        &mut self,
        mut pick: impl FnMut(RequestFrame) -> Option<T>,
    ) -> T {
        loop {
            let frame = self.next().await.expect("the stream has closed");
            if let Some(picked) = pick(frame) {
                return picked;
            }
        }
    }

    pub(crate) async fn hello(&mut self) -> Hello {
        match self.next().await {
            Some(RequestFrame::Hello(hello)) => hello,
            other => panic!("expected Hello, got {other:?}"),
        }
    }

    async fn report(&mut self) -> Report {
        self.next_matching(|frame| match frame {
            RequestFrame::Report(report) => Some(report),
            _ => None,
        })
        .await
    }

    /// The next report, which must be about a single attempt.
    pub(crate) async fn report_item(&mut self) -> ReportItem {
        let mut report = self.report().await;
        assert_eq!(report.items.len(), 1, "{report:?}");
        report.items.remove(0)
    }

    /// Counts the pings before the next report.
    pub(crate) async fn pings_until_report(&mut self) -> u32 {
        let mut pings = 0;
        loop {
            let frame = timeout(TIMEOUT, self.from_worker.message()).await;
            match frame.expect("no frame was received").unwrap().unwrap().frame {
                Some(RequestFrame::Ping(_)) => pings += 1,
                Some(RequestFrame::Report(_)) => return pings,
                _ => {}
            }
        }
    }

    pub(crate) async fn send(&mut self, frame: ResponseFrame) {
        let response = SessionResponse { frame: Some(frame) };
        // When the worker has disconnected, the next read reports it.
        let _ = self.to_worker.send(Ok(response)).await;
    }

    pub(crate) async fn welcome(&mut self, session: &str, held: &[HeldVerdict]) {
        let welcome = Welcome {
            session: session.to_owned(),
            ping: Some(prost_types::Duration { seconds: 0, nanos: 50_000_000 }),
            ttl: Some(prost_types::Duration { seconds: 15, nanos: 0 }),
            held: held.iter().map(|verdict| i32::from(*verdict)).collect(),
            capabilities: vec![],
            server: "scripted".to_owned(),
        };
        self.send(ResponseFrame::Welcome(welcome)).await;
    }

    pub(crate) async fn assign(&mut self, items: Vec<Assignment>) {
        self.assign_seq += 1;
        let assign_seq = self.assign_seq;
        self.send(ResponseFrame::Assign(Assign { assign_seq, items })).await;
    }

    pub(crate) async fn ack(&mut self, lease: &Lease, verdict: Verdict) {
        let item = ReportVerdict { lease: Some(lease.clone()), verdict: verdict.into() };
        self.send(ResponseFrame::ReportAck(ReportAck { items: vec![item] })).await;
    }

    /// Closes the stream with UNAVAILABLE, as a crashed server does.
    pub(crate) async fn disconnect(self) {
        let _ = self.to_worker.send(Err(Status::unavailable("disconnected by the test"))).await;
    }
}

pub(crate) fn lease(job: &str) -> Lease {
    Lease { job_id: job.to_owned(), run: 1, attempt: 1, epoch: 1, session: "s1".to_owned() }
}

pub(crate) fn job(id: &str, kind: &str) -> Assignment {
    Assignment {
        lease: Some(lease(id)),
        kind: kind.to_owned(),
        queue: "default".to_owned(),
        max_attempts: 3,
        ..Assignment::default()
    }
}

pub(crate) fn lease_of(item: &ReportItem) -> Lease {
    item.lease.clone().unwrap()
}

pub(crate) fn is_success(item: &ReportItem) -> bool {
    matches!(item.outcome, Some(report_item::Outcome::Succeeded(_)))
}

pub(crate) fn failure(item: &ReportItem) -> (Failed, JobError) {
    match &item.outcome {
        Some(report_item::Outcome::Failed(failed)) => {
            (failed.clone(), failed.error.clone().unwrap())
        }
        other => panic!("expected a failure, got {other:?}"),
    }
}

/// A worker that runs in the background until it is dropped.
pub(crate) struct RunningWorker(JoinHandle<Result<(), sentinel_client::Error>>);

impl RunningWorker {
    pub(crate) fn start(builder: WorkerBuilder) -> Self {
        let worker = builder.build().unwrap();
        Self(tokio::spawn(worker.run(std::future::pending())))
    }
}

impl Drop for RunningWorker {
    fn drop(&mut self) {
        self.0.abort();
    }
}
