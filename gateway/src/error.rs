//! The error that the gateway sends to clients: as a gRPC status to gRPC-Web, and as an HTTP
//! status with a JSON body to everything else.

mod code;

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use serde::Serialize;
use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt as _};

use self::code::{code_name, http_status};
use crate::protocol;

/// The domain of every reason.
const DOMAIN: &str = "sentinel";

/// Names that a request chose itself are cut to this many characters in an error.
pub(crate) const NAME_MAX_CHARS: usize = 256;

/// An error response of the gateway. A REST call that the server refuses is one as well.
///
/// The details are boxed to keep `Result`s small.
#[derive(Clone, Debug)]
pub(crate) struct GatewayError(Box<Details>);

#[derive(Clone, Debug)]
struct Details {
    code: Code,
    http_status: StatusCode,
    /// A stable identifier for programs.
    reason: Cow<'static, str>,
    /// A description for people.
    message: String,
    metadata: BTreeMap<String, String>,
    field_violations: Vec<FieldViolation>,
    retry_after: Option<Duration>,
    /// The value of the `allow` header.
    allowed_methods: Option<String>,
}

/// A field of the request with an invalid value.
#[derive(Clone, Debug, Serialize)]
struct FieldViolation {
    /// The path as the request writes it, such as `spec.priority`.
    field: String,
    description: String,
}

/// The JSON body of an error response.
#[derive(Serialize)]
struct Envelope<'a> {
    error: JsonError<'a>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct JsonError<'a> {
    code: &'static str,
    message: &'a str,
    reason: &'a str,
    metadata: &'a BTreeMap<String, String>,
    field_violations: &'a [FieldViolation],
    #[serde(skip_serializing_if = "Option::is_none")]
    retry_after: Option<String>,
}

/// Constructors.
impl GatewayError {
    fn new(
        code: Code,
        http_status: StatusCode,
        reason: impl Into<Cow<'static, str>>,
        message: impl Into<String>,
    ) -> Self {
        Self(Box::new(Details {
            code,
            http_status,
            reason: reason.into(),
            message: message.into(),
            metadata: BTreeMap::new(),
            field_violations: Vec::new(),
            retry_after: None,
            allowed_methods: None,
        }))
    }

    fn with_retry_after(mut self, delay: Duration) -> Self {
        self.0.retry_after = Some(delay);
        self
    }

    /// Connecting to the server failed, or the connection broke before the response.
    pub(crate) fn server_unreachable(error: &tonic::transport::Error) -> Self {
        tracing::debug!(%error, "the server is unreachable");
        Self::unavailable(
            "the gateway cannot reach the server; a change may or may not have been applied: \
             retry with the same request ID",
        )
        .with_retry_after(Duration::from_secs(1))
    }

    /// The connection to the server broke in the middle of the response.
    pub(crate) fn response_interrupted() -> Self {
        Self::unavailable("the connection to the server broke before the response was complete")
            .with_retry_after(Duration::from_secs(1))
    }

    pub(crate) fn unavailable(message: impl Into<String>) -> Self {
        let status = StatusCode::SERVICE_UNAVAILABLE;
        Self::new(Code::Unavailable, status, "SERVER_UNREACHABLE", message)
    }

    /// The client exceeds the limit of requests per second.
    pub(crate) fn rate_limited(limit: u32, retry_after: Duration) -> Self {
        let message = format!("this client address sent more than {limit} requests per second");
        let status = StatusCode::TOO_MANY_REQUESTS;
        Self::new(Code::ResourceExhausted, status, "TOO_MANY_REQUESTS", message)
            .with_retry_after(retry_after)
    }

    /// The client exceeds the limit of concurrent requests.
    pub(crate) fn too_many_in_flight(limit: u32) -> Self {
        let message = format!(
            "{limit} requests and streams of this client address are open, which is the limit: \
             close one or retry later"
        );
        let status = StatusCode::TOO_MANY_REQUESTS;
        Self::new(Code::ResourceExhausted, status, "TOO_MANY_IN_FLIGHT", message)
            .with_retry_after(Duration::from_secs(1))
    }

    pub(crate) fn body_too_large(message: impl Into<String>) -> Self {
        let status = StatusCode::PAYLOAD_TOO_LARGE;
        Self::new(Code::ResourceExhausted, status, "BODY_TOO_LARGE", message)
    }

    /// The body did not end in time.
    pub(crate) fn body_too_slow(time: Duration) -> Self {
        let message = format!("the request body did not end within {} s", time.as_secs_f64());
        let status = StatusCode::REQUEST_TIMEOUT;
        Self::new(Code::DeadlineExceeded, status, "BODY_TOO_SLOW", message)
    }

    /// The request bodies in memory, of one client or of all, are at their limit.
    pub(crate) fn too_many_body_bytes(max: usize, is_of_client: bool) -> Self {
        let (whose, reason, status) = if is_of_client {
            let status = StatusCode::TOO_MANY_REQUESTS;
            ("of this client address ", "BODIES_OF_CLIENT_TOO_LARGE", status)
        } else {
            ("", "BODIES_TOO_LARGE", StatusCode::SERVICE_UNAVAILABLE)
        };
        let message = format!(
            "the request bodies {whose}that are being received have {max} bytes, which is the \
             limit: send fewer at once or retry later"
        );
        Self::new(Code::ResourceExhausted, status, reason, message)
            .with_retry_after(Duration::from_secs(1))
    }

    /// The deadline of the call passed before the server responded.
    pub(crate) fn deadline_exceeded() -> Self {
        let message = "the deadline of the call passed before the server responded; a change may \
                       or may not have been applied: retry with the same request ID";
        let status = StatusCode::GATEWAY_TIMEOUT;
        Self::new(Code::DeadlineExceeded, status, "DEADLINE_EXCEEDED", message)
    }

    /// A fault of the gateway itself.
    pub(crate) fn internal(message: impl Into<String>) -> Self {
        Self::new(Code::Internal, StatusCode::INTERNAL_SERVER_ERROR, "INTERNAL", message)
    }

    pub(crate) fn host_not_allowed() -> Self {
        let message = "the host of the request is not a name of this gateway: use another host, \
                       or add this one with --allow-host";
        let status = StatusCode::MISDIRECTED_REQUEST;
        Self::new(Code::PermissionDenied, status, "HOST_NOT_ALLOWED", message)
    }

    pub(crate) fn origin_not_allowed(message: impl Into<String>) -> Self {
        Self::new(Code::PermissionDenied, StatusCode::FORBIDDEN, "ORIGIN_NOT_ALLOWED", message)
    }

    pub(crate) fn invalid_credential(message: impl Into<String>) -> Self {
        Self::new(Code::Unauthenticated, StatusCode::UNAUTHORIZED, "INVALID_CREDENTIAL", message)
    }

    pub(crate) fn not_found(message: impl Into<String>) -> Self {
        Self::new(Code::NotFound, StatusCode::NOT_FOUND, "NOT_FOUND", message)
    }

    pub(crate) fn invalid_request(message: impl Into<String>) -> Self {
        Self::new(Code::InvalidArgument, StatusCode::BAD_REQUEST, "INVALID_REQUEST", message)
    }

    /// The field at a path has an invalid value. An empty path means the body as a whole.
    pub(crate) fn invalid_field(path: &str, description: impl Into<String>) -> Self {
        let description = description.into();
        if path.is_empty() {
            return Self::invalid_request(description);
        }
        let field = shorten(path);
        let mut error = Self::invalid_request(format!("{field}: {description}"));
        error.0.field_violations.push(FieldViolation { field: field.into_owned(), description });
        error
    }

    pub(crate) fn no_such_route(path: &str) -> Self {
        let message = format!("no route matches {}; /openapi.json lists all routes", shorten(path));
        Self::new(Code::NotFound, StatusCode::NOT_FOUND, "NO_SUCH_ROUTE", message)
    }

    /// `allowed` is the list of methods that the path takes, as in the `allow` header.
    pub(crate) fn method_not_allowed(method: &Method, path: &str, allowed: String) -> Self {
        let (method, path) = (shorten(method.as_str()), shorten(path));
        let message = format!("{path} does not take {method}; allowed methods: {allowed}");
        let status = StatusCode::METHOD_NOT_ALLOWED;
        let mut error = Self::new(Code::Unimplemented, status, "METHOD_NOT_ALLOWED", message);
        error.0.allowed_methods = Some(allowed);
        error
    }

    pub(crate) fn unsupported_media_type(message: impl Into<String>) -> Self {
        let status = StatusCode::UNSUPPORTED_MEDIA_TYPE;
        Self::new(Code::InvalidArgument, status, "UNSUPPORTED_MEDIA_TYPE", message)
    }

    /// The gateway cannot decode the response of the server.
    pub(crate) fn unreadable_response(message: impl Into<String>) -> Self {
        Self::new(Code::Internal, StatusCode::BAD_GATEWAY, "ANSWER_UNREADABLE", message)
    }
}

impl GatewayError {
    pub(crate) fn reason(&self) -> Cow<'static, str> {
        self.0.reason.clone()
    }

    pub(crate) fn code(&self) -> Code {
        self.0.code
    }

    pub(crate) fn message(&self) -> &str {
        &self.0.message
    }

    #[cfg(test)]
    pub(crate) fn http_status(&self) -> StatusCode {
        self.0.http_status
    }

    #[cfg(test)]
    pub(crate) fn retry_after(&self) -> Option<Duration> {
        self.0.retry_after
    }

    /// Returns whether the same request may succeed a moment later.
    pub(crate) fn is_temporary(&self) -> bool {
        self.0.http_status == StatusCode::SERVICE_UNAVAILABLE
    }

    /// Returns the response in the protocol of a request with these headers.
    pub(crate) fn response_to(self, request: &HeaderMap) -> Response {
        if protocol::is_grpc_web(request) {
            self.into_grpc_web_response()
        } else {
            self.into_response()
        }
    }

    pub(crate) fn to_status(&self) -> Status {
        let Details { code, reason, message, .. } = &*self.0;
        let metadata: HashMap<_, _> = self.0.metadata.clone().into_iter().collect();
        let mut details = ErrorDetails::with_error_info(reason.clone(), DOMAIN, metadata);
        if let Some(delay) = self.0.retry_after {
            details.set_retry_info(Some(delay));
        }
        for FieldViolation { field, description } in &self.0.field_violations {
            details.add_bad_request_violation(field, description);
        }
        Status::with_error_details(*code, message.clone(), details)
    }

    /// Returns the response that a gRPC server would send.
    pub(crate) fn into_grpc_response(self) -> http::Response<tonic::body::Body> {
        self.to_status().into_http()
    }

    fn into_grpc_web_response(self) -> Response {
        let mut response = self.into_grpc_response().map(Body::new);
        response.headers_mut().insert(header::CONTENT_TYPE, protocol::GRPC_WEB_PROTO);
        response
    }

    /// Returns `{"error": {..}}` on one line.
    pub(crate) fn to_json(&self) -> Vec<u8> {
        let Details { code, message, reason, metadata, field_violations, .. } = &*self.0;
        let error = JsonError {
            code: code_name(*code),
            message,
            reason,
            metadata,
            field_violations,
            retry_after: self.0.retry_after.map(|delay| format!("{}s", delay.as_secs_f64())),
        };
        serde_json::to_vec(&Envelope { error }).expect("strings and maps of strings serialize")
    }
}

/// Keeps all details that the server sent.
impl From<Status> for GatewayError {
    fn from(status: Status) -> Self {
        let code = status.code();
        let mut error = Self::new(code, http_status(code), code_name(code), status.message());
        let details = status.get_error_details();
        if let Some(info) = details.error_info() {
            error.0.reason = Cow::Owned(info.reason.clone());
            error.0.metadata.extend(info.metadata.clone());
        }
        for violation in details.bad_request().into_iter().flat_map(|one| &one.field_violations) {
            error.0.field_violations.push(FieldViolation {
                field: violation.field.clone(),
                description: violation.description.clone(),
            });
        }
        error.0.retry_after = details.retry_info().and_then(|info| info.retry_delay);
        error
    }
}

impl IntoResponse for GatewayError {
    fn into_response(self) -> Response {
        let Details { http_status, retry_after, allowed_methods, .. } = &*self.0;
        let mut response = (*http_status, self.to_json()).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if let Some(delay) = retry_after {
            // The header takes whole seconds. Rounded down, the retry would come too early.
            let seconds = delay.as_secs() + u64::from(delay.subsec_nanos() > 0);
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds.max(1)));
        }
        if let Some(allowed) = allowed_methods.as_ref().and_then(|list| list.parse().ok()) {
            headers.insert(header::ALLOW, allowed);
        }
        if *http_status == StatusCode::UNAUTHORIZED {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response
    }
}

fn shorten(name: &str) -> Cow<'_, str> {
    match name.char_indices().nth(NAME_MAX_CHARS) {
        Some((end, _)) => Cow::Owned(format!("{}…", &name[..end])),
        None => Cow::Borrowed(name),
    }
}
