//! REST with JSON: every call of the contract that has an HTTP rule, by that rule. There is no
//! handler per call; messages are read and written by their descriptors.

mod call;
pub(crate) mod contract;
mod fault;
#[cfg(test)]
mod fuzz;
mod query;
mod read;
mod request;
pub(crate) mod routes;
mod stream;
mod template;
mod value;
pub(crate) mod write;

use axum::extract::{Request, State};
use axum::response::{IntoResponse as _, Response};
use http::{HeaderMap, HeaderValue, Method, header};
use prost_reflect::{DynamicMessage, Kind, ReflectMessage as _, Value};

pub(crate) use self::fault::Fault;
use self::stream::Form;
pub(crate) use self::template::last;
use crate::upstream::Upstream;

/// How EventSource says what it has seen.
const LAST_EVENT_ID: &str = "last-event-id";

/// Answers any request under /v1.
pub(crate) async fn serve(State(upstream): State<Upstream>, request: Request) -> Response {
    let form = Form::wanted(request.headers());
    match answer(&upstream, form, request).await {
        Ok(answer) => answer,
        Err(fault) => fault.into_response(),
    }
}

async fn answer(upstream: &Upstream, form: Form, request: Request) -> Result<Response, Fault> {
    let path = request.uri().path().to_owned();
    // What is answered to HEAD is what GET is answered; the body is dropped on its way out.
    let method = match request.method() {
        &Method::HEAD => &Method::GET,
        other => other,
    };
    let (route, captures) = routes::find(method, &path)?;
    let headers = request.headers().clone();
    let (mut message, last_event) = request::message(route, captures, request).await?;
    if !route.call.is_server_streaming() {
        let answer = call::unary(upstream, route, &message, &headers).await?;
        return Ok(json(write::message(&answer)));
    }
    let last_event = last_event_of(&headers)?.or(last_event);
    if let Some(last) = last_event.filter(|last| !last.is_empty()) {
        if last == stream::ENDED {
            return Ok(stream::ended());
        }
        resume(&mut message, last);
    }
    match call::streaming(upstream, route, &message, &headers).await {
        Ok(answers) => Ok(stream::answer(form, route.call.output(), answers)),
        Err(fault) => Ok(stream::refuse(form, fault)),
    }
}

/// The header counts more than the URL, which a browser keeps as it was at first.
fn last_event_of(headers: &HeaderMap) -> Result<Option<String>, Fault> {
    let Some(value) = headers.get(LAST_EVENT_ID) else { return Ok(None) };
    match value.to_str() {
        Ok(text) => Ok(Some(text.to_owned())),
        Err(_) => Err(Fault::invalid(LAST_EVENT_ID, "is no text")),
    }
}

/// A stream without a cursor begins anew.
fn resume(message: &mut DynamicMessage, cursor: String) {
    let field = message.descriptor().get_field_by_name(stream::CURSOR);
    if let Some(field) = field.filter(|field| field.kind() == Kind::String && !field.is_list()) {
        message.set_field(&field, Value::String(cursor));
    }
}

fn json(body: Vec<u8>) -> Response {
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static("application/json")),
        // Of jobs nothing is true for long, and a cache may not show it to another caller.
        (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
    ];
    (headers, body).into_response()
}
