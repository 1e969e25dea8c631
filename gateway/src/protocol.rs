//! Tells gRPC-Web requests from plain HTTP by their headers.

use http::{HeaderMap, HeaderValue, header};

/// The content type of a gRPC-Web response without a body.
pub(crate) const GRPC_WEB_PROTO: HeaderValue =
    HeaderValue::from_static("application/grpc-web+proto");

/// Returns whether the request is gRPC-Web, in its binary or its text encoding.
pub(crate) fn is_grpc_web(headers: &HeaderMap) -> bool {
    let content_type = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    content_type.is_some_and(|value| value.starts_with("application/grpc-web"))
}
