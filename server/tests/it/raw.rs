//! Clients that say anything: the generated ones, without the checks of the SDK.

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

use crate::harness::World;

/// Above every limit of a server, so that the server is the one that refuses.
const MESSAGE_MAX_BYTES: usize = 64 << 20;

/// One connection with a raw client of each service.
#[derive(Clone)]
pub(crate) struct Raw {
    pub(crate) jobs: JobServiceClient<Channel>,
    pub(crate) ingest: IngestServiceClient<Channel>,
    pub(crate) queues: QueueServiceClient<Channel>,
    pub(crate) workers: WorkerServiceClient<Channel>,
    pub(crate) registry: WorkerRegistryServiceClient<Channel>,
}

impl Raw {
    pub(crate) async fn connect(world: &World) -> Self {
        Self::at(world.server.url()).await
    }

    pub(crate) async fn at(url: String) -> Self {
        let endpoint = Endpoint::from_shared(url).expect("an address");
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

    /// Enqueues one job; answers its id.
    pub(crate) async fn enqueue(&self, spec: JobSpec) -> Result<String, Status> {
        self.ask(EnqueueRequest { spec: Some(spec), ..EnqueueRequest::default() }).await
    }

    pub(crate) async fn ask(&self, request: EnqueueRequest) -> Result<String, Status> {
        let answer = self.jobs.clone().enqueue(request).await?.into_inner();
        Ok(answer.job.expect("an answer has its job").id)
    }
}

/// A job that every server takes.
pub(crate) fn spec(change: impl FnOnce(&mut JobSpec)) -> JobSpec {
    let mut spec = JobSpec { queue: "default".into(), kind: "raw".into(), ..JobSpec::default() };
    change(&mut spec);
    spec
}

/// The one field that a refusal names, and what is said about it.
#[track_caller]
pub(crate) fn violation<T: std::fmt::Debug>(answer: Result<T, Status>) -> (String, String) {
    let status = answer.expect_err("a refusal");
    assert_eq!(status.code(), Code::InvalidArgument, "{status:?}");
    let info = status.get_details_error_info().expect("every error has an ErrorInfo");
    assert_eq!((info.reason.as_str(), info.domain.as_str()), ("INVALID_FIELD", "sentinel"));
    let mut found = status.get_details_bad_request().expect("a BadRequest").field_violations;
    assert_eq!(found.len(), 1, "{found:?}");
    let found = found.remove(0);
    (found.field, found.description)
}

/// Refused for this field alone, with its range.
#[track_caller]
pub(crate) fn refuses<T: std::fmt::Debug>(answer: Result<T, Status>, field: &str, range: &str) {
    let (found, description) = violation(answer);
    assert_eq!(found, field, "{description}");
    assert!(description.contains(range), "{field}: {description:?} does not say {range:?}");
}

/// The code and the reason of an error.
#[track_caller]
pub(crate) fn reason<T: std::fmt::Debug>(answer: Result<T, Status>) -> (Code, String) {
    let status = answer.expect_err("a refusal");
    let info = status.get_details_error_info();
    let info = info.unwrap_or_else(|| panic!("no ErrorInfo: {status:?}"));
    (status.code(), info.reason)
}
