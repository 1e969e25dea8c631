//! A WorkerService in the hands of a scenario, which reads and writes its frames. What it sends is
//! bytes, so that it can say what no version of the contract knows yet.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::{BufMut, Bytes};
use prost::Message;
use sentinel_proto::workers::v1::session_request::Frame as Up;
use sentinel_proto::workers::v1::session_response::Frame as Down;
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

/// No expectation takes longer on a loaded machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);
/// Frames and messages of this size pass, as with a server.
const MAX_MESSAGE_BYTES: usize = 20 * 1024 * 1024;
/// How often the peer asks for pings.
pub(crate) const PING: Duration = Duration::from_millis(50);

type Answer = ReceiverStream<Result<Bytes, Status>>;

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
    streams: mpsc::Sender<Stream>,
}

impl tonic::server::NamedService for Sessions {
    const NAME: &'static str = "sentinel.workers.v1.WorkerService";
}

impl tonic::server::StreamingService<SessionRequest> for Sessions {
    type Response = Bytes;
    type ResponseStream = Answer;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Answer>, Status>> + Send>>;

    fn call(&mut self, request: Request<Streaming<SessionRequest>>) -> Self::Future {
        let streams = self.streams.clone();
        Box::pin(async move {
            let (to_worker, frames) = mpsc::channel(256);
            let authorization = request.metadata().get("authorization");
            let authorization = authorization.and_then(|value| value.to_str().ok());
            let stream = Stream {
                authorization: authorization.map(str::to_owned),
                from_worker: request.into_inner(),
                to_worker,
                answers_pings: true,
                pings: 0,
                assign_seq: 0,
            };
            let over = || Status::unavailable("the scenario is over");
            streams.send(stream).await.map_err(|_| over())?;
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
            let most = Some(MAX_MESSAGE_BYTES);
            let grpc = tonic::server::Grpc::new(RawCodec);
            let mut grpc = grpc.apply_max_message_size_config(most, most);
            Ok(grpc.streaming(method, request).await)
        })
    }
}

/// A listening peer.
pub(crate) struct Peer {
    address: SocketAddr,
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
        let server = tokio::spawn(async move {
            tonic::transport::Server::builder()
                .tcp_nodelay(true)
                .add_service(Sessions { streams: streams_tx })
                .serve_with_incoming(TcpListenerStream::new(listener))
                .await
                .unwrap();
        });
        Self { address, streams, server }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The next stream that the worker opens.
    pub(crate) async fn accept(&mut self) -> Stream {
        let stream = timeout(PATIENCE, self.streams.recv()).await;
        stream.expect("the worker opened no stream").unwrap()
    }

    /// The next stream and its Hello.
    pub(crate) async fn hello(&mut self) -> (Stream, Hello) {
        let mut stream = self.accept().await;
        let hello = stream.hello().await;
        (stream, hello)
    }

    /// The next stream, greeted as the session `s1`.
    pub(crate) async fn greet(&mut self) -> (Stream, Hello) {
        let (stream, hello) = self.hello().await;
        stream.welcome("s1", &[]).await;
        (stream, hello)
    }
}

/// One stream, in the hands of a scenario.
pub(crate) struct Stream {
    /// The header of that name.
    pub(crate) authorization: Option<String>,
    from_worker: Streaming<SessionRequest>,
    to_worker: mpsc::Sender<Result<Bytes, Status>>,
    pub(crate) answers_pings: bool,
    /// How many came so far.
    pub(crate) pings: u32,
    pub(crate) assign_seq: u64,
}

impl Stream {
    /// The next frame that is not a Ping; `None` at the end of the stream.
    pub(crate) async fn next(&mut self) -> Option<Up> {
        loop {
            let frame = timeout(PATIENCE, self.from_worker.message()).await;
            match frame.expect("the worker sent nothing").ok()??.frame {
                Some(Up::Ping(ping)) => {
                    self.pings += 1;
                    if self.answers_pings {
                        self.send(Down::Pong(Pong { nonce: ping.nonce, cancels: vec![] })).await;
                    }
                }
                frame => return frame,
            }
        }
    }

    /// The next frame that `pick` takes; others in between are skipped.
    pub(crate) async fn until<T>(&mut self, mut pick: impl FnMut(Up) -> Option<T>) -> T {
        loop {
            let frame = self.next().await.expect("the worker ended the stream");
            if let Some(picked) = pick(frame) {
                return picked;
            }
        }
    }

    pub(crate) async fn hello(&mut self) -> Hello {
        match self.next().await {
            Some(Up::Hello(hello)) => hello,
            other => panic!("the first frame is Hello; this came: {other:?}"),
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
        assert_eq!(report.items.len(), 1, "one attempt has ended: {report:?}");
        report.items.remove(0)
    }

    pub(crate) async fn received(&mut self) -> u64 {
        self.until(|frame| match frame {
            Up::Received(received) => Some(received.assign_seq),
            _ => None,
        })
        .await
    }

    pub(crate) async fn send(&self, frame: Down) {
        let frame = SessionResponse { frame: Some(frame) };
        self.send_bytes(frame.encode_to_vec()).await;
    }

    /// A message of any content.
    pub(crate) async fn send_bytes(&self, message: Vec<u8>) {
        // A worker that has gone is seen by the scenario in what it reads.
        let _ = self.to_worker.send(Ok(message.into())).await;
    }

    pub(crate) async fn welcome(&self, session: &str, held: &[HeldVerdict]) {
        self.send(Down::Welcome(welcome(session, held))).await;
    }

    pub(crate) async fn assign(&mut self, items: Vec<Assignment>) {
        self.assign_seq += 1;
        let assign_seq = self.assign_seq;
        self.send(Down::Assign(Assign { assign_seq, items })).await;
    }

    pub(crate) async fn ack(&self, lease: &Lease, verdict: Verdict) {
        let item = ReportVerdict { lease: Some(lease.clone()), verdict: verdict.into() };
        self.send(Down::ReportAck(ReportAck { items: vec![item] })).await;
    }

    /// Cuts the stream with an error, as a dying server does.
    pub(crate) async fn cut(self) {
        self.refuse(tonic::Code::Unavailable, "cut by the scenario").await;
    }

    /// Ends the stream with a status.
    pub(crate) async fn refuse(self, code: tonic::Code, message: &str) {
        let _ = self.to_worker.send(Err(Status::new(code, message))).await;
    }
}

pub(crate) fn welcome(session: &str, held: &[HeldVerdict]) -> Welcome {
    Welcome {
        session: session.to_owned(),
        ping: Some(wire(PING)),
        ttl: Some(wire(Duration::from_secs(15))),
        held: held.iter().map(|verdict| i32::from(*verdict)).collect(),
        capabilities: vec!["output".to_owned()],
        server: "peer".to_owned(),
    }
}

pub(crate) fn wire(span: Duration) -> prost_types::Duration {
    prost_types::Duration::try_from(span).unwrap()
}
