//! The outcome of a handler and its conversion into a report.

use std::time::Duration;

use bytes::Bytes;

use super::handler_error::{Effect, ErrorParts, HandlerError, MAX_TEXT_BYTES};
use super::text::truncate;
use crate::proto::jobs::v1::JobError;
use crate::proto::workers::v1::{Failed, Released, Snoozed, Succeeded, report_item};
use crate::time::wire_duration;

/// The result size limit of all servers.
pub const MAX_RESULT_BYTES: usize = 1024 * 1024;
const MAX_CODE_BYTES: usize = 128;

/// The outcome of an attempt. Handlers return it or a type that converts into it: `()`, bytes,
/// text, or a `Result` of these with any error: a [`HandlerError`], a type of `std::error::Error`,
/// `Box<dyn Error + Send + Sync>` or `anyhow::Error`.
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

impl<T, E> From<Result<T, E>> for Outcome
where
    T: Into<Outcome>,
    E: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    fn from(result: Result<T, E>) -> Self {
        match result {
            Ok(value) => value.into(),
            Err(error) => HandlerError::from_boxed(&*error.into()).into_outcome(),
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
                failed(HandlerError::new(text, false).with_code("RESULT_TOO_LARGE"), false)
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
    failed(HandlerError::new(text, true).with_code("TIMEOUT"), true)
}

fn failed(error: HandlerError, timeout: bool) -> report_item::Outcome {
    let ErrorParts { message, code, retryable, next_delay, detail } = error.into_parts();
    report_item::Outcome::Failed(Failed {
        error: Some(JobError {
            message: truncate(message, MAX_TEXT_BYTES),
            code: truncate(code, MAX_CODE_BYTES),
            retryable,
            detail: truncate(detail, MAX_TEXT_BYTES),
        }),
        next_delay: next_delay.map(wire_duration),
        timeout,
    })
}

impl HandlerError {
    pub(crate) fn into_outcome(self) -> Outcome {
        match self.effect() {
            Effect::Fail => Outcome::Fail(self),
            Effect::Snooze(delay) => Outcome::Snooze(delay),
            Effect::Release => Outcome::Release,
        }
    }
}

#[cfg(test)]
mod tests;
