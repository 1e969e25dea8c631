//! The connection to a server, and the one place that decides which calls may be repeated.

mod ingest;
mod jobs;
mod keys;
mod kinds;
mod queues;
mod workers;

use std::time::{Duration, Instant};

use tonic::Request;
use tonic::transport::Channel;

use crate::access::{AuthenticatedChannel, ConnectOptions};
use crate::endpoint::{self, MAX_MESSAGE_BYTES};
use crate::error::Error;
use crate::proto::admin::v1::audit_service_client::AuditServiceClient;
use crate::proto::admin::v1::key_service_client::KeyServiceClient;
use crate::proto::admin::v1::queue_service_client::QueueServiceClient;
use crate::proto::admin::v1::worker_registry_service_client::WorkerRegistryServiceClient;
use crate::proto::jobs::v1::ingest_service_client::IngestServiceClient;
use crate::proto::jobs::v1::job_service_client::JobServiceClient;
use crate::proto::jobs::v1::kind_service_client::KindServiceClient;
use crate::tries::{Budget, Tries};

pub use ingest::{IngestReport, IngestStream};
pub use jobs::{BatchOptions, CancelResult, EnqueueResult, LogStream, OutputStream};

const DEFAULT_TIMEOUT: Duration = Duration::from_secs(30);
const DEFAULT_DEADLINE: Duration = Duration::from_secs(60);

/// A client of one server or balancer. Cheap to clone; clones share the connection, which is
/// opened again by itself when it breaks.
///
/// Calls that got no answer, or UNAVAILABLE, are repeated, at most 4 tries in all, with pauses that
/// grow and are drawn at random: reads always; enqueue and retry under a request id (made here when
/// the caller gave none), so that a repeat changes nothing twice; cancel, because it is
/// idempotent. When many tries fail, calls get one try until enough of them are answered again; all
/// clones count together.
#[derive(Clone, Debug)]
pub struct Client {
    channel: AuthenticatedChannel,
    actor: String,
    timeout: Duration,
    deadline: Duration,
    budget: Budget,
}

impl Client {
    /// Connects now. `endpoint` is `http://host:port`, `https://host:port` or `host:port`.
    pub async fn connect(endpoint: impl AsRef<str>) -> Result<Self, Error> {
        Self::connect_with(endpoint, &ConnectOptions::default()).await
    }

    /// The same with a key, or with a certificate to trust.
    pub async fn connect_with(
        endpoint: impl AsRef<str>,
        access: &ConnectOptions,
    ) -> Result<Self, Error> {
        Ok(Self::over(access.connect(endpoint).await?))
    }

    /// Connects with the first call. Needs a tokio runtime.
    pub fn connect_lazy(endpoint: impl AsRef<str>) -> Result<Self, Error> {
        Self::connect_lazy_with(endpoint, &ConnectOptions::default())
    }

    /// The same with a key, or with a certificate to trust.
    pub fn connect_lazy_with(
        endpoint: impl AsRef<str>,
        access: &ConnectOptions,
    ) -> Result<Self, Error> {
        let channel = endpoint::parse(endpoint.as_ref(), access)?.connect_lazy();
        Ok(Self::over(access.over(channel)))
    }

    /// Over a connection made by the caller.
    pub fn from_channel(channel: Channel) -> Self {
        Self::over(ConnectOptions::default().over(channel))
    }

    fn over(channel: AuthenticatedChannel) -> Self {
        Self {
            channel,
            actor: String::new(),
            timeout: DEFAULT_TIMEOUT,
            deadline: DEFAULT_DEADLINE,
            budget: Budget::default(),
        }
    }

    /// Who asks, for the audit trail, where a call says nothing else. At most 256 bytes.
    pub fn with_actor(mut self, actor: impl Into<String>) -> Self {
        self.actor = actor.into();
        self
    }

    /// The longest that one try of a unary call may take. Default 30 s.
    pub fn with_timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// The longest that a unary call may take with all its tries. Default 60 s.
    pub fn with_deadline(mut self, deadline: Duration) -> Self {
        self.deadline = deadline;
        self
    }

    /// The raw client of JobService, without retries.
    pub fn raw_jobs(&self) -> JobServiceClient<AuthenticatedChannel> {
        JobServiceClient::new(self.channel.clone())
            .max_decoding_message_size(MAX_MESSAGE_BYTES)
            .max_encoding_message_size(MAX_MESSAGE_BYTES)
    }

    /// The raw client of IngestService, without retries.
    pub fn raw_ingest(&self) -> IngestServiceClient<AuthenticatedChannel> {
        IngestServiceClient::new(self.channel.clone())
            .max_decoding_message_size(MAX_MESSAGE_BYTES)
            .max_encoding_message_size(MAX_MESSAGE_BYTES)
    }

    /// The raw client of QueueService, without retries.
    pub fn raw_queues(&self) -> QueueServiceClient<AuthenticatedChannel> {
        QueueServiceClient::new(self.channel.clone())
            .max_decoding_message_size(MAX_MESSAGE_BYTES)
            .max_encoding_message_size(MAX_MESSAGE_BYTES)
    }

    /// The raw client of KindService, without retries.
    pub fn raw_kinds(&self) -> KindServiceClient<AuthenticatedChannel> {
        KindServiceClient::new(self.channel.clone())
            .max_decoding_message_size(MAX_MESSAGE_BYTES)
            .max_encoding_message_size(MAX_MESSAGE_BYTES)
    }

    /// The raw client of WorkerRegistryService, without retries.
    pub fn raw_workers(&self) -> WorkerRegistryServiceClient<AuthenticatedChannel> {
        WorkerRegistryServiceClient::new(self.channel.clone())
            .max_decoding_message_size(MAX_MESSAGE_BYTES)
            .max_encoding_message_size(MAX_MESSAGE_BYTES)
    }

    /// The raw client of KeyService, without retries.
    pub fn raw_keys(&self) -> KeyServiceClient<AuthenticatedChannel> {
        KeyServiceClient::new(self.channel.clone())
    }

    /// The raw client of AuditService, without retries.
    pub fn raw_audit(&self) -> AuditServiceClient<AuthenticatedChannel> {
        AuditServiceClient::new(self.channel.clone())
    }

    /// Calls until there is an answer or the tries are used up. Only for calls that may be
    /// repeated.
    async fn repeat<M, R, F, A>(&self, message: M, mut call: F) -> Result<R, Error>
    where
        M: Clone,
        F: FnMut(Request<M>) -> A,
        A: Future<Output = Result<tonic::Response<R>, tonic::Status>> + Send,
    {
        let mut tries = Tries::new(&self.budget, Instant::now(), self.deadline);
        loop {
            let mut request = Request::new(message.clone());
            request.set_timeout(self.timeout.min(tries.left(Instant::now())));
            let error = match call(request).await {
                Ok(response) => {
                    tries.answered();
                    return Ok(response.into_inner());
                }
                Err(status) => Error::from(status),
            };
            let Some(pause) = tries.failed(&error, Instant::now(), rand::random()) else {
                return Err(error);
            };
            tracing::debug!(%error, ?pause, "call gets another try");
            tokio::time::sleep(pause).await;
        }
    }

    fn actor_or(&self, actor: String) -> String {
        if actor.is_empty() { self.actor.clone() } else { actor }
    }
}

/// A request id for calls whose caller gave none: it covers the tries of this one call.
fn request_id_or_new(request_id: String) -> String {
    if request_id.is_empty() { uuid::Uuid::new_v4().to_string() } else { request_id }
}
