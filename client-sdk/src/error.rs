//! Errors of calls, decoded from gRPC statuses. Programs branch on `reason`, never on the message.

use std::error::Error as _;
use std::time::Duration;

use tonic::{Code, Status};
use tonic_types::StatusExt;

/// A field that the server rejected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldViolation {
    /// Path of the field in the request, such as `spec.queue`.
    pub field: String,
    /// What is wrong and what is allowed.
    pub description: String,
}

/// Why a call failed.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The server returned an error.
    #[error("{}", display_api(*code, reason, message, field_violations))]
    Api {
        /// The gRPC status code.
        code: Code,
        /// The error code to branch on, such as `JOB_NOT_FOUND`. Empty when the error does not come
        /// from a Sentinel server but, for example, from a proxy.
        reason: String,
        /// A description for people.
        message: String,
        /// The rejected fields, for `INVALID_ARGUMENT`.
        field_violations: Vec<FieldViolation>,
        /// How long to wait before a retry, if the server requested a delay.
        retry_after: Option<Duration>,
    },
    /// No response: the server is not reachable or the connection was lost.
    #[error("cannot reach the server: {message}")]
    Transport {
        /// The cause.
        message: String,
    },
    /// No secure connection: the server does not use TLS as the address says, or its certificate is
    /// not trusted. The same call would fail again.
    #[error("cannot connect securely: {message}")]
    Tls {
        /// What is wrong and what to change.
        message: String,
    },
    /// No response within the client's timeout. The call may have been executed.
    #[error("the server did not respond within the timeout")]
    Timeout,
    /// The server address is not valid.
    #[error("invalid endpoint {endpoint:?}: {reason}")]
    InvalidEndpoint {
        /// The given address.
        endpoint: String,
        /// What is wrong.
        reason: String,
    },
    /// An argument is not valid; nothing was sent.
    #[error("invalid {field}: {reason}")]
    InvalidArgument {
        /// The name of the argument.
        field: &'static str,
        /// What is wrong and what is allowed.
        reason: String,
    },
    /// The server violated the protocol.
    #[error("the server violated the protocol: {message}")]
    Protocol {
        /// The violation.
        message: &'static str,
    },
    /// The server lost the offset of a producer: after 7 days without a stream, or because its
    /// store lost the most recent commits. The committed items are not sent again, since those that
    /// were not lost would be enqueued twice.
    #[error(
        "the server has committed {server_offset} items of this producer, fewer than the \
         {committed} that it acknowledged"
    )]
    ProducerOffsetLost {
        /// The last offset that the server acknowledged as committed.
        committed: u64,
        /// The last committed offset that the server reports now.
        server_offset: u64,
    },
    /// Another program uses the same producer id.
    #[error(
        "the server has committed {server_offset} items of this producer, more than the {sent} \
         that this process sent"
    )]
    ProducerOffsetAhead {
        /// The last offset that this process sent.
        sent: u64,
        /// The last committed offset that the server reports.
        server_offset: u64,
    },
    /// No job has this id.
    #[error("job {id} does not exist")]
    JobNotFound {
        /// The given id.
        id: String,
    },
}

impl Error {
    /// The error code of the server, if there is one.
    pub fn reason(&self) -> Option<&str> {
        match self {
            Error::Api { reason, .. } if !reason.is_empty() => Some(reason),
            Error::JobNotFound { .. } => Some("JOB_NOT_FOUND"),
            _ => None,
        }
    }

    /// The gRPC status code, if the server returned an error.
    pub fn code(&self) -> Option<Code> {
        match self {
            Error::Api { code, .. } => Some(*code),
            _ => None,
        }
    }

    /// How long to wait before a retry, if the server requested a delay.
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Error::Api { retry_after, .. } => *retry_after,
            _ => None,
        }
    }

    /// Whether the server was unavailable, so that the same call may succeed later.
    pub fn is_unavailable(&self) -> bool {
        matches!(self, Error::Transport { .. } | Error::Api { code: Code::Unavailable, .. })
    }

    /// Whether the error is permanent for a watch or a session, which must not reconnect then.
    pub(crate) fn closes_streams(&self) -> bool {
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

    /// Whether the error is permanent for an ingest stream.
    pub(crate) fn closes_ingest_streams(&self) -> bool {
        let Error::Api { code, reason, retry_after, .. } = self else {
            return !matches!(self, Error::Transport { .. } | Error::Timeout);
        };
        match code {
            Code::Aborted => reason == "PRODUCER_MOVED",
            // A fixed limit of the cluster, as opposed to a temporary overload.
            Code::ResourceExhausted => !reason.is_empty() && retry_after.is_none(),
            Code::FailedPrecondition | Code::OutOfRange | Code::DataLoss => true,
            _ => self.closes_streams(),
        }
    }
}

impl From<Status> for Error {
    fn from(status: Status) -> Self {
        // A status received from a server has no source. One that tonic created for a lost
        // connection has one, whatever its code.
        if is_timeout(&status) {
            return Error::Timeout;
        }
        if status.source().is_some() {
            return lost_connection(root_cause(&status));
        }
        let details = status.get_error_details();
        if details.error_info().is_none() && is_deadline(&status) {
            return Error::Timeout;
        }
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
        lost_connection(root_cause(&error))
    }
}

fn display_api(code: Code, reason: &str, message: &str, fields: &[FieldViolation]) -> String {
    let mut text = match (message.is_empty(), reason.is_empty()) {
        (false, _) => message.to_owned(),
        (true, false) => reason.to_owned(),
        (true, true) => format!("{code:?}"),
    };
    for violation in fields {
        // A server with one violation repeats it in the message.
        if !text.contains(&violation.description) {
            text.push_str(&format!("; {}: {}", violation.field, violation.description));
        }
    }
    text
}

/// The message of the innermost cause. The outer errors of tonic say only "transport error".
fn root_cause(error: &dyn std::error::Error) -> String {
    let mut cause = error.source();
    let mut message = error.to_string();
    while let Some(inner) = cause {
        message = inner.to_string();
        cause = inner.source();
    }
    message
}

/// The error of a connection that failed, by the text of its cause: the libraries below return no
/// type that tells these apart.
fn lost_connection(cause: String) -> Error {
    let message = if cause.contains("InvalidContentType") {
        "the server does not use TLS on this port; use http:// or the port with TLS".to_owned()
    } else if cause.contains("frame with invalid size") {
        "the server does not speak gRPC without TLS on this port; if it uses TLS, use https://"
            .to_owned()
    } else if cause.contains("invalid peer certificate") {
        format!("{cause}; check the CA certificate and the host name of the address")
    } else {
        return Error::Transport { message: cause };
    };
    Error::Tls { message }
}

/// Whether the deadline passed at the server. Servers built with tonic answer CANCELLED then.
fn is_deadline(status: &Status) -> bool {
    match status.code() {
        Code::DeadlineExceeded => true,
        Code::Cancelled => status.message() == "Timeout expired",
        _ => false,
    }
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
