//! Streams of answers: lines of JSON, or server-sent events for EventSource. Each answer goes
//! out when it comes; a reader that is slow slows the server's stream, not this process's memory.

use std::time::Duration;

use axum::body::Body;
use axum::response::{IntoResponse as _, Response};
use bytes::Bytes;
use futures_util::stream;
use http::{HeaderMap, HeaderValue, StatusCode, header};
use prost_reflect::{DynamicMessage, MessageDescriptor, ReflectMessage as _, Value};
use tonic::codec::Streaming;

use super::call;
use super::fault::Fault;
use super::write;

/// Proxies cut connections on which nothing passes, often after 30 or 60 s.
const HEARTBEAT: Duration = Duration::from_secs(10);

/// How long a browser waits before it comes back, in ms.
const RETRY_MS: u32 = 1_000;

/// The id of the last event. A browser that comes back with it is told that there is no more.
pub(crate) const ENDED: &str = "end";

/// The field that says where a stream can be resumed.
pub(crate) const CURSOR: &str = "cursor";

/// How the answers of a stream are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    /// `application/x-ndjson`.
    Lines,
    /// `text/event-stream`.
    Events,
}

impl Form {
    pub(crate) fn wanted(headers: &HeaderMap) -> Self {
        let accepted = headers.get_all(header::ACCEPT).into_iter();
        let mut accepted = accepted.filter_map(|value| value.to_str().ok());
        let is_events = |list: &str| {
            list.split(',').any(|one| {
                one.split(';').next().is_some_and(|one| one.trim() == "text/event-stream")
            })
        };
        if accepted.any(is_events) { Self::Events } else { Self::Lines }
    }

    const fn media_type(self) -> &'static str {
        match self {
            Self::Lines => "application/x-ndjson",
            Self::Events => "text/event-stream",
        }
    }
}

/// An open stream as the body of an answer.
pub(crate) fn answer(form: Form, output: MessageDescriptor, answers: Streaming<Bytes>) -> Response {
    let open = Open { form, output, answers: Some(answers), is_begun: false };
    let body = Body::from_stream(stream::unfold(open, |mut open| async move {
        let bytes = open.next().await?;
        Some((Ok::<_, std::convert::Infallible>(bytes), open))
    }));
    with_headers(form, body)
}

/// EventSource gives up for good on any status but 200, so an error that passes must be one of
/// the stream, or a page stays dead after a restart of the server.
pub(crate) fn refuse(form: Form, fault: Fault) -> Response {
    if form == Form::Events && fault.is_passing() {
        let mut body = begin();
        body.extend(event("error", None, &fault.to_json()));
        return with_headers(form, Body::from(body));
    }
    fault.into_response()
}

/// What a browser is told that comes back after the end: 204 keeps it from coming again.
pub(crate) fn ended() -> Response {
    StatusCode::NO_CONTENT.into_response()
}

fn with_headers(form: Form, body: Body) -> Response {
    let mut answer = Response::new(body);
    let headers = answer.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(form.media_type()));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store, no-transform"));
    // nginx keeps back what is small otherwise.
    headers.insert("x-accel-buffering", HeaderValue::from_static("no"));
    answer
}

struct Open {
    form: Form,
    output: MessageDescriptor,
    /// `None`: it has ended.
    answers: Option<Streaming<Bytes>>,
    is_begun: bool,
}

impl Open {
    async fn next(&mut self) -> Option<Bytes> {
        if !self.is_begun && self.form == Form::Events {
            self.is_begun = true;
            return Some(begin().into());
        }
        let answers = self.answers.as_mut()?;
        let waited = match self.form {
            // Blank lines are no JSON, so there is no heartbeat among lines.
            Form::Lines => Ok(answers.message().await),
            Form::Events => tokio::time::timeout(HEARTBEAT, answers.message()).await,
        };
        let bytes = match waited {
            Err(_) => b":\n\n".to_vec(),
            Ok(Ok(Some(answer))) => match call::decode(self.output.clone(), answer) {
                Ok(message) => self.write(&message),
                Err(fault) => self.fail(&fault),
            },
            Ok(Ok(None)) => {
                self.answers = None;
                match self.form {
                    Form::Lines => return None,
                    Form::Events => event("end", Some(ENDED), b"{}"),
                }
            }
            Ok(Err(status)) => self.fail(&status.into()),
        };
        Some(bytes.into())
    }

    fn fail(&mut self, fault: &Fault) -> Vec<u8> {
        self.answers = None;
        match self.form {
            Form::Lines => line(fault.to_json()),
            Form::Events => event("error", None, &fault.to_json()),
        }
    }

    fn write(&self, message: &DynamicMessage) -> Vec<u8> {
        let json = write::message(message);
        match self.form {
            Form::Lines => line(json),
            Form::Events => {
                let cursor = message.get_field_by_name(CURSOR);
                let cursor = cursor.as_deref().and_then(Value::as_str);
                event(&kind_of(message), cursor.filter(|text| !text.is_empty()), &json)
            }
        }
    }
}

/// The name of what is in the message, where it is one of several things.
fn kind_of(message: &DynamicMessage) -> String {
    let descriptor = message.descriptor();
    let mut oneofs = descriptor.oneofs().filter(|oneof| !oneof.is_synthetic());
    let set = oneofs.next().and_then(|oneof| oneof.fields().find(|field| message.has_field(field)));
    set.map_or_else(|| "message".to_owned(), |field| field.json_name().to_owned())
}

fn line(mut json: Vec<u8>) -> Vec<u8> {
    json.push(b'\n');
    json
}

fn begin() -> Vec<u8> {
    format!("retry: {RETRY_MS}\n\n").into_bytes()
}

fn event(kind: &str, id: Option<&str>, data: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(data.len() + 64);
    if let Some(id) = id {
        out.extend(format!("id: {id}\n").bytes());
    }
    out.extend(format!("event: {kind}\ndata: ").bytes());
    out.extend(data);
    out.extend(b"\n\n");
    out
}
