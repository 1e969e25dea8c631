//! A scripted JobService for clients. What it answers depends on the kind of a job that is enqueued;
//! jobs that are read have succeeded with the result `text`. It runs on its own runtime, so that it
//! can be killed with all of its connections.

use std::collections::{BTreeSet, HashMap};
use std::convert::Infallible;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use sentinel_proto::jobs::v1::{
    EnqueueRequest, EnqueueResponse, GetRequest, GetResponse, Job, JobState, WatchRequest,
    WatchResponse, WatchSnapshot, watch_request, watch_response,
};
use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use tokio_stream::wrappers::{ReceiverStream, TcpListenerStream};
use tokio_util::sync::CancellationToken;
use tonic::codegen::{Body, Service, StdError, http};
use tonic::server::{Grpc, ServerStreamingService, UnaryService};
use tonic::transport::{Identity, Server, ServerTlsConfig};
use tonic::{Code, Request, Response, Status};
use tonic_prost::ProstCodec;
use tonic_types::{ErrorDetails, StatusExt};
use uuid::Uuid;

/// The delay that the kind `exhausted` asks for.
pub(crate) const RETRY_DELAY: Duration = Duration::from_millis(700);

type Answer<T> = Pin<Box<dyn Future<Output = Result<Response<T>, Status>> + Send>>;

/// What the server has received.
#[derive(Default)]
pub(crate) struct Received {
    /// The request ids of the enqueues, and how often each was sent.
    pub(crate) request_ids: HashMap<String, u32>,
    pub(crate) authorizations: BTreeSet<String>,
}

#[derive(Clone, Default)]
struct JobService {
    received: Arc<Mutex<Received>>,
}

impl tonic::server::NamedService for JobService {
    const NAME: &'static str = "sentinel.jobs.v1.JobService";
}

impl JobService {
    /// Counts an enqueue; returns how often its request id was sent.
    fn count(&self, request: &Request<EnqueueRequest>) -> u32 {
        let mut received = self.received.lock().unwrap_or_else(PoisonError::into_inner);
        let authorization = request.metadata().get("authorization");
        if let Some(text) = authorization.and_then(|value| value.to_str().ok()) {
            received.authorizations.insert(text.to_owned());
        }
        let sent = received.request_ids.entry(request.get_ref().request_id.clone()).or_default();
        *sent += 1;
        *sent
    }
}

fn error_with(code: Code, reason: &str, fill: impl FnOnce(&mut ErrorDetails)) -> Status {
    let mut details = ErrorDetails::new();
    details.set_error_info(reason, "sentinel", HashMap::new());
    fill(&mut details);
    Status::with_error_details(code, "the scripted error", details)
}

async fn enqueue(kind: &str, sent: u32) -> Result<(), Status> {
    match kind {
        "slow" => std::future::pending().await,
        "brief" => tokio::time::sleep(Duration::from_millis(300)).await,
        "deadline" => return Err(Status::deadline_exceeded("the deadline passed")),
        "unavailable" if sent < 6 => return Err(Status::unavailable("unavailable")),
        "exhausted" if sent < 2 => {
            return Err(error_with(Code::ResourceExhausted, "OVERLOADED", |details| {
                details.set_retry_info(Some(RETRY_DELAY));
            }));
        }
        "invalid" => {
            return Err(error_with(Code::InvalidArgument, "INVALID_FIELD", |details| {
                details.add_bad_request_violation("spec.queue", "1..128 characters");
                details.add_bad_request_violation("spec.priority", "0..9");
            }));
        }
        _ => {}
    }
    Ok(())
}

impl UnaryService<EnqueueRequest> for JobService {
    type Response = EnqueueResponse;
    type Future = Answer<EnqueueResponse>;

    fn call(&mut self, request: Request<EnqueueRequest>) -> Self::Future {
        let sent = self.count(&request);
        Box::pin(async move {
            let spec = request.into_inner().spec.unwrap_or_default();
            enqueue(&spec.kind, sent).await?;
            let job = Job { id: Uuid::new_v4().to_string(), ..Job::default() };
            Ok(Response::new(EnqueueResponse { job: Some(job), deduplicated: false }))
        })
    }
}

/// The job with this id, as a server returns it. The nil id is unknown.
fn job(id: &str) -> Result<Option<Job>, Status> {
    let invalid = |_| {
        error_with(Code::InvalidArgument, "INVALID_FIELD", |details| {
            details.add_bad_request_violation("id", "a UUID");
        })
    };
    let id = Uuid::try_parse(id).map_err(invalid)?;
    let found = (!id.is_nil()).then(|| Job {
        id: id.to_string(),
        state: JobState::Succeeded.into(),
        version: 3,
        result: "text".into(),
        ..Job::default()
    });
    Ok(found)
}

impl UnaryService<GetRequest> for JobService {
    type Response = GetResponse;
    type Future = Answer<GetResponse>;

    fn call(&mut self, request: Request<GetRequest>) -> Self::Future {
        Box::pin(async move {
            let found = job(&request.into_inner().id)?;
            let missing = || error_with(Code::NotFound, "JOB_NOT_FOUND", |_| {});
            Ok(Response::new(GetResponse { job: Some(found.ok_or_else(missing)?) }))
        })
    }
}

impl ServerStreamingService<WatchRequest> for JobService {
    type Response = WatchResponse;
    type ResponseStream = ReceiverStream<Result<WatchResponse, Status>>;
    type Future = Answer<Self::ResponseStream>;

    fn call(&mut self, request: Request<WatchRequest>) -> Self::Future {
        Box::pin(async move {
            let mut snapshot = WatchSnapshot::default();
            if let Some(watch_request::Selector::Jobs(jobs)) = request.into_inner().selector {
                for id in jobs.ids {
                    match job(&id)? {
                        Some(job) => snapshot.jobs.push(job),
                        None => snapshot.unknown_ids.push(id),
                    }
                }
            }
            let event = Some(watch_response::Event::Snapshot(snapshot));
            let (frames_tx, frames) = tokio::sync::mpsc::channel(1);
            let frame = WatchResponse { cursor: "1".to_owned(), event };
            let _ = frames_tx.try_send(Ok(frame));
            Ok(Response::new(ReceiverStream::new(frames)))
        })
    }
}

impl<B> Service<http::Request<B>> for JobService
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
        let service = self.clone();
        Box::pin(async move {
            Ok(match request.uri().path().rsplit('/').next() {
                Some("Enqueue") => {
                    let codec = ProstCodec::<EnqueueResponse, EnqueueRequest>::default();
                    Grpc::new(codec).unary(service, request).await
                }
                Some("Get") => {
                    let codec = ProstCodec::<GetResponse, GetRequest>::default();
                    Grpc::new(codec).unary(service, request).await
                }
                Some("Watch") => {
                    let codec = ProstCodec::<WatchResponse, WatchRequest>::default();
                    Grpc::new(codec).server_streaming(service, request).await
                }
                _ => Status::unimplemented("not scripted").into_http(),
            })
        })
    }
}

/// A running server. Dropping it kills it with all of its connections.
pub(crate) struct JobServer {
    pub(crate) address: SocketAddr,
    service: JobService,
    shutdown: CancellationToken,
    runtime: Option<Runtime>,
}

impl Drop for JobServer {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

impl JobServer {
    pub(crate) fn start() -> Self {
        Self::start_at("127.0.0.1:0".parse().unwrap(), None).unwrap()
    }

    /// Starts at an address, with TLS if a certificate and its key are given.
    pub(crate) fn start_at(
        address: SocketAddr,
        identity: Option<Identity>,
    ) -> std::io::Result<Self> {
        // Bound before the runtime exists, which must not be dropped in an async function.
        let listener = std::net::TcpListener::bind(address)?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        let mut runtime = tokio::runtime::Builder::new_multi_thread();
        let runtime = runtime.worker_threads(1).enable_all().build()?;
        let (service, shutdown) = (JobService::default(), CancellationToken::new());
        let mut server = Server::builder().tcp_nodelay(true);
        if let Some(identity) = identity {
            server = server.tls_config(ServerTlsConfig::new().identity(identity)).unwrap();
        }
        let (jobs, stopped) = (service.clone(), shutdown.clone());
        runtime.spawn(async move {
            let server = server.add_service(jobs);
            let incoming = TcpListenerStream::new(TcpListener::from_std(listener).unwrap());
            server.serve_with_incoming_shutdown(incoming, stopped.cancelled_owned()).await
        });
        Ok(Self { address, service, shutdown, runtime: Some(runtime) })
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Sends GOAWAY on all connections and accepts no more. Calls in flight are answered.
    pub(crate) fn go_away(&self) {
        self.shutdown.cancel();
    }

    /// What the server has received so far.
    pub(crate) fn received<T>(&self, read: impl FnOnce(&Received) -> T) -> T {
        read(&self.service.received.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
