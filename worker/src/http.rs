//! `http.request`: calls an HTTP endpoint, for webhooks and asynchronous REST calls. The response
//! determines the outcome of the attempt.
//!
//! Everyone who may enqueue chooses the URL, so the worker restricts the targets: see [`targets`].
//! Proxy settings are ignored.

mod connect;
mod exchange;
mod outcome;
mod request;
mod sign;
pub mod targets;
mod tls;

use std::sync::Arc;

use sentinel_client::worker::{HandlerError, JobContext, LogLevel, Outcome, WorkerBuilder};

use exchange::Call;
use request::Request;
pub use sign::{Secret, SecretError, Secrets};
pub use targets::{AllowedTargets, InvalidTarget};

/// The name of the kind.
pub const KIND: &str = "http.request";
const DESCRIPTION: &str = "{url, method, headers, body | body_base64, timeout_ms, max_redirects, \
                           retry_statuses, signature_secret, max_response_bytes}: calls an HTTP \
                           endpoint; its status determines the outcome.";
/// The JSON Schema of the payload.
pub const INPUT_SCHEMA: &str = include_str!("http/schema.json");

/// The configuration of `http.request`.
#[derive(Debug, Default)]
pub struct Config {
    /// Allowed targets in addition to the public internet.
    pub allowed_targets: AllowedTargets,
    /// The secrets for signatures.
    pub secrets: Secrets,
}

/// Registers the handler.
pub fn register(builder: WorkerBuilder, config: Config) -> WorkerBuilder {
    let state = Arc::new(HandlerState { config, tls: tls::Tls::default() });
    builder
        .handler_with_description(KIND, DESCRIPTION, move |job| handle(job, state.clone()))
        .input_schema(KIND, INPUT_SCHEMA)
}

#[derive(Debug)]
struct HandlerState {
    config: Config,
    tls: tls::Tls,
}

async fn handle(job: JobContext, state: Arc<HandlerState>) -> Result<Outcome, HandlerError> {
    let request = Request::of(&job, &state.config.secrets)?;
    job.log(LogLevel::Info, request.summary());
    let call = Call { job: &job, state: &state, request: &request };
    tokio::select! {
        // Dropping the call closes its connection.
        () = job.cancelled() => Ok(Outcome::Cancelled),
        result = tokio::time::timeout(request.timeout, call.run()) => match result {
            Ok(Ok(response)) => outcome::from_response(&job, &request, response),
            Ok(Err(error)) => Err(outcome::log_error(&job, error.into_handler_error())),
            Err(_) => {
                let timeout = request.timeout;
                let text = format!("no complete response within {timeout:?} (payload.timeout_ms)");
                let error = HandlerError::retryable(text).with_code("HTTP_TIMEOUT");
                Err(outcome::log_error(&job, error))
            }
        },
    }
}
