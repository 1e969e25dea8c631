//! A scripted WorkerService: hands each stream to the test, which reads and writes its frames.

use std::net::SocketAddr;
use std::time::Duration;

use sentinel_client::proto::jobs::v1::JobError;
use sentinel_client::proto::workers::v1::session_request::Frame as Up;
use sentinel_client::proto::workers::v1::session_response::Frame as Down;
use sentinel_client::proto::workers::v1::worker_service_server::{
    WorkerService, WorkerServiceServer,
};
use sentinel_client::proto::workers::v1::{
    Assign, Assignment, Failed, HeldVerdict, Hello, Lease, Pong, Report, ReportAck, ReportItem,
    ReportVerdict, SessionRequest, SessionResponse, Verdict, Welcome, report_item,
};
use sentinel_client::worker::{SessionTimings, Worker, WorkerBuilder};
use tokio::net::TcpListener;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_stream::wrappers::{ReceiverStream, TcpListenerStream};
use tonic::{Request, Response, Status, Streaming};

/// No expectation takes longer on a loaded machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

struct Service {
    streams: mpsc::Sender<Stream>,
}

#[tonic::async_trait]
impl WorkerService for Service {
    type SessionStream = ReceiverStream<Result<SessionResponse, Status>>;

    async fn session(
        &self,
        request: Request<Streaming<SessionRequest>>,
    ) -> Result<Response<Self::SessionStream>, Status> {
        let (to_worker, frames) = mpsc::channel(256);
        let from_worker = request.into_inner();
        let stream = Stream { from_worker, to_worker, answers_pings: true, assign_seq: 0 };
        self.streams.send(stream).await.map_err(|_| Status::unavailable("the test is over"))?;
        Ok(Response::new(ReceiverStream::new(frames)))
    }
}

/// A listening peer.
pub(crate) struct Peer {
    pub(crate) address: SocketAddr,
    streams: mpsc::Receiver<Stream>,
    server: JoinHandle<()>,
}

impl Drop for Peer {
    fn drop(&mut self) {
        self.server.abort();
    }
}

impl Peer {
    pub(crate) async fn listen() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (streams_tx, streams) = mpsc::channel(16);
        let service = WorkerServiceServer::new(Service { streams: streams_tx });
        let server = tokio::spawn(async move {
            tonic::transport::Server::builder()
                .tcp_nodelay(true)
                .add_service(service)
                .serve_with_incoming(TcpListenerStream::new(listener))
                .await
                .unwrap();
        });
        Self { address, streams, server }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// A worker of this peer with timings short enough for a test.
    pub(crate) fn worker(&self) -> WorkerBuilder {
        Worker::builder(self.url()).queue("default").instance("w1").timings(tuning())
    }

    /// The next stream that a worker opens.
    pub(crate) async fn accept(&mut self) -> Stream {
        timeout(PATIENCE, self.streams.recv()).await.expect("no stream came").unwrap()
    }

    /// The next stream, greeted as a new session.
    pub(crate) async fn greet(&mut self) -> (Stream, Hello) {
        let mut stream = self.accept().await;
        let hello = stream.hello().await;
        stream.welcome("s1", &[]).await;
        (stream, hello)
    }
}

pub(crate) fn tuning() -> SessionTimings {
    SessionTimings {
        redial_base: Duration::from_millis(5),
        redial_cap: Duration::from_millis(50),
        resend_base: Duration::from_millis(5),
        resend_cap: Duration::from_millis(20),
        abandon_grace: Duration::from_millis(50),
        progress_interval: Duration::from_millis(10),
        release_grace: Duration::from_millis(50),
        ..SessionTimings::default()
    }
}

/// One stream, in the hands of the test.
pub(crate) struct Stream {
    from_worker: Streaming<SessionRequest>,
    to_worker: mpsc::Sender<Result<SessionResponse, Status>>,
    pub(crate) answers_pings: bool,
    pub(crate) assign_seq: u64,
}

impl Stream {
    /// The next frame that is not a Ping; `None` at the end of the stream.
    pub(crate) async fn next(&mut self) -> Option<Up> {
        loop {
            let frame = timeout(PATIENCE, self.from_worker.message()).await;
            match frame.expect("no frame came").ok()??.frame {
                Some(Up::Ping(ping)) if self.answers_pings => {
                    self.send(Down::Pong(Pong { nonce: ping.nonce, cancels: vec![] })).await;
                }
                Some(Up::Ping(_)) => {}
                frame => return frame,
            }
        }
    }

    /// The next frame that `pick` takes; others in between are skipped.
    pub(crate) async fn until<T>(&mut self, mut pick: impl FnMut(Up) -> Option<T>) -> T {
        loop {
            let frame = self.next().await.expect("the stream ended");
            if let Some(picked) = pick(frame) {
                return picked;
            }
        }
    }

    pub(crate) async fn hello(&mut self) -> Hello {
        match self.next().await {
            Some(Up::Hello(hello)) => hello,
            other => panic!("expected Hello, got {other:?}"),
        }
    }

    pub(crate) async fn report(&mut self) -> Report {
        self.until(|frame| match frame {
            Up::Report(report) => Some(report),
            _ => None,
        })
        .await
    }

    /// A report about one attempt.
    pub(crate) async fn report_item(&mut self) -> ReportItem {
        let mut report = self.report().await;
        assert_eq!(report.items.len(), 1, "{report:?}");
        report.items.remove(0)
    }

    pub(crate) async fn send(&mut self, frame: Down) {
        let frame = SessionResponse { frame: Some(frame) };
        // A worker that has gone is seen by the test in what it reads.
        let _ = self.to_worker.send(Ok(frame)).await;
    }

    pub(crate) async fn welcome(&mut self, session: &str, held: &[HeldVerdict]) {
        let welcome = Welcome {
            session: session.to_owned(),
            ping: Some(prost_types::Duration { seconds: 0, nanos: 50_000_000 }),
            ttl: Some(prost_types::Duration { seconds: 15, nanos: 0 }),
            held: held.iter().map(|verdict| i32::from(*verdict)).collect(),
            capabilities: vec![],
            server: "peer".to_owned(),
        };
        self.send(Down::Welcome(welcome)).await;
    }

    pub(crate) async fn assign(&mut self, items: Vec<Assignment>) {
        self.assign_seq += 1;
        let assign_seq = self.assign_seq;
        self.send(Down::Assign(Assign { assign_seq, items })).await;
    }

    pub(crate) async fn ack(&mut self, lease: &Lease, verdict: Verdict) {
        let item = ReportVerdict { lease: Some(lease.clone()), verdict: verdict.into() };
        self.send(Down::ReportAck(ReportAck { items: vec![item] })).await;
    }

    /// Cuts the stream with an error, as a dying server does.
    pub(crate) async fn cut(self) {
        let _ = self.to_worker.send(Err(Status::unavailable("cut by the test"))).await;
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

/// A worker that runs in the background until told to leave.
pub(crate) struct Running {
    leave: Option<oneshot::Sender<()>>,
    worker: JoinHandle<Result<(), sentinel_client::Error>>,
}

impl Running {
    pub(crate) fn start(builder: WorkerBuilder) -> Self {
        let worker = builder.build().unwrap();
        let (leave, asked) = oneshot::channel::<()>();
        let worker = tokio::spawn(worker.run(async {
            let _ = asked.await;
        }));
        Self { leave: Some(leave), worker }
    }

    pub(crate) fn shut_down(&mut self) {
        let _ = self.leave.take().unwrap().send(());
    }

    pub(crate) async fn ended(self) -> Result<(), sentinel_client::Error> {
        timeout(PATIENCE, self.worker).await.expect("the worker did not end").unwrap()
    }
}

impl Stream {
    /// How many pings came before the next report.
    pub(crate) async fn pings_until_report(&mut self) -> u32 {
        let mut pings = 0;
        loop {
            let frame = timeout(PATIENCE, self.from_worker.message()).await;
            match frame.expect("no frame came").unwrap().unwrap().frame {
                Some(Up::Ping(_)) => pings += 1,
                Some(Up::Report(_)) => return pings,
                _ => {}
            }
        }
    }
}

impl Stream {
    /// Ends the stream with a status.
    pub(crate) async fn refuse(self, code: tonic::Code, message: &str) {
        let _ = self.to_worker.send(Err(Status::new(code, message))).await;
    }
}

impl Stream {
    /// The report about a job; its cancel must have been acknowledged before or come right after.
    pub(crate) async fn report_until_acked(&mut self, job: &str) -> ReportItem {
        let (mut report, mut acked) = (None, false);
        loop {
            match self.next().await.expect("the stream ended") {
                Up::Report(mut found) => report = Some(found.items.remove(0)),
                Up::CancelAck(ack) => acked |= ack.leases.iter().any(|lease| lease.job_id == job),
                _ => {}
            }
            match report.take() {
                Some(report) if acked => return report,
                other => report = other,
            }
        }
    }
}
