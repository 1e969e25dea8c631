//! What can go wrong between a caller and a server, decoded once, so that callers branch on
//! `reason` and never on a message.

use std::error::Error as _;
use std::time::Duration;

use tonic::{Code, Status};
use tonic_types::StatusExt;

/// One field that the server refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldViolation {
    /// Path of the field in the request, such as `spec.queue`.
    pub field: String,
    /// What is wrong with it and what is allowed.
    pub description: String,
}

/// Why a call did not answer.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The server answered with an error.
    #[error("{}", display_api(*code, reason, message, field_violations))]
    Api {
        /// gRPC status.
        code: Code,
        /// What to branch on, such as `JOB_NOT_FOUND`. Empty when the answer came from something
        /// other than a Sentinel server, such as a proxy.
        reason: String,
        /// For people.
        message: String,
        /// Fields at fault, for `INVALID_ARGUMENT`.
        field_violations: Vec<FieldViolation>,
        /// When the server wants to see the call again.
        retry_after: Option<Duration>,
    },
    /// No answer: the server could not be reached or the connection broke.
    #[error("can not reach the server: {message}")]
    Transport {
        /// The chain of causes.
        message: String,
    },
    /// No answer within the client's timeout; the call may have had its effect.
    #[error("no answer from the server within the timeout")]
    Timeout,
    /// The endpoint can not be used.
    #[error("invalid endpoint {endpoint:?}: {reason}")]
    InvalidEndpoint {
        /// As given.
        endpoint: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A value can not be sent as given.
    #[error("invalid {field}: {reason}")]
    InvalidArgument {
        /// Which one.
        field: &'static str,
        /// What is wrong with it and what is allowed.
        reason: String,
    },
    /// The server's answer breaks the contract.
    #[error("unexpected answer from the server: {message}")]
    Protocol {
        /// Which part of the contract.
        message: &'static str,
    },
    /// The server has forgotten how far a producer was: after 7 days without a stream, or with a
    /// store of which the last moment was lost. What was committed is not sent again, since it
    /// would be enqueued again where it is not lost.
    #[error(
        "the server has committed {server_offset} items of this producer, fewer than the {committed} \
         that it acknowledged"
    )]
    ProducerOffsetLost {
        /// The last offset that the server acknowledged as committed.
        committed: u64,
        /// The last committed offset that the server reports now.
        server_offset: u64,
    },
    /// Another program commits items under the same producer id.
    #[error("the server has committed {server_offset} items of this producer, more than the {sent} \
         that this process sent")]
    ProducerOffsetAhead {
        /// The last offset that this process sent.
        sent: u64,
        /// The last committed offset that the server reports.
        server_offset: u64,
    },
    /// No server knows the job.
    #[error("job {id} does not exist")]
    JobNotFound {
        /// As given.
        id: String,
    },
}

impl Error {
    /// The reason to branch on, when the server gave one.
    pub fn reason(&self) -> Option<&str> {
        match self {
            Error::Api { reason, .. } if !reason.is_empty() => Some(reason),
            _ => None,
        }
    }

    /// The gRPC status, when the server answered.
    pub fn code(&self) -> Option<Code> {
        match self {
            Error::Api { code, .. } => Some(*code),
            _ => None,
        }
    }

    /// When the server wants to see the call again, when it said so.
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Error::Api { retry_after, .. } => *retry_after,
            _ => None,
        }
    }

    /// Whether the same call may succeed later without a change to it.
    pub fn is_unavailable(&self) -> bool {
        matches!(self, Error::Transport { .. } | Error::Api { code: Code::Unavailable, .. })
    }

    /// Whether repeating the call can not help: a stream that gets this ends.
    pub(crate) fn ends_streams(&self) -> bool {
        match self {
            Error::Api { code, .. } => matches!(
                code,
                Code::InvalidArgument
                    | Code::NotFound
                    | Code::Unauthenticated
                    | Code::PermissionDenied
                    | Code::Unimplemented
            ),
            _ => false,
        }
    }

    /// The same for the stream of a producer.
    pub(crate) fn ends_ingest(&self) -> bool {
        let Error::Api { code, reason, retry_after, .. } = self else {
            return !matches!(self, Error::Transport { .. } | Error::Timeout);
        };
        match code {
            Code::Aborted => reason == "PRODUCER_MOVED",
            // A limit of the installation, and no lack of room that passes.
            Code::ResourceExhausted => !reason.is_empty() && retry_after.is_none(),
            Code::FailedPrecondition | Code::OutOfRange | Code::DataLoss => true,
            _ => self.ends_streams(),
        }
    }
}

impl From<Status> for Error {
    fn from(status: Status) -> Self {
        // A status that came over the wire has no source; one made here from a broken
        // connection does, whatever its code.
        if is_timeout(&status) {
            return Error::Timeout;
        }
        if status.source().is_some() {
            return Error::Transport { message: chain(&status) };
        }
        let details = status.get_error_details();
        let field_violations = details
            .bad_request()
            .map(|bad| {
                let fields = bad.field_violations.iter();
                fields
                    .map(|v| FieldViolation {
                        field: v.field.clone(),
                        description: v.description.clone(),
                    })
                    .collect()
            })
            .unwrap_or_default();
        Error::Api {
            code: status.code(),
            reason: details.error_info().map(|info| info.reason.clone()).unwrap_or_default(),
            message: status.message().to_owned(),
            field_violations,
            retry_after: details.retry_info().and_then(|retry| retry.retry_delay),
        }
    }
}

impl From<tonic::transport::Error> for Error {
    fn from(error: tonic::transport::Error) -> Self {
        Error::Transport { message: chain(&error) }
    }
}

fn display_api(code: Code, reason: &str, message: &str, fields: &[FieldViolation]) -> String {
    let mut text = match (message.is_empty(), reason.is_empty()) {
        (false, _) => message.to_owned(),
        (true, false) => reason.to_owned(),
        (true, true) => format!("{code:?}"),
    };
    for violation in fields {
        // Servers repeat a single violation in the message; once is enough.
        if !text.contains(&violation.description) {
            text.push_str(&format!("; {}: {}", violation.field, violation.description));
        }
    }
    text
}

/// The innermost cause says what happened; tonic's outer layers say only "transport error".
fn chain(error: &dyn std::error::Error) -> String {
    let mut cause = error.source();
    let mut last = error.to_string();
    while let Some(inner) = cause {
        last = inner.to_string();
        cause = inner.source();
    }
    last
}

fn is_timeout(status: &Status) -> bool {
    let mut cause = status.source();
    while let Some(inner) = cause {
        if inner.is::<tonic::TimeoutExpired>() {
            return true;
        }
        cause = inner.source();
    }
    false
}

#[cfg(test)]
mod tests;
