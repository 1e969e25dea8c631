//! The ceiling of every call: the same messages to a tonic server that only copies them
//! into its answers. It runs in a process of its own, as the real server does.

use anyhow::Result;
use sentinel_proto::jobs::v1 as wire;
use sentinel_proto::jobs::v1::job_service_server::{JobService, JobServiceServer};
use tonic::{Request, Response, Status};

/// As long as the id of a real answer.
const ID: &str = "01990000-0000-7000-8000-000000000000";

struct Echo;

type Answer<T> = Result<Response<T>, Status>;
type Nothing<T> = tokio_stream::Empty<Result<T, Status>>;

fn not_echoed<T>() -> Answer<T> {
    Err(Status::unimplemented("the echo answers Enqueue and EnqueueBatch"))
}

#[tonic::async_trait]
impl JobService for Echo {
    async fn enqueue(
        &self,
        request: Request<wire::EnqueueRequest>,
    ) -> Answer<wire::EnqueueResponse> {
        let job = wire::Job {
            id: ID.to_owned(),
            spec: request.into_inner().spec,
            ..wire::Job::default()
        };
        Ok(Response::new(wire::EnqueueResponse { job: Some(job), deduplicated: false }))
    }

    async fn enqueue_batch(
        &self,
        request: Request<wire::EnqueueBatchRequest>,
    ) -> Answer<wire::EnqueueBatchResponse> {
        let state = wire::JobState::Ready.into();
        let results = request.into_inner().specs.into_iter().map(|_| wire::EnqueueBatchResult {
            outcome: Some(wire::enqueue_batch_result::Outcome::Job(wire::EnqueuedJob {
                id: ID.to_owned(),
                state,
                deduplicated: false,
            })),
        });
        Ok(Response::new(wire::EnqueueBatchResponse { results: results.collect() }))
    }

    async fn get(&self, _: Request<wire::GetRequest>) -> Answer<wire::GetResponse> {
        not_echoed()
    }

    async fn list(&self, _: Request<wire::ListRequest>) -> Answer<wire::ListResponse> {
        not_echoed()
    }

    async fn counts(&self, _: Request<wire::CountsRequest>) -> Answer<wire::CountsResponse> {
        not_echoed()
    }

    async fn batch_get(&self, _: Request<wire::BatchGetRequest>) -> Answer<wire::BatchGetResponse> {
        not_echoed()
    }

    async fn list_attempts(
        &self,
        _: Request<wire::ListAttemptsRequest>,
    ) -> Answer<wire::ListAttemptsResponse> {
        not_echoed()
    }

    async fn run_now(&self, _: Request<wire::RunNowRequest>) -> Answer<wire::RunNowResponse> {
        not_echoed()
    }

    async fn update(&self, _: Request<wire::UpdateRequest>) -> Answer<wire::UpdateResponse> {
        not_echoed()
    }

    async fn delete(&self, _: Request<wire::DeleteRequest>) -> Answer<wire::DeleteResponse> {
        not_echoed()
    }

    async fn bulk(&self, _: Request<wire::BulkRequest>) -> Answer<wire::BulkResponse> {
        not_echoed()
    }

    type WatchStream = Nothing<wire::WatchResponse>;

    async fn watch(&self, _: Request<wire::WatchRequest>) -> Answer<Self::WatchStream> {
        not_echoed()
    }

    async fn cancel(&self, _: Request<wire::CancelRequest>) -> Answer<wire::CancelResponse> {
        not_echoed()
    }

    async fn retry(&self, _: Request<wire::RetryRequest>) -> Answer<wire::RetryResponse> {
        not_echoed()
    }

    type ReadLogsStream = Nothing<wire::ReadLogsResponse>;

    async fn read_logs(&self, _: Request<wire::ReadLogsRequest>) -> Answer<Self::ReadLogsStream> {
        not_echoed()
    }

    type ReadOutputStream = Nothing<wire::ReadOutputResponse>;

    async fn read_output(
        &self,
        _: Request<wire::ReadOutputRequest>,
    ) -> Answer<Self::ReadOutputStream> {
        not_echoed()
    }
}

/// Answers until the process is killed.
pub(crate) async fn serve(port: u16) -> Result<()> {
    let address = std::net::SocketAddr::from(([127, 0, 0, 1], port));
    let jobs = JobServiceServer::new(Echo).max_decoding_message_size(20 << 20);
    tonic::transport::Server::builder().tcp_nodelay(true).add_service(jobs).serve(address).await?;
    Ok(())
}
