//! The generated gRPC clients, which can send requests that the SDK would not build.

pub(crate) mod ingest;
pub(crate) mod session;

use sentinel_proto::admin::v1::queue_service_client::QueueServiceClient;
use sentinel_proto::admin::v1::worker_registry_service_client::WorkerRegistryServiceClient;
use sentinel_proto::jobs::v1::ingest_service_client::IngestServiceClient;
use sentinel_proto::jobs::v1::job_service_client::JobServiceClient;
use sentinel_proto::jobs::v1::{EnqueueRequest, JobSpec};
use sentinel_proto::workers::v1::worker_service_client::WorkerServiceClient;
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Status};
use tonic_types::StatusExt;

use crate::harness::TestServer;

/// Above every limit of the server, so that the server refuses, not the client.
const MESSAGE_MAX_BYTES: usize = 64 << 20;

/// One connection with a client of each service.
#[derive(Clone)]
pub(crate) struct RawClients {
    pub(crate) jobs: JobServiceClient<Channel>,
    pub(crate) ingest: IngestServiceClient<Channel>,
    pub(crate) queues: QueueServiceClient<Channel>,
    pub(crate) workers: WorkerServiceClient<Channel>,
    pub(crate) registry: WorkerRegistryServiceClient<Channel>,
}

impl RawClients {
    pub(crate) async fn connect(server: &TestServer) -> Self {
        Self::at(server.url()).await
    }

    pub(crate) async fn at(url: String) -> Self {
        let endpoint = Endpoint::from_shared(url).expect("a valid address");
        let channel = endpoint.connect().await.expect("connect");
        let max = MESSAGE_MAX_BYTES;
        Self {
            jobs: JobServiceClient::new(channel.clone())
                .max_decoding_message_size(max)
                .max_encoding_message_size(max),
            ingest: IngestServiceClient::new(channel.clone()).max_encoding_message_size(max),
            queues: QueueServiceClient::new(channel.clone()).max_encoding_message_size(max),
            workers: WorkerServiceClient::new(channel.clone())
                .max_decoding_message_size(max)
                .max_encoding_message_size(max),
            registry: WorkerRegistryServiceClient::new(channel),
        }
    }

    /// Enqueues one job and returns its id.
    pub(crate) async fn enqueue(&self, spec: JobSpec) -> Result<String, Status> {
        self.enqueue_request(EnqueueRequest { spec: Some(spec), ..EnqueueRequest::default() }).await
    }

    pub(crate) async fn enqueue_request(&self, request: EnqueueRequest) -> Result<String, Status> {
        let response = self.jobs.clone().enqueue(request).await?.into_inner();
        Ok(response.job.expect("a job").id)
    }
}

/// Returns a valid job spec, after `change`.
pub(crate) fn spec(change: impl FnOnce(&mut JobSpec)) -> JobSpec {
    let mut spec = JobSpec { queue: "default".into(), kind: "raw".into(), ..JobSpec::default() };
    change(&mut spec);
    spec
}

/// Returns the only field violation of an INVALID_FIELD error: field and description.
#[track_caller]
pub(crate) fn violation<T: std::fmt::Debug>(result: Result<T, Status>) -> (String, String) {
    let status = result.expect_err("an error");
    assert_eq!(status.code(), Code::InvalidArgument, "{status:?}");
    let info = status.get_details_error_info().expect("every error has an ErrorInfo");
    assert_eq!((info.reason.as_str(), info.domain.as_str()), ("INVALID_FIELD", "sentinel"));
    let mut found = status.get_details_bad_request().expect("a BadRequest").field_violations;
    assert_eq!(found.len(), 1, "{found:?}");
    let found = found.remove(0);
    (found.field, found.description)
}

/// Asserts that a request fails for this field alone and that the description names the range.
#[track_caller]
pub(crate) fn assert_invalid_field<T: std::fmt::Debug>(
    result: Result<T, Status>,
    field: &str,
    range: &str,
) {
    let (found, description) = violation(result);
    assert_eq!(found, field, "{description}");
    assert!(description.contains(range), "{field}: {description:?} does not contain {range:?}");
}

/// Returns the code and the reason of an error.
#[track_caller]
pub(crate) fn error_reason<T: std::fmt::Debug>(result: Result<T, Status>) -> (Code, String) {
    let status = result.expect_err("an error");
    let info = status.get_details_error_info();
    let info = info.unwrap_or_else(|| panic!("no ErrorInfo: {status:?}"));
    (status.code(), info.reason)
}
