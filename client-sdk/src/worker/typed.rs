//! Handlers of typed jobs: the payload arrives parsed, what is returned is written as JSON.

use std::sync::Arc;

use super::outcome::{HandlerError, Outcome};
use super::{JobContext, WorkerBuilder};
use crate::Job;

impl WorkerBuilder {
    /// The handler of a typed job: an `async fn(JobContext, J) -> Result<J::Result, E>`. A payload of
    /// another shape fails for good, code `BAD_PAYLOAD`. Whatever is an error turns into a
    /// retryable failure; [`HandlerError::non_retryable`] says otherwise. For a snooze take
    /// [`WorkerBuilder::handler`].
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

    /// Declares the JSON Schema of a typed job whose handler was registered before.
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
    let output = handler(context, payload).await.map_err(Into::into)?;
    let json = serde_json::to_vec(&output).map_err(|error| {
        let text = format!("the result can not be written as JSON: {error}");
        HandlerError::non_retryable(text).with_code("BAD_RESULT")
    })?;
    Ok(json.into())
}
