//! Whether the server accepts an API key. The gateway asks before it does work for a request, such
//! as reading a body or opening a session; the server still decides about each call.

use std::time::Duration;

use http::HeaderValue;
use sentinel_proto::admin::v1::ListQueuesRequest;
use sentinel_proto::admin::v1::queue_service_client::QueueServiceClient;
use tokio::time::Instant;
use tonic::metadata::MetadataValue;
use tonic::{Code, Status};

use crate::error::GatewayError;
use crate::upstream::Upstream;

const CHECK_TIMEOUT: Duration = Duration::from_secs(10);

/// Checks that the server accepts the credential of a request, or the lack of one. An acceptance
/// is remembered for 10 s.
///
/// # Errors
/// The server refuses the key, or does not answer.
pub(crate) async fn check(
    upstream: &Upstream,
    authorization: Option<&HeaderValue>,
) -> Result<(), GatewayError> {
    let keys = upstream.accepted_keys();
    let hash = keys.hash(authorization);
    if keys.contains(hash, Instant::now()) {
        return Ok(());
    }
    ask(upstream, authorization).await?;
    keys.insert(hash, Instant::now());
    Ok(())
}

/// Asks the server about a key by the cheapest call that reads no data of jobs.
pub(crate) async fn ask(
    upstream: &Upstream,
    authorization: Option<&HeaderValue>,
) -> Result<(), GatewayError> {
    let mut request =
        tonic::Request::new(ListQueuesRequest { page_size: 1, page_token: String::new() });
    if let Some(value) = authorization {
        let value = MetadataValue::try_from(value.as_bytes())
            .map_err(|_| GatewayError::invalid_credential("the API key is malformed"))?;
        request.metadata_mut().insert("authorization", value);
    }
    let mut queues = QueueServiceClient::new(upstream.clone());
    let call = tokio::time::timeout(CHECK_TIMEOUT, queues.list_queues(request));
    let status = match call.await {
        Ok(Ok(_)) => return Ok(()),
        Ok(Err(status)) => status,
        Err(_) => Status::unavailable("the server did not check the API key within 10 s"),
    };
    match status.code() {
        // A valid key of a role that may not list queues.
        Code::PermissionDenied => Ok(()),
        _ => Err(status.into()),
    }
}
