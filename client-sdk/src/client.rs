//! The client of a server. This module decides which calls are retried.

mod ingest;
mod jobs;
mod keys;
mod kinds;
mod queues;
mod servers;
mod workers;

use std::time::{Duration, Instant};

use tonic::Request;
use tonic::transport::Channel;

use crate::connect_options::{AuthenticatedChannel, ConnectOptions};
use crate::endpoint::MAX_MESSAGE_BYTES;
use crate::error::Error;
use crate::proto::admin::v1::audit_service_client::AuditServiceClient;
use crate::proto::admin::v1::key_service_client::KeyServiceClient;
use crate::proto::admin::v1::queue_service_client::QueueServiceClient;
use crate::proto::admin::v1::worker_registry_service_client::WorkerRegistryServiceClient;
use crate::proto::jobs::v1::ingest_service_client::IngestServiceClient;
use crate::proto::jobs::v1::job_service_client::JobServiceClient;
use crate::proto::jobs::v1::kind_service_client::KindServiceClient;
use crate::retry::{CallRetry, RetryBudget};
use servers::Servers;

pub use ingest::{IngestReport, IngestStream};
pub use jobs::{BatchOptions, CancelResult, EnqueueResult, LogStream, OutputStream};

const DEFAULT_TIMEOUT: Duration = Duration::from_secs(30);
const DEFAULT_DEADLINE: Duration = Duration::from_secs(60);

/// A client of one server, of several, or of a load balancer. Cheap to clone; clones share one
/// connection, which reconnects automatically.
///
/// Calls without a response, with UNAVAILABLE, or with RESOURCE_EXHAUSTED and a delay are repeated
/// with exponential backoff (0.1..2 s) and jitter until their deadline, and after the delay that the
/// server asked for. This is safe: reads and cancels are idempotent, enqueue and retry send an
/// idempotency key (`request_id`, generated when the caller gave none). All clones together make at
/// most 200 repetitions per second after a burst of 200, so that many calls that fail at once wait
/// rather than overload the server.
#[derive(Clone, Debug)]
pub struct Client {
    servers: Servers,
    actor: String,
    timeout: Duration,
    deadline: Duration,
    budget: RetryBudget,
}

impl Client {
    /// Connects now. `endpoint` is `http://host:port`, `https://host:port` or `host:port`.
    pub async fn connect(endpoint: impl AsRef<str>) -> Result<Self, Error> {
        Self::connect_with(endpoint, &ConnectOptions::default()).await
    }

    /// As [`Client::connect`], with an API key or TLS settings.
    pub async fn connect_with(
        endpoint: impl AsRef<str>,
        options: &ConnectOptions,
    ) -> Result<Self, Error> {
        Ok(Self::new(options.connect(endpoint).await?))
    }

    /// A client that connects on its first call. Must be called within a tokio runtime.
    pub fn connect_lazy(endpoint: impl AsRef<str>) -> Result<Self, Error> {
        Self::connect_lazy_with(endpoint, &ConnectOptions::default())
    }

    /// As [`Client::connect_lazy`], with an API key or TLS settings.
    pub fn connect_lazy_with(
        endpoint: impl AsRef<str>,
        options: &ConnectOptions,
    ) -> Result<Self, Error> {
        Self::connect_lazy_any([endpoint], options)
    }

    /// A client of several servers of one cluster, which connects on its first call. It calls the
    /// first one, and the next one when that is not reachable. Must be called within a tokio
    /// runtime.
    ///
    /// # Errors
    /// [`Error::InvalidEndpoint`] when an address is not valid or there is none.
    pub fn connect_lazy_any(
        endpoints: impl IntoIterator<Item = impl AsRef<str>>,
        options: &ConnectOptions,
    ) -> Result<Self, Error> {
        let channel = |endpoint: &str| {
            Ok::<_, Error>(options.authenticate(options.endpoint(endpoint)?.connect_lazy()))
        };
        let channels = endpoints.into_iter().map(|endpoint| channel(endpoint.as_ref()));
        let channels = channels.collect::<Result<Vec<_>, _>>()?;
        if channels.is_empty() {
            let reason = "there is no address; expected at least one".to_owned();
            return Err(Error::InvalidEndpoint { endpoint: String::new(), reason });
        }
        Ok(Self::over(Servers::new(channels)))
    }

    /// A client over an existing channel. It adds no API key.
    pub fn from_channel(channel: Channel) -> Self {
        Self::new(ConnectOptions::default().authenticate(channel))
    }

    fn new(channel: AuthenticatedChannel) -> Self {
        Self::over(Servers::new(vec![channel]))
    }

    fn over(servers: Servers) -> Self {
        Self {
            servers,
            actor: String::new(),
            timeout: DEFAULT_TIMEOUT,
            deadline: DEFAULT_DEADLINE,
            budget: RetryBudget::default(),
        }
    }

    /// Sets the actor that the audit log shows for calls that name none. At most 256 bytes.
    pub fn with_actor(mut self, actor: impl Into<String>) -> Self {
        self.actor = actor.into();
        self
    }

    /// Sets the limit of one RPC attempt of a unary call. Default 30 s.
    pub fn with_timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Sets the limit of a unary call including its retries. Default 60 s.
    pub fn with_deadline(mut self, deadline: Duration) -> Self {
        self.deadline = deadline;
        self
    }

    /// The generated client of JobService. It does not retry.
    pub fn raw_jobs(&self) -> JobServiceClient<AuthenticatedChannel> {
        JobServiceClient::new(self.servers.channel())
            .max_decoding_message_size(MAX_MESSAGE_BYTES)
            .max_encoding_message_size(MAX_MESSAGE_BYTES)
    }

    /// The generated client of IngestService. It does not retry.
    pub fn raw_ingest(&self) -> IngestServiceClient<AuthenticatedChannel> {
        IngestServiceClient::new(self.servers.channel())
            .max_decoding_message_size(MAX_MESSAGE_BYTES)
            .max_encoding_message_size(MAX_MESSAGE_BYTES)
    }

    /// The generated client of QueueService. It does not retry.
    pub fn raw_queues(&self) -> QueueServiceClient<AuthenticatedChannel> {
        QueueServiceClient::new(self.servers.channel())
            .max_decoding_message_size(MAX_MESSAGE_BYTES)
            .max_encoding_message_size(MAX_MESSAGE_BYTES)
    }

    /// The generated client of KindService. It does not retry.
    pub fn raw_kinds(&self) -> KindServiceClient<AuthenticatedChannel> {
        KindServiceClient::new(self.servers.channel())
            .max_decoding_message_size(MAX_MESSAGE_BYTES)
            .max_encoding_message_size(MAX_MESSAGE_BYTES)
    }

    /// The generated client of WorkerRegistryService. It does not retry.
    pub fn raw_workers(&self) -> WorkerRegistryServiceClient<AuthenticatedChannel> {
        WorkerRegistryServiceClient::new(self.servers.channel())
            .max_decoding_message_size(MAX_MESSAGE_BYTES)
            .max_encoding_message_size(MAX_MESSAGE_BYTES)
    }

    /// The generated client of KeyService. It does not retry.
    pub fn raw_keys(&self) -> KeyServiceClient<AuthenticatedChannel> {
        KeyServiceClient::new(self.servers.channel())
    }

    /// The generated client of AuditService. It does not retry.
    pub fn raw_audit(&self) -> AuditServiceClient<AuthenticatedChannel> {
        AuditServiceClient::new(self.servers.channel())
    }

    /// Makes a call and retries it as [`CallRetry`] allows. Only for idempotent calls.
    async fn call_with_retry<M, R, F, A>(&self, message: M, mut call: F) -> Result<R, Error>
    where
        M: Clone,
        F: FnMut(Request<M>) -> A,
        A: Future<Output = Result<tonic::Response<R>, tonic::Status>> + Send,
    {
        let mut retry = CallRetry::new(&self.budget, Instant::now(), self.deadline);
        loop {
            let mut request = Request::new(message.clone());
            request.set_timeout(self.timeout.min(retry.remaining(Instant::now())));
            let server = self.servers.current();
            let error = match call(request).await {
                Ok(response) => return Ok(response.into_inner()),
                Err(status) => Error::from(status),
            };
            if error.is_unavailable() {
                self.servers.failed(server);
            }
            let Some(delay) = retry.next_delay(&error, Instant::now(), rand::random()) else {
                return Err(error);
            };
            tracing::debug!(%error, ?delay, "call failed, retrying");
            tokio::time::sleep(delay).await;
        }
    }

    pub(crate) fn current_server(&self) -> usize {
        self.servers.current()
    }

    /// Selects another server for the next call, if there is one.
    pub(crate) fn server_failed(&self, server: usize) {
        self.servers.failed(server);
    }

    fn actor_or(&self, actor: String) -> String {
        if actor.is_empty() { self.actor.clone() } else { actor }
    }
}

/// The caller's idempotency key, or a generated one that covers the retries of this call.
fn request_id_or_new(request_id: String) -> String {
    if request_id.is_empty() { uuid::Uuid::new_v4().to_string() } else { request_id }
}
