//! A scripted JobService: each call is handed to the test, which responds to it.

use std::net::SocketAddr;

use sentinel_client::Client;
use sentinel_client::proto::jobs::v1::job_service_server::{JobService, JobServiceServer};
use sentinel_client::proto::jobs::v1::*;
use tokio::net::TcpListener;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_stream::wrappers::{ReceiverStream, TcpListenerStream};
use tonic::metadata::MetadataMap;
use tonic::{Request, Response, Status};

use crate::scripted_server::TIMEOUT;

/// A call that waits for the response of the test.
pub(crate) enum Call {
    Enqueue(MetadataMap, Box<EnqueueRequest>, oneshot::Sender<Result<EnqueueResponse, Status>>),
    Get(GetRequest, oneshot::Sender<Result<GetResponse, Status>>),
    List(ListRequest, oneshot::Sender<Result<ListResponse, Status>>),
    Watch(WatchRequest, mpsc::Sender<Result<WatchResponse, Status>>),
}

struct Service {
    calls: mpsc::Sender<Call>,
}

impl Service {
    async fn forward<T>(
        &self,
        call: impl FnOnce(oneshot::Sender<Result<T, Status>>) -> Call,
    ) -> Result<Response<T>, Status> {
        let (response_tx, response) = oneshot::channel();
        let stopped = || Status::unavailable("the test is over");
        self.calls.send(call(response_tx)).await.map_err(|_| stopped())?;
        response.await.map_err(|_| stopped())?.map(Response::new)
    }
}

fn not_scripted<T>() -> Result<Response<T>, Status> {
    Err(Status::unimplemented("not scripted"))
}

#[tonic::async_trait]
impl JobService for Service {
    type WatchStream = ReceiverStream<Result<WatchResponse, Status>>;
    type ReadLogsStream = ReceiverStream<Result<ReadLogsResponse, Status>>;
    type ReadOutputStream = ReceiverStream<Result<ReadOutputResponse, Status>>;

    async fn enqueue(
        &self,
        request: Request<EnqueueRequest>,
    ) -> Result<Response<EnqueueResponse>, Status> {
        let (metadata, _, request) = request.into_parts();
        self.forward(|response| Call::Enqueue(metadata, Box::new(request), response)).await
    }

    async fn get(&self, request: Request<GetRequest>) -> Result<Response<GetResponse>, Status> {
        self.forward(|response| Call::Get(request.into_inner(), response)).await
    }

    async fn list(&self, request: Request<ListRequest>) -> Result<Response<ListResponse>, Status> {
        self.forward(|response| Call::List(request.into_inner(), response)).await
    }

    async fn watch(
        &self,
        request: Request<WatchRequest>,
    ) -> Result<Response<Self::WatchStream>, Status> {
        let (frames_tx, frames) = mpsc::channel(16);
        let call = Call::Watch(request.into_inner(), frames_tx);
        self.calls.send(call).await.map_err(|_| Status::unavailable("the test is over"))?;
        Ok(Response::new(ReceiverStream::new(frames)))
    }

    async fn enqueue_batch(
        &self,
        _: Request<EnqueueBatchRequest>,
    ) -> Result<Response<EnqueueBatchResponse>, Status> {
        not_scripted()
    }

    async fn batch_get(
        &self,
        _: Request<BatchGetRequest>,
    ) -> Result<Response<BatchGetResponse>, Status> {
        not_scripted()
    }

    async fn list_attempts(
        &self,
        _: Request<ListAttemptsRequest>,
    ) -> Result<Response<ListAttemptsResponse>, Status> {
        not_scripted()
    }

    async fn counts(&self, _: Request<CountsRequest>) -> Result<Response<CountsResponse>, Status> {
        not_scripted()
    }

    async fn cancel(&self, _: Request<CancelRequest>) -> Result<Response<CancelResponse>, Status> {
        not_scripted()
    }

    async fn retry(&self, _: Request<RetryRequest>) -> Result<Response<RetryResponse>, Status> {
        not_scripted()
    }

    async fn update(&self, _: Request<UpdateRequest>) -> Result<Response<UpdateResponse>, Status> {
        not_scripted()
    }

    async fn run_now(&self, _: Request<RunNowRequest>) -> Result<Response<RunNowResponse>, Status> {
        not_scripted()
    }

    async fn bulk(&self, _: Request<BulkRequest>) -> Result<Response<BulkResponse>, Status> {
        not_scripted()
    }

    async fn delete(&self, _: Request<DeleteRequest>) -> Result<Response<DeleteResponse>, Status> {
        not_scripted()
    }

    async fn read_logs(
        &self,
        _: Request<ReadLogsRequest>,
    ) -> Result<Response<Self::ReadLogsStream>, Status> {
        not_scripted()
    }

    async fn read_output(
        &self,
        _: Request<ReadOutputRequest>,
    ) -> Result<Response<Self::ReadOutputStream>, Status> {
        not_scripted()
    }
}

/// A running server and a client of it.
pub(crate) struct ScriptedJobService {
    pub(crate) client: Client,
    calls: mpsc::Receiver<Call>,
    task: JoinHandle<()>,
}

impl Drop for ScriptedJobService {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl ScriptedJobService {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address: SocketAddr = listener.local_addr().unwrap();
        let (calls_tx, calls) = mpsc::channel(16);
        let task = tokio::spawn(async move {
            tonic::transport::Server::builder()
                .add_service(JobServiceServer::new(Service { calls: calls_tx }))
                .serve_with_incoming(TcpListenerStream::new(listener))
                .await
                .unwrap();
        });
        let client = Client::connect(address.to_string()).await.unwrap();
        Self { client, calls, task }
    }

    pub(crate) async fn next_call(&mut self) -> Call {
        timeout(TIMEOUT, self.calls.recv()).await.expect("no call was received").unwrap()
    }

    pub(crate) async fn next_watch(
        &mut self,
    ) -> (WatchRequest, mpsc::Sender<Result<WatchResponse, Status>>) {
        match self.next_call().await {
            Call::Watch(request, frames) => (request, frames),
            _ => panic!("expected Watch"),
        }
    }
}

pub(crate) fn job(id: &str, state: JobState) -> Job {
    Job { id: id.to_owned(), state: state.into(), ..Job::default() }
}
