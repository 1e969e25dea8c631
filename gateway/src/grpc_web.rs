//! gRPC-Web, proxied without a look into the messages: a new call of the contract needs nothing
//! here. Frames are passed on as they come, trailers become the last frame of the body.

use axum::body::Body;
use axum::extract::{Request, State};
use axum::response::Response;
use http::{HeaderMap, HeaderValue, header};
use http_body_util::{BodyStream, StreamBody};
use tonic_web::GrpcWebLayer;
use tower::{Layer as _, ServiceExt as _};

use crate::refusal::Refusal;
use crate::upstream::Upstream;

/// The media type of an answer without a body.
pub(crate) const PROTO: HeaderValue = HeaderValue::from_static("application/grpc-web+proto");

/// What the names of the contract's services begin with; the server has others, which are no
/// business of browsers.
const PACKAGES: &str = "/sentinel.";

/// Headers of a browser that are no business of the server. The length is that of the body before
/// its base64 was taken off.
const OWN: [header::HeaderName; 4] =
    [header::CONTENT_LENGTH, header::COOKIE, header::HOST, header::ORIGIN];

/// Whether the sender speaks gRPC-Web, binary or text.
pub(crate) fn is_spoken_in(headers: &HeaderMap) -> bool {
    let content_type = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    content_type.is_some_and(|value| value.starts_with("application/grpc-web"))
}

/// Takes a call to the server and its answer back.
pub(crate) async fn proxy(State(upstream): State<Upstream>, mut request: Request) -> Response {
    let path = request.uri().path();
    if !is_spoken_in(request.headers()) || !path.starts_with(PACKAGES) {
        let message = format!("nothing is at {path} for POST; gRPC-Web calls and /v1 are");
        return Refusal::not_found(message).answer(request.headers());
    }
    for name in OWN {
        request.headers_mut().remove(name);
    }
    // The layer says that the body is as long as its base64, which HTTP/2 holds us to.
    let call = upstream.map_request(|request: http::Request<tonic::body::Body>| {
        request.map(|body| tonic::body::Body::new(StreamBody::new(BodyStream::new(body))))
    });
    let Ok(answer) = GrpcWebLayer::new().layer(call).oneshot(request).await;
    answer.map(Body::new)
}
