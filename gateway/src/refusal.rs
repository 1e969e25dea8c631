//! What the gateway itself says no to, in the words of the caller's protocol: a gRPC status for
//! gRPC-Web, a JSON object and an HTTP status for everything else.

use std::collections::HashMap;
use std::time::Duration;

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, StatusCode, header};
use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt};

use crate::grpc_web;
use crate::rest::Fault;

/// The domain of every reason.
const DOMAIN: &str = "sentinel";

/// A no of the gateway.
#[derive(Clone, Debug)]
pub(crate) struct Refusal {
    pub(crate) code: Code,
    /// To branch on.
    pub(crate) reason: &'static str,
    /// For people: what is wrong, and what to do.
    pub(crate) message: String,
    pub(crate) retry_after: Option<Duration>,
    /// Of HTTP, where the code alone does not say it.
    pub(crate) status: StatusCode,
}

impl Refusal {
    fn new(code: Code, status: StatusCode, reason: &'static str, message: String) -> Self {
        Self { code, reason, message, retry_after: None, status }
    }

    /// Nobody answers at the server's address.
    pub(crate) fn unreachable(error: &tonic::transport::Error) -> Self {
        tracing::debug!(%error, "the server was not reached");
        let message = "the gateway can not reach the server; nothing was done, or it is not known \
                       whether it was: ask again";
        Self {
            retry_after: Some(Duration::from_secs(1)),
            ..Self::new(
                Code::Unavailable,
                StatusCode::SERVICE_UNAVAILABLE,
                "SERVER_UNREACHABLE",
                message.to_owned(),
            )
        }
    }

    /// The server was lost in the middle of its answer.
    pub(crate) fn went_away() -> Self {
        let mut refusal = Self::unavailable("the server went away before its answer had ended");
        refusal.retry_after = Some(Duration::from_secs(1));
        refusal
    }

    /// The server answered, and not what was asked.
    pub(crate) fn unavailable(message: impl Into<String>) -> Self {
        Self::new(
            Code::Unavailable,
            StatusCode::SERVICE_UNAVAILABLE,
            "SERVER_UNREACHABLE",
            message.into(),
        )
    }

    /// More requests than a client may make.
    pub(crate) fn too_fast(rate: u32, wait: Duration) -> Self {
        let message = format!("more than {rate} requests a second came from this address");
        Self {
            retry_after: Some(wait),
            ..Self::new(
                Code::ResourceExhausted,
                StatusCode::TOO_MANY_REQUESTS,
                "TOO_MANY_REQUESTS",
                message,
            )
        }
    }

    /// More requests at a time than a client may have.
    pub(crate) fn too_many_in_flight(max: u32) -> Self {
        let message =
            format!("{max} requests and streams of this address are open, which is the most");
        Self {
            retry_after: Some(Duration::from_secs(1)),
            ..Self::new(
                Code::ResourceExhausted,
                StatusCode::TOO_MANY_REQUESTS,
                "TOO_MANY_IN_FLIGHT",
                message,
            )
        }
    }

    pub(crate) fn too_large(max: u64) -> Self {
        let message = format!("the body of the request is over {max} bytes");
        Self::new(Code::ResourceExhausted, StatusCode::PAYLOAD_TOO_LARGE, "BODY_TOO_LARGE", message)
    }

    pub(crate) fn foreign_host() -> Self {
        let message = "this gateway is not known by that name; --allow-host adds one";
        Self::new(
            Code::PermissionDenied,
            StatusCode::MISDIRECTED_REQUEST,
            "HOST_NOT_ALLOWED",
            message.to_owned(),
        )
    }

    pub(crate) fn foreign_origin() -> Self {
        let message = "pages of that origin may not call this gateway; --allow-origin adds one";
        Self::new(
            Code::PermissionDenied,
            StatusCode::FORBIDDEN,
            "ORIGIN_NOT_ALLOWED",
            message.to_owned(),
        )
    }

    pub(crate) fn bad_request(message: impl Into<String>) -> Self {
        Self::new(Code::InvalidArgument, StatusCode::BAD_REQUEST, "INVALID_REQUEST", message.into())
    }

    pub(crate) fn bad_credential(message: impl Into<String>) -> Self {
        Self::new(
            Code::Unauthenticated,
            StatusCode::UNAUTHORIZED,
            "INVALID_CREDENTIAL",
            message.into(),
        )
    }

    pub(crate) fn not_found(message: impl Into<String>) -> Self {
        Self::new(Code::NotFound, StatusCode::NOT_FOUND, "NOT_FOUND", message.into())
    }

    /// In the words of the protocol that the request spoke.
    pub(crate) fn answer(&self, request: &HeaderMap) -> Response {
        if grpc_web::is_spoken_in(request) { self.to_grpc_web() } else { self.to_json() }
    }

    pub(crate) fn to_status(&self) -> Status {
        let mut details = ErrorDetails::with_error_info(self.reason, DOMAIN, HashMap::new());
        if let Some(wait) = self.retry_after {
            details.set_retry_info(Some(wait));
        }
        Status::with_error_details(self.code, self.message.clone(), details)
    }

    /// As an answer of the server would be.
    pub(crate) fn into_grpc(self) -> http::Response<tonic::body::Body> {
        self.to_status().into_http()
    }

    fn to_grpc_web(&self) -> Response {
        let mut answer = self.to_status().into_http::<tonic::body::Body>().map(Body::new);
        answer.headers_mut().insert(header::CONTENT_TYPE, grpc_web::PROTO);
        answer
    }

    /// As REST writes every error.
    fn to_json(&self) -> Response {
        Fault::from(self.to_status()).with_status(self.status).into_response()
    }
}

/// As gRPC writes it.
pub(crate) const fn code_name(code: Code) -> &'static str {
    match code {
        Code::Ok => "OK",
        Code::Cancelled => "CANCELLED",
        Code::Unknown => "UNKNOWN",
        Code::InvalidArgument => "INVALID_ARGUMENT",
        Code::DeadlineExceeded => "DEADLINE_EXCEEDED",
        Code::NotFound => "NOT_FOUND",
        Code::AlreadyExists => "ALREADY_EXISTS",
        Code::PermissionDenied => "PERMISSION_DENIED",
        Code::ResourceExhausted => "RESOURCE_EXHAUSTED",
        Code::FailedPrecondition => "FAILED_PRECONDITION",
        Code::Aborted => "ABORTED",
        Code::OutOfRange => "OUT_OF_RANGE",
        Code::Unimplemented => "UNIMPLEMENTED",
        Code::Internal => "INTERNAL",
        Code::Unavailable => "UNAVAILABLE",
        Code::DataLoss => "DATA_LOSS",
        Code::Unauthenticated => "UNAUTHENTICATED",
    }
}
