//! The outcome of a handler and its conversion into a report.

use std::time::Duration;

use bytes::Bytes;

use crate::proto::jobs::v1::JobError;
use crate::proto::workers::v1::{Failed, Released, Snoozed, Succeeded, report_item};
use crate::time::wire_duration;

/// The result size limit of all servers.
pub const MAX_RESULT_BYTES: usize = 1024 * 1024;
const MAX_MESSAGE_BYTES: usize = 16 * 1024;
const MAX_CODE_BYTES: usize = 128;

/// The outcome of an attempt. Handlers return it or a type that converts into it: `()`, bytes,
/// text, or a `Result` of these.
#[derive(Clone, Debug)]
pub enum Outcome {
    /// The job succeeded, with a result of at most 1 MiB.
    Succeed(Bytes),
    /// The attempt failed.
    Fail(HandlerError),
    /// The job runs again after this delay (0..366 d). The attempt does not count.
    Snooze(Duration),
    /// The job goes back to its queue for another worker. The attempt does not count.
    Release,
    /// The handler stopped because the job was cancelled.
    Cancelled,
}

/// Why an attempt failed. Any `std::error::Error` converts into a retryable one, so `?` works.
#[derive(Clone, Debug)]
pub struct HandlerError {
    message: String,
    code: String,
    retryable: bool,
    next_delay: Option<Duration>,
}

impl HandlerError {
    /// An error after which another attempt may succeed. `message` is truncated to 16 KiB.
    pub fn retryable(message: impl Into<String>) -> Self {
        Self { message: message.into(), code: String::new(), retryable: true, next_delay: None }
    }

    /// An error after which no attempt can succeed: the job becomes FAILED at once.
    pub fn non_retryable(message: impl Into<String>) -> Self {
        Self { retryable: false, ..Self::retryable(message) }
    }

    /// Sets an error code of the handler's choice, for grouping. Truncated to 128 bytes.
    pub fn with_code(mut self, code: impl Into<String>) -> Self {
        self.code = code.into();
        self
    }

    /// Overrides the delay of the retry policy. 0..30 d.
    pub fn with_next_delay(mut self, delay: Duration) -> Self {
        self.next_delay = Some(delay);
        self
    }

    /// Whether another attempt may succeed.
    pub fn is_retryable(&self) -> bool {
        self.retryable
    }

    /// The error message.
    pub fn message(&self) -> &str {
        &self.message
    }
}

impl<E: std::error::Error> From<E> for HandlerError {
    fn from(error: E) -> Self {
        let mut message = error.to_string();
        let mut cause = error.source();
        while let Some(inner) = cause {
            message.push_str(": ");
            message.push_str(&inner.to_string());
            cause = inner.source();
        }
        Self::retryable(message)
    }
}

impl<T: Into<Outcome>, E: Into<HandlerError>> From<Result<T, E>> for Outcome {
    fn from(result: Result<T, E>) -> Self {
        match result {
            Ok(value) => value.into(),
            Err(error) => Outcome::Fail(error.into()),
        }
    }
}

impl From<()> for Outcome {
    fn from((): ()) -> Self {
        Outcome::Succeed(Bytes::new())
    }
}

impl From<Bytes> for Outcome {
    fn from(result: Bytes) -> Self {
        Outcome::Succeed(result)
    }
}

impl From<Vec<u8>> for Outcome {
    fn from(result: Vec<u8>) -> Self {
        Outcome::Succeed(result.into())
    }
}

impl From<String> for Outcome {
    fn from(result: String) -> Self {
        Outcome::Succeed(result.into())
    }
}

impl From<&'static str> for Outcome {
    fn from(result: &'static str) -> Self {
        Outcome::Succeed(result.into())
    }
}

impl Outcome {
    /// The outcome for a report, within the limits of the protocol.
    pub(crate) fn into_wire(self) -> report_item::Outcome {
        match self {
            Outcome::Succeed(result) if result.len() > MAX_RESULT_BYTES => {
                let text = format!(
                    "the result has {} bytes; at most {MAX_RESULT_BYTES} are allowed",
                    result.len()
                );
                failed(HandlerError::non_retryable(text).with_code("RESULT_TOO_LARGE"), false)
            }
            Outcome::Succeed(result) => report_item::Outcome::Succeeded(Succeeded { result }),
            Outcome::Fail(error) => failed(error, false),
            Outcome::Snooze(delay) => {
                report_item::Outcome::Snoozed(Snoozed { delay: Some(wire_duration(delay)) })
            }
            Outcome::Release => report_item::Outcome::Released(Released {}),
            Outcome::Cancelled => {
                report_item::Outcome::Cancelled(crate::proto::workers::v1::Cancelled {})
            }
        }
    }
}

/// The outcome of an attempt that exceeded its run_timeout.
pub(crate) fn timed_out(run_timeout: Duration) -> report_item::Outcome {
    let text = format!("the attempt ran longer than its run_timeout of {run_timeout:?}");
    failed(HandlerError::retryable(text).with_code("TIMEOUT"), true)
}

fn failed(error: HandlerError, timeout: bool) -> report_item::Outcome {
    let HandlerError { message, code, retryable, next_delay } = error;
    report_item::Outcome::Failed(Failed {
        error: Some(JobError {
            message: truncate(message, MAX_MESSAGE_BYTES),
            code: truncate(code, MAX_CODE_BYTES),
            retryable,
            detail: String::new(),
        }),
        next_delay: next_delay.map(wire_duration),
        timeout,
    })
}

/// Truncates at a character boundary.
pub(crate) fn truncate(mut text: String, max_bytes: usize) -> String {
    if text.len() > max_bytes {
        text.truncate(floor_char_boundary(&text, max_bytes));
    }
    text
}

/// The last character boundary at or before `index`.
pub(crate) fn floor_char_boundary(text: &str, index: usize) -> usize {
    if index >= text.len() {
        return text.len();
    }
    (0..=index).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0)
}

#[cfg(test)]
mod tests;
