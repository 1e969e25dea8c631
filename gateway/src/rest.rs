//! REST with JSON: serves every call of the API that has a `google.api.http` rule. There is no
//! handler per call; messages are decoded and encoded by their descriptors.

mod body;
mod call;
mod decode;
pub(crate) mod descriptors;
mod encode;
#[cfg(test)]
mod fuzz;
mod query;
mod request;
pub(crate) mod routes;
mod stream;
pub(crate) mod template;
mod value;

use axum::extract::{Request, State};
use axum::response::{IntoResponse as _, Response};
use http::{HeaderMap, HeaderValue, Method, header};
use http_body::Body as _;
use prost_reflect::{DynamicMessage, Kind, ReflectMessage as _, Value};

use self::stream::StreamFormat;
use crate::error::GatewayError;
use crate::key_check;
use crate::upstream::Upstream;

/// The header in which an EventSource sends the id of the last event it received.
const LAST_EVENT_ID: &str = "last-event-id";

/// Serves all requests under `/v1`.
pub(crate) async fn serve(State(upstream): State<Upstream>, request: Request) -> Response {
    let format = StreamFormat::accepted_by(request.headers());
    handle(&upstream, format, request).await.unwrap_or_else(GatewayError::into_response)
}

async fn handle(
    upstream: &Upstream,
    format: StreamFormat,
    request: Request,
) -> Result<Response, GatewayError> {
    let path = request.uri().path().to_owned();
    // HEAD is served as GET; hyper drops the body.
    let method = match request.method() {
        &Method::HEAD => &Method::GET,
        other => other,
    };
    let (route, captures) = routes::find(method, &path)?;
    let headers = request.headers().clone();
    let (head, body) = request.into_parts();
    let ((mut message, last_event_id), held) = if body.is_end_stream() {
        (request::decode(route, captures, &head, &[])?, None)
    } else {
        // The server decides at last; this check keeps callers without a key from filling memory.
        key_check::check(upstream, headers.get(header::AUTHORIZATION)).await?;
        let body = body::read(&head, body).await?;
        let (decoded, held) = body::decode(route, captures, head, body).await?;
        (decoded, Some(held))
    };
    if !route.call.is_server_streaming() {
        let response = call::unary(upstream, route, &message, &headers).await?;
        drop(held);
        return Ok(json_response(encode::message(&response)));
    }
    drop(held);
    // The header takes precedence: on a reconnect the browser repeats the URL unchanged.
    let last_event_id = last_event_id_header(&headers)?.or(last_event_id);
    if let Some(id) = last_event_id.filter(|id| !id.is_empty()) {
        if id == stream::END_EVENT_ID {
            return Ok(stream::no_more_events());
        }
        set_cursor(&mut message, id);
    }
    match call::streaming(upstream, route, &message, &headers).await {
        Ok(messages) => Ok(stream::response(format, route.call.output(), messages)),
        Err(error) => Ok(stream::error_response(format, error)),
    }
}

fn last_event_id_header(headers: &HeaderMap) -> Result<Option<String>, GatewayError> {
    let Some(value) = headers.get(LAST_EVENT_ID) else { return Ok(None) };
    match value.to_str() {
        Ok(text) => Ok(Some(text.to_owned())),
        Err(_) => Err(GatewayError::invalid_field(LAST_EVENT_ID, "expected visible ASCII")),
    }
}

/// Sets the cursor of a request. A stream without a cursor field starts from the beginning.
fn set_cursor(message: &mut DynamicMessage, cursor: String) {
    let field = message.descriptor().get_field_by_name(stream::CURSOR);
    if let Some(field) = field.filter(|field| field.kind() == Kind::String && !field.is_list()) {
        message.set_field(&field, Value::String(cursor));
    }
}

fn json_response(body: Vec<u8>) -> Response {
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static("application/json")),
        // Jobs change often, and a cache must not serve one caller's response to another.
        (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
    ];
    (headers, body).into_response()
}
