//! Requests of any bytes: each is refused in words that name the field, or it is a message that
//! survives its way through protobuf and through JSON.

use axum::body::Body;
use axum::extract::Request;
use futures_util::FutureExt as _;
use http::{Method, StatusCode, header};
use prost::Message as _;
use prost_reflect::{DynamicMessage, ReflectMessage as _};
use sentinel_fuzz::Target;
use serde_json::Value as Json;

use super::fault::{FIELD_MAX, Fault};
use super::{read, request, routes, write};

/// A line `METHOD /path?query`, and the body behind it.
static REQUEST: Target = Target {
    manifest_dir: env!("CARGO_MANIFEST_DIR"),
    name: "rest_request",
    check: |bytes| {
        let (head, body) = match bytes.iter().position(|byte| *byte == b'\n') {
            Some(at) => (&bytes[..at], &bytes[at + 1..]),
            None => (bytes, &[][..]),
        };
        let Ok(head) = std::str::from_utf8(head) else { return 0 };
        let Some((method, target)) = head.split_once(' ') else { return 0 };
        let Ok(method) = Method::from_bytes(method.as_bytes()) else { return 0 };
        let request = Request::builder()
            .method(method.clone())
            .uri(target)
            .header(header::CONTENT_TYPE, "application/json")
            .body(Body::from(body.to_vec()));
        let Ok(request) = request else { return 0 };
        match read_one(&method, request) {
            Ok(message) => {
                survives(&message);
                3
            }
            Err(fault) => is_precise(&fault),
        }
    },
    seeds,
};

fn read_one(method: &Method, request: Request) -> Result<DynamicMessage, Fault> {
    let path = request.uri().path().to_owned();
    let (route, captures) = routes::find(method, &path)?;
    let read = request::message(route, captures, request).now_or_never();
    read.expect("the body is there already").map(|(message, _)| message)
}

/// How far it got: 1 for no route, 2 for a field that is told.
fn is_precise(fault: &Fault) -> usize {
    assert!(fault.status().is_client_error(), "{fault:?}");
    let json = fault.to_json();
    let json: Json = serde_json::from_slice(&json).expect("JSON");
    let error = &json["error"];
    let told = error["message"].as_str().expect("a message").chars().count();
    assert!((1..2_048).contains(&told), "{told} characters of {fault:?}");
    let violations = error["fieldViolations"].as_array().expect("a list");
    for one in violations {
        let field = one["field"].as_str().expect("a field").chars().count();
        assert!((1..=FIELD_MAX + 1).contains(&field), "{field} characters of {fault:?}");
        assert_ne!(one["description"].as_str(), Some(""));
    }
    if fault.status() == StatusCode::NOT_FOUND { 1 } else { 1 + violations.len() }
}

fn survives(message: &DynamicMessage) {
    let descriptor = message.descriptor();
    // As JSON, not as they are: a map has no order, and what is set to its default is as not set.
    let text = |message| String::from_utf8(write::message(message)).expect("UTF-8");
    let json = text(message);
    let bytes = message.encode_to_vec();
    let again = DynamicMessage::decode(descriptor.clone(), bytes.as_slice()).expect("protobuf");
    assert_eq!(text(&again), json);
    let read = read::json(&json).and_then(|json| read::message(&descriptor, json, ""));
    let read = read.unwrap_or_else(|fault| panic!("{json}: {fault:?}"));
    assert_eq!(text(&read), json);
}

fn seeds() -> Vec<(&'static str, Vec<u8>)> {
    let job = r#"{"spec":{"queue":"mail","kind":"mail.send","payload":{"to":["a",1e3,null]},"#;
    let enqueue = format!(
        r#"POST /v1/jobs
{job}"labels":{{"a":"b"}},"delay":"1.5s","retry":{{"maxAttempts":3,"jitter":"JITTER_FULL"}}}}}}"#
    );
    let bytes = r#"POST /v1/jobs
{"spec":{"queue":"q","kind":"k","payload":"AAEC","contentType":"application/octet-stream","priority":5,"runAt":"2026-01-02T03:04:05Z"}}"#;
    let batch = r#"POST /v1/jobs:batchEnqueue
{"specs":[{"queue":"q","kind":"k"},{"queue":"q","kind":"k","unique":{"key":"u"}}]}"#;
    let list = "GET /v1/jobs?filter.queues=a&filter.queues=b&filter.states=JOB_STATE_FAILED&filter.labels.x=1&pageSize=9";
    let watch = "GET /v1/jobs:watch?jobs.ids=0198c0de-0000-7000-8000-000000000000&includeLogs=true&lastEventId=1-2";
    let counts = "GET /v1/counts?queues=default";
    let update = "PATCH /v1/queues/mail\n{\"priorityBoost\":\"60s\",\"description\":null}";
    let long = format!("POST /v1/jobs\n{{\"{}\":1}}", "x".repeat(3_000));
    let unknown = "POST /v1/jobs\n{\"spec\":{\"colour\":1}}";
    [
        ("enqueue", enqueue.as_str()),
        ("enqueue-bytes", bytes),
        ("enqueue-batch", batch),
        ("list", list),
        ("watch", watch),
        ("counts", counts),
        ("update-queue", update),
        ("unknown-field", unknown),
        ("long-field", &long),
    ]
    .map(|(name, text)| (name, text.as_bytes().to_vec()))
    .to_vec()
}

#[test]
fn requests_of_any_bytes() {
    REQUEST.test();
}

/// The seeds are what they are called: else the dice begin from nothing.
#[test]
fn the_seeds_are_read() {
    for (name, input) in seeds() {
        let reached = (REQUEST.check)(&input);
        let wanted = if name.ends_with("-field") { 2 } else { 3 };
        assert_eq!(reached, wanted, "{name}: {}", String::from_utf8_lossy(&input));
    }
}

#[test]
#[ignore = "a long dose; run with cargo xtask soak"]
fn soak_requests() {
    REQUEST.soak(1);
}
