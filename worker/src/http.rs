//! `http.request`: calls an HTTP endpoint, as a webhook or in place of a REST call that somebody
//! would have waited for. What the network answers becomes the outcome of the attempt.
//!
//! The target comes from whoever may enqueue, so the worker decides what may be reached: see
//! [`guard`]. Nothing here reads proxy settings.

mod connect;
mod exchange;
pub mod guard;
mod outcome;
mod request;
mod sign;
mod tls;

use std::sync::Arc;

use sentinel_client::worker::{HandlerError, JobContext, LogLevel, Outcome, WorkerBuilder};

use exchange::Call;
pub use guard::{Allowed, AllowedError};
use request::Request;
pub use sign::{Secret, SecretError, Secrets};

/// The kind.
pub const KIND: &str = "http.request";
const DESCRIPTION: &str = "{url, method, headers, body | body_base64, timeout_ms, max_redirects, \
                           retry_statuses, signature_secret, max_response_bytes}: calls an HTTP \
                           endpoint; its status decides the outcome.";
/// JSON Schema of the payload.
pub const INPUT_SCHEMA: &str = include_str!("http/schema.json");

/// What the operator of a worker allows its requests.
#[derive(Debug, Default)]
pub struct Config {
    /// Targets beyond the public internet.
    pub allowed: Allowed,
    /// What signs requests, by the name that payloads use.
    pub secrets: Secrets,
}

/// Adds the handler.
pub fn register(builder: WorkerBuilder, config: Config) -> WorkerBuilder {
    let shared = Arc::new(Shared { config, tls: tls::Tls::default() });
    builder
        .handler_with_description(KIND, DESCRIPTION, move |job| handle(job, shared.clone()))
        .input_schema(KIND, INPUT_SCHEMA)
}

#[derive(Debug)]
struct Shared {
    config: Config,
    tls: tls::Tls,
}

async fn handle(job: JobContext, shared: Arc<Shared>) -> Result<Outcome, HandlerError> {
    let request = Request::of(&job, &shared.config.secrets)?;
    job.log(LogLevel::Info, request.told());
    let call = Call { job: &job, shared: &shared, request: &request };
    tokio::select! {
        // What is dropped here closes its connection.
        () = job.cancelled() => Ok(Outcome::Cancelled),
        answer = tokio::time::timeout(request.timeout, call.run()) => match answer {
            Ok(Ok(response)) => outcome::of(&job, &request, response),
            Ok(Err(error)) => Err(outcome::told(&job, error.into_failure())),
            Err(_) => {
                let text = format!("no whole answer within {:?} (payload.timeout_ms)", request.timeout);
                Err(outcome::told(&job, HandlerError::retryable(text).with_code("HTTP_TIMEOUT")))
            }
        },
    }
}
