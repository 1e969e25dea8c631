//! What REST answers when a call did not succeed: an HTTP status, and one JSON object that says
//! all that the status of gRPC says.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::time::Duration;

use axum::response::{IntoResponse, Response};
use http::{HeaderValue, Method, StatusCode, header};
use serde::Serialize;
use tonic::{Code, Status};
use tonic_types::StatusExt;

use crate::refusal::code_name;

/// A call that did not succeed.
#[derive(Clone, Debug)]
pub(crate) struct Fault {
    status: StatusCode,
    allow: Option<String>,
    retry_after: Option<Duration>,
    /// Apart, for a fault is the rare case of many answers.
    told: Box<Told>,
}

#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Told {
    code: &'static str,
    message: String,
    reason: String,
    metadata: BTreeMap<String, String>,
    field_violations: Vec<Violation>,
    #[serde(skip_serializing_if = "Option::is_none")]
    retry_after: Option<String>,
}

/// What is wrong with a field of a request.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Violation {
    /// As the request writes it: `spec.priority`.
    pub(crate) field: String,
    pub(crate) description: String,
}

#[derive(Serialize)]
struct Envelope<'a> {
    error: &'a Told,
}

/// Of what a request named, so much is repeated: characters.
pub(super) const FIELD_MAX: usize = 256;

fn shortened(text: &str) -> Cow<'_, str> {
    match text.char_indices().nth(FIELD_MAX) {
        Some((end, _)) => Cow::Owned(format!("{}…", &text[..end])),
        None => Cow::Borrowed(text),
    }
}

impl Fault {
    fn new(status: StatusCode, code: Code, reason: &str, message: String) -> Self {
        let told = Told {
            code: code_name(code),
            message,
            reason: reason.to_owned(),
            metadata: BTreeMap::new(),
            field_violations: Vec::new(),
            retry_after: None,
        };
        Self { status, allow: None, retry_after: None, told: Box::new(told) }
    }

    /// The same with a status that says more than the code of gRPC.
    pub(crate) fn with_status(mut self, status: StatusCode) -> Self {
        self.status = status;
        self
    }

    /// The request is not one that the contract knows; nothing was asked of the server.
    pub(crate) fn invalid(field: &str, description: impl Into<String>) -> Self {
        let (field, description) = (shortened(field), description.into());
        let message =
            if field.is_empty() { description.clone() } else { format!("{field}: {description}") };
        let mut fault =
            Self::new(StatusCode::BAD_REQUEST, Code::InvalidArgument, "INVALID_REQUEST", message);
        if !field.is_empty() {
            fault.told.field_violations.push(Violation { field: field.into_owned(), description });
        }
        fault
    }

    pub(crate) fn no_route(path: &str) -> Self {
        let message = format!("nothing is at {}; /openapi.json lists what is", shortened(path));
        Self::new(StatusCode::NOT_FOUND, Code::NotFound, "NO_SUCH_ROUTE", message)
    }

    pub(crate) fn wrong_method(method: &Method, path: &str, allow: String) -> Self {
        let (method, path) = (shortened(method.as_str()), shortened(path));
        let message = format!("{method} is not for {path}, which takes {allow}");
        let status = StatusCode::METHOD_NOT_ALLOWED;
        let mut fault = Self::new(status, Code::Unimplemented, "METHOD_NOT_ALLOWED", message);
        fault.allow = Some(allow);
        fault
    }

    pub(crate) fn too_large(message: String) -> Self {
        let status = StatusCode::PAYLOAD_TOO_LARGE;
        Self::new(status, Code::ResourceExhausted, "BODY_TOO_LARGE", message)
    }

    pub(crate) fn wrong_media_type(message: String) -> Self {
        let status = StatusCode::UNSUPPORTED_MEDIA_TYPE;
        Self::new(status, Code::InvalidArgument, "UNSUPPORTED_MEDIA_TYPE", message)
    }

    /// An answer of the server that this gateway can not read.
    pub(crate) fn unreadable(message: String) -> Self {
        Self::new(StatusCode::BAD_GATEWAY, Code::Internal, "ANSWER_UNREADABLE", message)
    }

    #[cfg(test)]
    pub(super) fn status(&self) -> StatusCode {
        self.status
    }

    /// Whether the same request may succeed in a moment.
    pub(crate) fn is_passing(&self) -> bool {
        self.status == StatusCode::SERVICE_UNAVAILABLE
    }

    /// `{"error": {..}}` on one line.
    pub(crate) fn to_json(&self) -> Vec<u8> {
        serde_json::to_vec(&Envelope { error: &self.told }).expect("text and maps of text")
    }
}

impl From<Status> for Fault {
    fn from(status: Status) -> Self {
        let code = status.code();
        let message = status.message().to_owned();
        let mut fault = Self::new(http_status(code), code, code_name(code), message);
        let details = status.get_error_details();
        if let Some(info) = details.error_info() {
            fault.told.reason.clone_from(&info.reason);
            fault.told.metadata.extend(info.metadata.clone());
        }
        let wrong = details.bad_request().map(|request| request.field_violations.clone());
        fault.told.field_violations = wrong
            .into_iter()
            .flatten()
            .map(|one| Violation { field: one.field, description: one.description })
            .collect();
        fault.retry_after = details.retry_info().and_then(|info| info.retry_delay);
        fault.told.retry_after = fault.retry_after.map(|wait| format!("{}s", wait.as_secs_f64()));
        fault
    }
}

impl IntoResponse for Fault {
    fn into_response(self) -> Response {
        let mut answer = (self.status, self.to_json()).into_response();
        let headers = answer.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if let Some(wait) = self.retry_after {
            // The header knows whole seconds only; too early would be refused again.
            let seconds = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds.max(1)));
        }
        if let Some(allow) = self.allow.and_then(|allow| HeaderValue::from_str(&allow).ok()) {
            headers.insert(header::ALLOW, allow);
        }
        if self.status == StatusCode::UNAUTHORIZED {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        answer
    }
}

/// As google/rpc/code.proto maps them.
fn http_status(code: Code) -> StatusCode {
    match code {
        Code::Ok => StatusCode::OK,
        // A client that closed its request; it has no name in HTTP.
        Code::Cancelled => StatusCode::from_u16(499).expect("three digits"),
        Code::InvalidArgument | Code::FailedPrecondition | Code::OutOfRange => {
            StatusCode::BAD_REQUEST
        }
        Code::DeadlineExceeded => StatusCode::GATEWAY_TIMEOUT,
        Code::NotFound => StatusCode::NOT_FOUND,
        Code::AlreadyExists | Code::Aborted => StatusCode::CONFLICT,
        Code::PermissionDenied => StatusCode::FORBIDDEN,
        Code::Unauthenticated => StatusCode::UNAUTHORIZED,
        Code::ResourceExhausted => StatusCode::TOO_MANY_REQUESTS,
        Code::Unimplemented => StatusCode::NOT_IMPLEMENTED,
        Code::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
        Code::Unknown | Code::Internal | Code::DataLoss => StatusCode::INTERNAL_SERVER_ERROR,
    }
}
