//! Responses of streaming calls: newline-delimited JSON, or server-sent events. Each message is
//! sent as it arrives. A slow client slows the server's stream down by flow control, so the
//! gateway buffers nothing.

use std::convert::Infallible;
use std::time::Duration;

use axum::body::Body;
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse as _, Response};
use bytes::Bytes;
use futures_util::Stream;
use futures_util::stream::{self, StreamExt as _};
use http::{HeaderMap, HeaderValue, StatusCode, header};
use prost_reflect::{DynamicMessage, MessageDescriptor, ReflectMessage as _, Value};
use tonic::codec::Streaming;

use super::{call, encode};
use crate::error::GatewayError;

/// The interval of keep-alive comments. Proxies close idle connections, often after 30 s.
const KEEP_ALIVE_INTERVAL: Duration = Duration::from_secs(10);

/// How long an EventSource waits before it reconnects.
const RECONNECT_DELAY: Duration = Duration::from_secs(1);

/// The id of the `end` event. An EventSource that reconnects with it gets no further events.
pub(crate) const END_EVENT_ID: &str = "end";

/// The field of a request to resume from, and of a response to resume after.
pub(crate) const CURSOR: &str = "cursor";

/// The encoding of a stream of messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum StreamFormat {
    /// `application/x-ndjson`: one JSON object per line.
    NdJson,
    /// `text/event-stream`.
    ServerSentEvents,
}

impl StreamFormat {
    /// Returns the format that the `accept` header asks for; the default is newline-delimited
    /// JSON.
    pub(crate) fn accepted_by(headers: &HeaderMap) -> Self {
        let accept = headers.get_all(header::ACCEPT).into_iter();
        let mut accept = accept.filter_map(|value| value.to_str().ok());
        let has_event_stream = |list: &str| {
            list.split(',').any(|one| {
                one.split(';').next().is_some_and(|one| one.trim() == "text/event-stream")
            })
        };
        if accept.any(has_event_stream) { Self::ServerSentEvents } else { Self::NdJson }
    }
}

/// A message of the stream, or the error that ended it.
type Item = Result<DynamicMessage, GatewayError>;

/// Returns the messages of a stream in a format.
pub(crate) fn response(
    format: StreamFormat,
    output: MessageDescriptor,
    messages: Streaming<Bytes>,
) -> Response {
    let items = decoded(output, messages);
    match format {
        StreamFormat::NdJson => {
            let lines = items.map(|item| {
                let mut line =
                    item.map_or_else(|error| error.to_json(), |message| encode::message(&message));
                line.push(b'\n');
                Ok::<_, Infallible>(line)
            });
            let mut response = Response::new(Body::from_stream(lines));
            let ndjson = HeaderValue::from_static("application/x-ndjson");
            response.headers_mut().insert(header::CONTENT_TYPE, ndjson);
            unbuffered(response)
        }
        StreamFormat::ServerSentEvents => event_stream(events(items)),
    }
}

/// Returns the error of a stream that did not start.
///
/// An EventSource never reconnects after a status other than 200. So a temporary error becomes
/// an event, and a page recovers from a restart of the server.
pub(crate) fn error_response(format: StreamFormat, error: GatewayError) -> Response {
    if format == StreamFormat::ServerSentEvents && error.is_temporary() {
        return event_stream(stream::iter([Ok(error_event(&error))]));
    }
    error.into_response()
}

/// Returns the response to an EventSource that reconnects after the `end` event. The status 204
/// stops it from reconnecting again.
pub(crate) fn no_more_events() -> Response {
    StatusCode::NO_CONTENT.into_response()
}

/// Decodes messages up to the first error, which is the last item.
fn decoded(
    output: MessageDescriptor,
    messages: Streaming<Bytes>,
) -> impl Stream<Item = Item> + Send {
    stream::unfold(Some(messages), move |messages| {
        let output = output.clone();
        async move {
            let mut messages = messages?;
            match messages.message().await {
                Ok(Some(message)) => match call::decode(output, message) {
                    Ok(message) => Some((Ok(message), Some(messages))),
                    Err(error) => Some((Err(error), None)),
                },
                Ok(None) => None,
                Err(status) => Some((Err(status.into()), None)),
            }
        }
    })
}

/// Returns the events of a stream. A stream that ends without an error ends with an `end` event.
fn events(
    items: impl Stream<Item = Item> + Send + 'static,
) -> impl Stream<Item = Result<Event, Infallible>> + Send + 'static {
    let items = Some(Box::pin(items));
    stream::unfold(items, |items| async move {
        let mut items = items?;
        Some(match items.next().await {
            Some(Ok(message)) => (Ok(message_event(&message)), Some(items)),
            Some(Err(error)) => (Ok(error_event(&error)), None),
            None => (Ok(Event::default().id(END_EVENT_ID).event("end").data("{}")), None),
        })
    })
}

fn event_stream(
    events: impl Stream<Item = Result<Event, Infallible>> + Send + 'static,
) -> Response {
    let first = stream::iter([Ok(Event::default().retry(RECONNECT_DELAY))]);
    let keep_alive = KeepAlive::new().interval(KEEP_ALIVE_INTERVAL);
    unbuffered(Sse::new(first.chain(events)).keep_alive(keep_alive).into_response())
}

/// Prevents proxies from caching, compressing or buffering the response.
fn unbuffered(mut response: Response) -> Response {
    let headers = response.headers_mut();
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store, no-transform"));
    // nginx buffers small responses without this header.
    headers.insert("x-accel-buffering", HeaderValue::from_static("no"));
    response
}

fn message_event(message: &DynamicMessage) -> Event {
    let event = Event::default();
    let cursor = message.get_field_by_name(CURSOR);
    let event = match cursor.as_deref().and_then(Value::as_str).filter(|text| is_event_id(text)) {
        Some(cursor) => event.id(cursor),
        None => event,
    };
    event.event(event_name(message)).data(text(encode::message(message)))
}

fn error_event(error: &GatewayError) -> Event {
    Event::default().event("error").data(text(error.to_json()))
}

/// Returns whether a text can be the id of an event. Axum panics on others.
fn is_event_id(text: &str) -> bool {
    !text.is_empty() && !text.contains(['\0', '\r', '\n'])
}

/// Returns the name of the field that is set in the message's oneof, such as `snapshot`.
fn event_name(message: &DynamicMessage) -> String {
    let descriptor = message.descriptor();
    let mut oneofs = descriptor.oneofs().filter(|oneof| !oneof.is_synthetic());
    let set = oneofs.next().and_then(|oneof| oneof.fields().find(|field| message.has_field(field)));
    set.map_or_else(|| "message".to_owned(), |field| field.json_name().to_owned())
}

fn text(json: Vec<u8>) -> String {
    String::from_utf8(json).expect("JSON is UTF-8")
}
