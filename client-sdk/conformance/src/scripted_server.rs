//! A scripted WorkerService: a scenario reads and writes the frames of each session stream.
//! Responses are sent as raw bytes, so that a scenario can send fields that no protocol version
//! defines.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::{BufMut, Bytes};
use prost::Message;
use sentinel_proto::workers::v1::session_request::Frame as RequestFrame;
use sentinel_proto::workers::v1::session_response::Frame as ResponseFrame;
use sentinel_proto::workers::v1::{
    Assign, Assignment, HeldVerdict, Hello, Lease, Pong, Report, ReportAck, ReportItem,
    ReportVerdict, SessionRequest, SessionResponse, Verdict, Welcome,
};
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_stream::wrappers::{ReceiverStream, TcpListenerStream};
use tonic::codec::{Codec, EncodeBuf, Encoder};
use tonic::codegen::{Body, Service, StdError, http};
use tonic::{Request, Response, Status, Streaming};
use tonic_prost::ProstDecoder;

/// The limit of each wait, long enough for a loaded machine.
pub(crate) const TIMEOUT: Duration = Duration::from_secs(30);
/// The message size limit of a server.
const MAX_MESSAGE_BYTES: usize = 20 * 1024 * 1024;
/// The ping interval that Welcome requests.
pub(crate) const PING_INTERVAL: Duration = Duration::from_millis(50);

type ResponseStream = ReceiverStream<Result<Bytes, Status>>;

#[derive(Default)]
struct RawCodec;

struct RawEncoder;

impl Codec for RawCodec {
    type Encode = Bytes;
    type Decode = SessionRequest;
    type Encoder = RawEncoder;
    type Decoder = ProstDecoder<SessionRequest>;

    fn encoder(&mut self) -> Self::Encoder {
        RawEncoder
    }

    fn decoder(&mut self) -> Self::Decoder {
        ProstDecoder::default()
    }
}

impl Encoder for RawEncoder {
    type Item = Bytes;
    type Error = Status;

    fn encode(&mut self, item: Bytes, into: &mut EncodeBuf<'_>) -> Result<(), Status> {
        into.put(item);
        Ok(())
    }
}

#[derive(Clone)]
struct Sessions {
    streams: mpsc::Sender<SessionStream>,
}

impl tonic::server::NamedService for Sessions {
    const NAME: &'static str = "sentinel.workers.v1.WorkerService";
}

impl tonic::server::StreamingService<SessionRequest> for Sessions {
    type Response = Bytes;
    type ResponseStream = ResponseStream;
    type Future = Pin<Box<dyn Future<Output = Result<Response<ResponseStream>, Status>> + Send>>;

    fn call(&mut self, request: Request<Streaming<SessionRequest>>) -> Self::Future {
        let streams = self.streams.clone();
        Box::pin(async move {
            let (to_worker, frames) = mpsc::channel(256);
            let authorization = request.metadata().get("authorization");
            let authorization = authorization.and_then(|value| value.to_str().ok());
            let stream = SessionStream {
                authorization: authorization.map(str::to_owned),
                from_worker: request.into_inner(),
                to_worker,
                answers_pings: true,
                pings: 0,
                assign_seq: 0,
            };
            let stopped = |_| Status::unavailable("the scenario is over");
            streams.send(stream).await.map_err(stopped)?;
            Ok(Response::new(ReceiverStream::new(frames)))
        })
    }
}

impl<B> Service<http::Request<B>> for Sessions
where
    B: Body + Send + 'static,
    B::Error: Into<StdError> + Send + 'static,
{
    type Response = http::Response<tonic::body::Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<B>) -> Self::Future {
        let method = self.clone();
        Box::pin(async move {
            let max_bytes = Some(MAX_MESSAGE_BYTES);
            let grpc = tonic::server::Grpc::new(RawCodec);
            let mut grpc = grpc.apply_max_message_size_config(max_bytes, max_bytes);
            Ok(grpc.streaming(method, request).await)
        })
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
        let task = tokio::spawn(async move {
            tonic::transport::Server::builder()
                .tcp_nodelay(true)
                .add_service(Sessions { streams: streams_tx })
                .serve_with_incoming(TcpListenerStream::new(listener))
                .await
                .unwrap();
        });
        Self { address, streams, task }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The next stream that the worker opens.
    pub(crate) async fn accept(&mut self) -> SessionStream {
        let stream = timeout(TIMEOUT, self.streams.recv()).await;
        stream.expect("the worker opened no stream").unwrap()
    }

    /// The next stream and its Hello.
    pub(crate) async fn accept_hello(&mut self) -> (SessionStream, Hello) {
        let mut stream = self.accept().await;
        let hello = stream.hello().await;
        (stream, hello)
    }

    /// The next stream, after Hello and Welcome with the session id `s1`.
    pub(crate) async fn accept_session(&mut self) -> (SessionStream, Hello) {
        let (stream, hello) = self.accept_hello().await;
        stream.welcome("s1", &[]).await;
        (stream, hello)
    }
}

/// The server side of a session stream.
pub(crate) struct SessionStream {
    /// The value of the authorization header.
    pub(crate) authorization: Option<String>,
    from_worker: Streaming<SessionRequest>,
    to_worker: mpsc::Sender<Result<Bytes, Status>>,
    pub(crate) answers_pings: bool,
    /// The number of pings received.
    pub(crate) pings: u32,
    pub(crate) assign_seq: u64,
}

impl SessionStream {
    /// The next frame except Ping; `None` when the stream has closed.
    pub(crate) async fn next(&mut self) -> Option<RequestFrame> {
        loop {
            let frame = timeout(TIMEOUT, self.from_worker.message()).await;
            match frame.expect("the worker sent no frame").ok()??.frame {
                Some(RequestFrame::Ping(ping)) => {
                    self.pings += 1;
                    if self.answers_pings {
                        self.send(ResponseFrame::Pong(Pong { nonce: ping.nonce, cancels: vec![] }))
                            .await;
                    }
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
            let frame = self.next().await.expect("the worker closed the stream");
            if let Some(picked) = pick(frame) {
                return picked;
            }
        }
    }

    pub(crate) async fn hello(&mut self) -> Hello {
        match self.next().await {
            Some(RequestFrame::Hello(hello)) => hello,
            other => panic!("expected Hello as the first frame, got {other:?}"),
        }
    }

    pub(crate) async fn report(&mut self) -> Report {
        self.next_matching(|frame| match frame {
            RequestFrame::Report(report) => Some(report),
            _ => None,
        })
        .await
    }

    /// The next report, which must be about a single attempt.
    pub(crate) async fn report_item(&mut self) -> ReportItem {
        let mut report = self.report().await;
        assert_eq!(report.items.len(), 1, "expected a single attempt: {report:?}");
        report.items.remove(0)
    }

    pub(crate) async fn received(&mut self) -> u64 {
        self.next_matching(|frame| match frame {
            RequestFrame::Received(received) => Some(received.assign_seq),
            _ => None,
        })
        .await
    }

    pub(crate) async fn send(&self, frame: ResponseFrame) {
        let frame = SessionResponse { frame: Some(frame) };
        self.send_bytes(frame.encode_to_vec()).await;
    }

    /// Sends a message with any content.
    pub(crate) async fn send_bytes(&self, message: Vec<u8>) {
        // When the worker has disconnected, the next read reports it.
        let _ = self.to_worker.send(Ok(message.into())).await;
    }

    pub(crate) async fn welcome(&self, session: &str, held: &[HeldVerdict]) {
        self.send(ResponseFrame::Welcome(welcome(session, held))).await;
    }

    pub(crate) async fn assign(&mut self, items: Vec<Assignment>) {
        self.assign_seq += 1;
        let assign_seq = self.assign_seq;
        self.send(ResponseFrame::Assign(Assign { assign_seq, items })).await;
    }

    pub(crate) async fn ack(&self, lease: &Lease, verdict: Verdict) {
        let item = ReportVerdict { lease: Some(lease.clone()), verdict: verdict.into() };
        self.send(ResponseFrame::ReportAck(ReportAck { items: vec![item] })).await;
    }

    /// Closes the stream with UNAVAILABLE, as a crashed server does.
    pub(crate) async fn disconnect(self) {
        self.close_with(tonic::Code::Unavailable, "disconnected by the scenario").await;
    }

    /// Closes the stream with a status.
    pub(crate) async fn close_with(self, code: tonic::Code, message: &str) {
        let _ = self.to_worker.send(Err(Status::new(code, message))).await;
    }
}

pub(crate) fn welcome(session: &str, held: &[HeldVerdict]) -> Welcome {
    Welcome {
        session: session.to_owned(),
        ping: Some(wire_duration(PING_INTERVAL)),
        ttl: Some(wire_duration(Duration::from_secs(15))),
        held: held.iter().map(|verdict| i32::from(*verdict)).collect(),
        capabilities: vec!["output".to_owned()],
        server: "scripted".to_owned(),
    }
}

pub(crate) fn wire_duration(duration: Duration) -> prost_types::Duration {
    prost_types::Duration::try_from(duration).unwrap()
}
