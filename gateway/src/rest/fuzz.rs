//! Fuzz test of request decoding. A request is either refused with a precise error, or it is a
//! message that survives a round trip through protobuf and through JSON.

use http::request::Parts;
use http::{Method, Request, StatusCode, header};
use prost::Message as _;
use prost_reflect::{DynamicMessage, ReflectMessage as _};
use sentinel_fuzz::Target;
use serde_json::Value as Json;

use super::{decode, encode, request, routes};
use crate::error::{GatewayError, NAME_MAX_CHARS};

/// The input is a line `METHOD /path?query`, followed by the body.
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
            .body(());
        let Ok(request) = request else { return 0 };
        match decode_request(&method, &request.into_parts().0, body) {
            Ok(message) => {
                assert_round_trips(&message);
                3
            }
            Err(error) => assert_precise(&error),
        }
    },
    seeds,
};

fn decode_request(
    method: &Method,
    head: &Parts,
    body: &[u8],
) -> Result<DynamicMessage, GatewayError> {
    let (route, captures) = routes::find(method, head.uri.path())?;
    request::decode(route, captures, head, body).map(|(message, _)| message)
}

/// Returns how far decoding got: 1 for an unknown route, more for invalid fields.
fn assert_precise(error: &GatewayError) -> usize {
    assert!(error.http_status().is_client_error(), "{error:?}");
    let json: Json = serde_json::from_slice(&error.to_json()).expect("the error is JSON");
    let json = &json["error"];
    let message = json["message"].as_str().expect("the message is a string").chars().count();
    assert!((1..2_048).contains(&message), "{message} characters in {error:?}");
    let violations = json["fieldViolations"].as_array().expect("the violations are a list");
    for one in violations {
        let field = one["field"].as_str().expect("the field is a string").chars().count();
        assert!((1..=NAME_MAX_CHARS + 1).contains(&field), "{field} characters in {error:?}");
        assert_ne!(one["description"].as_str(), Some(""));
    }
    if error.http_status() == StatusCode::NOT_FOUND { 1 } else { 1 + violations.len() }
}

fn assert_round_trips(message: &DynamicMessage) {
    let descriptor = message.descriptor();
    // Compared as JSON: in a message, maps have no order and a default may be set or unset.
    let text = |message| String::from_utf8(encode::message(message)).expect("JSON is UTF-8");
    let json = text(message);
    let bytes = message.encode_to_vec();
    let again = DynamicMessage::decode(descriptor.clone(), bytes.as_slice())
        .expect("an encoded message decodes");
    assert_eq!(text(&again), json);
    let limit = decode::ValueLimit::default();
    let decoded =
        decode::json(&json).and_then(|json| decode::message(&descriptor, json, "", &limit));
    let decoded = decoded.unwrap_or_else(|error| panic!("{json}: {error:?}"));
    assert_eq!(text(&decoded), json);
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
fn fuzz_requests() {
    REQUEST.test();
}

/// Mutation of seeds finds little when the seeds are not valid themselves.
#[test]
fn seeds_reach_the_decoder() {
    for (name, input) in seeds() {
        let reached = (REQUEST.check)(&input);
        let expected = if name.ends_with("-field") { 2 } else { 3 };
        assert_eq!(reached, expected, "{name}: {}", String::from_utf8_lossy(&input));
    }
}

#[test]
#[ignore = "runs for minutes: cargo xtask soak"]
fn soak_requests() {
    REQUEST.soak(1);
}
