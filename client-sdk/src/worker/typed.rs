//! Handlers of typed jobs: the payload is deserialized from JSON, the result serialized to JSON.

use std::sync::Arc;

use super::outcome::{HandlerError, Outcome};
use super::{JobContext, WorkerBuilder};
use crate::Job;

impl WorkerBuilder {
    /// Registers the handler of a typed job: an `async fn(JobContext, J) -> Result<J::Result, E>`.
    /// A payload that does not deserialize fails the job with code `BAD_PAYLOAD`, without a retry.
    /// Any error is a retryable failure, except [`HandlerError::non_retryable`]. To snooze or
    /// release a job, use [`WorkerBuilder::handler`].
    pub fn job<J, H, A, E>(self, handler: H) -> Self
    where
        J: Job,
        H: Fn(JobContext, J) -> A + Send + Sync + 'static,
        A: Future<Output = Result<J::Result, E>> + Send + 'static,
        E: Into<HandlerError> + 'static,
    {
        let handler = Arc::new(handler);
        self.handler(J::KIND, move |context| run(context, handler.clone()))
    }

    /// Declares the JSON Schema of a typed job. Its handler must be registered before.
    #[cfg(feature = "schema")]
    pub fn schema_of<J: Job + schemars::JsonSchema>(self) -> Self {
        self.input_schema(J::KIND, schemars::schema_for!(J).as_value().to_string())
    }
}

async fn run<J, H, A, E>(context: JobContext, handler: Arc<H>) -> Result<Outcome, HandlerError>
where
    J: Job,
    H: Fn(JobContext, J) -> A,
    A: Future<Output = Result<J::Result, E>>,
    E: Into<HandlerError> + 'static,
{
    let payload = context.payload_json()?;
    let result = handler(context, payload).await.map_err(Into::into)?;
    let json = serde_json::to_vec(&result).map_err(|error| {
        let text = format!("cannot serialize the result as JSON: {error}");
        HandlerError::non_retryable(text).with_code("BAD_RESULT")
    })?;
    Ok(json.into())
}
