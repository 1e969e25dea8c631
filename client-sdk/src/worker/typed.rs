//! Handlers of typed jobs: the payload is deserialized from JSON, the result serialized to JSON.

use std::error::Error;
use std::sync::Arc;

use super::{HandlerError, JobContext, Outcome, WorkerBuilder};
use crate::{Job, json};

impl WorkerBuilder {
    /// Registers the handler of a typed job: an `async fn(JobContext, J) -> Result<J::Result, E>`,
    /// and adds the queue of the job to those of the worker.
    ///
    /// `E` is any error type, `anyhow::Error` or `Box<dyn Error + Send + Sync>`. Any error is a
    /// retryable failure, except [`HandlerError::non_retryable`], [`HandlerError::snooze`] and
    /// [`HandlerError::release`]. A payload that does not deserialize fails the job with code
    /// `BAD_PAYLOAD`, a result that has no JSON with code `BAD_RESULT`, both without a retry.
    pub fn job<J, H, A, E>(self, handler: H) -> Self
    where
        J: Job,
        H: Fn(JobContext, J) -> A + Send + Sync + 'static,
        A: Future<Output = Result<J::Result, E>> + Send + 'static,
        E: Into<Box<dyn Error + Send + Sync>> + 'static,
    {
        let handler = Arc::new(handler);
        self.queue(J::QUEUE).handler(J::KIND, move |context| run(context, handler.clone()))
    }

    /// Declares the JSON Schema of a typed job. Its handler must be registered before.
    #[cfg(feature = "schema")]
    pub fn schema_of<J: Job + schemars::JsonSchema>(self) -> Self {
        self.input_schema(J::KIND, schemars::schema_for!(J).as_value().to_string())
    }
}

async fn run<J, H, A, E>(context: JobContext, handler: Arc<H>) -> Outcome
where
    J: Job,
    H: Fn(JobContext, J) -> A,
    A: Future<Output = Result<J::Result, E>>,
    E: Into<Box<dyn Error + Send + Sync>> + 'static,
{
    let payload = match context.payload_json() {
        Ok(payload) => payload,
        Err(error) => return HandlerError::from_boxed(&error).into_outcome(),
    };
    let result = match handler(context, payload).await {
        Ok(result) => result,
        Err(error) => return HandlerError::from_boxed(&*error.into()).into_outcome(),
    };
    match json::to_vec("result", &result) {
        Ok(json) => json.into(),
        Err(text) => Outcome::Fail(HandlerError::new(text, false).with_code("BAD_RESULT")),
    }
}
