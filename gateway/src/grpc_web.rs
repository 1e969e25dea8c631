//! Proxies gRPC-Web calls to the server. Messages are not decoded, so a new call of the API needs
//! no change here: frames are passed on as they arrive, and trailers become the last frame.

use axum::body::Body;
use axum::extract::{Request, State};
use axum::response::Response;
use futures_util::TryStreamExt as _;
use http::header;
use http_body_util::{BodyStream, StreamBody};
use tonic_web::GrpcWebLayer;
use tower::{Layer as _, ServiceExt as _};

use crate::error::GatewayError;
use crate::protocol;
use crate::request_body::BodyContext;
use crate::upstream::Upstream;

/// The path prefix of the API's services. The server has other services, such as reflection,
/// that browsers may not call.
const API_PREFIX: &str = "/sentinel.";

/// Request headers that are not forwarded. The content length is that of the base64 text, not
/// of the decoded body.
const NOT_FORWARDED: [header::HeaderName; 4] =
    [header::CONTENT_LENGTH, header::COOKIE, header::HOST, header::ORIGIN];

/// Forwards a call to the server and returns its response.
pub(crate) async fn proxy(State(upstream): State<Upstream>, mut request: Request) -> Response {
    let path = request.uri().path();
    if !protocol::is_grpc_web(request.headers()) || !path.starts_with(API_PREFIX) {
        let message = format!(
            "no route matches POST {path}; send gRPC-Web calls to the services of the API, and \
             REST calls to /v1"
        );
        return GatewayError::not_found(message).response_to(request.headers());
    }
    for name in NOT_FORWARDED {
        request.headers_mut().remove(name);
    }
    // GrpcWebLayer keeps the size hint of the base64 text, and HTTP/2 fails when the body is
    // shorter. A stream has no size hint.
    let service = upstream.map_request(|request: http::Request<tonic::body::Body>| {
        let context = request.extensions().get::<BodyContext>().cloned().unwrap_or_default();
        request.map(|body| {
            // Kept for the response: the transport reports a body that fails as a broken stream.
            let frames = BodyStream::new(body).map_err(move |status| {
                let text = format!("the body is not a gRPC-Web message: {}", status.message());
                context.failure.set(GatewayError::invalid_request(text));
                status
            });
            tonic::body::Body::new(StreamBody::new(frames))
        })
    });
    let Ok(response) = GrpcWebLayer::new().layer(service).oneshot(request).await;
    response.map(Body::new)
}
