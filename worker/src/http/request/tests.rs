//! Valid and invalid payloads.

use super::*;

fn parse(payload: &str) -> Result<Request, HandlerError> {
    Request::parse(payload.as_bytes(), &Secrets::default())
}

#[test]
fn a_request_has_defaults() {
    let request = parse(r#"{"url":"https://example.com/a?b#c"}"#).expect("valid payload");
    assert_eq!(
        (request.method.as_str(), request.url.as_str()),
        ("POST", "https://example.com/a?b")
    );
    assert_eq!((request.timeout.as_secs(), request.max_redirects), (30, 5));
    assert_eq!((request.max_response_bytes, request.body.len()), (256 << 10, 0));
    for (status, is_retryable) in [
        (400, false),
        (404, false),
        (408, true),
        (425, true),
        (429, true),
        (500, true),
        (503, true),
    ] {
        assert_eq!(
            request.is_retryable(StatusCode::from_u16(status).expect("a valid status")),
            is_retryable,
            "{status}"
        );
    }
    assert_eq!(request.summary(), "POST https://example.com/a, 0 bytes");
}

#[test]
fn retry_statuses_replace_the_defaults() {
    let request =
        parse(r#"{"url":"http://a","retry_statuses":[404,"5xx"]}"#).expect("valid payload");
    for (status, is_retryable) in [(404, true), (429, false), (502, true), (400, false)] {
        assert_eq!(
            request.is_retryable(StatusCode::from_u16(status).expect("a valid status")),
            is_retryable,
            "{status}"
        );
    }
    let request = parse(r#"{"url":"http://a","retry_statuses":[]}"#).expect("valid payload");
    assert!(!request.is_retryable(StatusCode::INTERNAL_SERVER_ERROR));
}

#[test]
fn a_body_is_text_or_base64() {
    let request = parse(r#"{"url":"http://a","body":"é"}"#).expect("valid payload");
    assert_eq!(&request.body[..], "é".as_bytes());
    let request = parse(r#"{"url":"http://a","body_base64":"AP8="}"#).expect("valid payload");
    assert_eq!(&request.body[..], [0, 255]);
}

#[test]
fn an_error_names_the_field_the_value_and_the_range() {
    for (payload, part) in [
        ("", "payload.url: expected a string, found nothing"),
        (r#"{"url":7}"#, "payload.url: expected a string, found 7"),
        (r#"{"url":"example.com"}"#, "payload.url: expected a URL such as https://host/path"),
        (r#"{"url":"file:///etc/passwd"}"#, "payload.url: expected http:// or https://"),
        (r#"{"url":"http://u:p@a/"}"#, "payload.url: has a user or a password"),
        (r#"{"url":"http://a:0/"}"#, "payload.url: has no valid host and port"),
        (r#"{"url":"http://a","method":"TRACE"}"#, "payload.method: expected one of GET, HEAD"),
        (r#"{"url":"http://a","method":"post"}"#, "payload.method: expected one of"),
        (r#"{"url":"http://a","headers":[]}"#, "payload.headers: expected an object, found []"),
        (
            r#"{"url":"http://a","headers":{"a":1}}"#,
            "payload.headers.a: expected a string, found 1",
        ),
        (r#"{"url":"http://a","headers":{"a b":""}}"#, "payload.headers.a b: is not a valid"),
        (r#"{"url":"http://a","headers":{"a":"x\ny"}}"#, "payload.headers.a: expected visible"),
        (r#"{"url":"http://a","headers":{"Host":"x"}}"#, "payload.headers.Host: is set by the"),
        (r#"{"url":"http://a","headers":{"Sentinel-Signature":"x"}}"#, "is set by the worker"),
        (r#"{"url":"http://a","headers":{"a":"1","A":"2"}}"#, "is listed twice"),
        (r#"{"url":"http://a","body":1}"#, "payload.body: expected a string, found 1"),
        (
            r#"{"url":"http://a","body":"a","body_base64":"YQ=="}"#,
            "payload.body: cannot be combined with payload.b",
        ),
        (r#"{"url":"http://a","body_base64":"?"}"#, "payload.body_base64: is not valid base64"),
        (r#"{"url":"http://a","method":"GET","body":"a"}"#, "payload.body: is not sent with GET"),
        (
            r#"{"url":"http://a","timeout_ms":0}"#,
            "payload.timeout_ms: expected a whole number 1..600",
        ),
        (r#"{"url":"http://a","timeout_ms":600001}"#, "1..600000, found 600001"),
        (
            r#"{"url":"http://a","max_redirects":11}"#,
            "payload.max_redirects: expected a whole number 0..10",
        ),
        (
            r#"{"url":"http://a","retry_statuses":[200]}"#,
            "payload.retry_statuses[0]: expected a status",
        ),
        (r#"{"url":"http://a","retry_statuses":["2xx"]}"#, "payload.retry_statuses[0]: expected"),
        (r#"{"url":"http://a","max_response_bytes":524289}"#, "expected a whole number 0..524288"),
        (
            r#"{"url":"http://a","signature_secret":"x"}"#,
            "payload.signature_secret: expected the name",
        ),
        (r#"{"url":"http://a","x":1}"#, "payload.x: not a field of this kind"),
    ] {
        let error = parse(payload).err().expect(payload);
        assert!(error.message().contains(part), "{payload}: {}", error.message());
        assert!(!error.is_retryable(), "{payload}");
    }
    let long = format!(r#"{{"url":"http://a/{}"}}"#, "x".repeat(MAX_URL_BYTES));
    let error = parse(&long).err().expect("an error");
    assert_eq!(error.message(), "payload.url: expected at most 8192 bytes, found 8201");
}

#[test]
fn other_notations_of_an_address_are_normalized() {
    for notation in [
        "2130706433",
        "0x7f000001",
        "0x7f.1",
        "017700000001",
        "127.1",
        "0177.0.0.01",
        "127。0。0。1",
    ] {
        let request = parse(&format!(r#"{{"url":"http://{notation}/"}}"#)).expect(notation);
        assert_eq!(request.url.host_str(), Some("127.0.0.1"), "{notation}");
    }
}

#[test]
fn the_schema_has_all_fields() {
    let schema: Value = serde_json::from_str(super::super::INPUT_SCHEMA).expect("JSON");
    let properties = schema["properties"].as_object().expect("properties");
    assert_eq!(properties.len(), 10);
    for field in properties.keys() {
        // The error is about the value of a known field and about the name of an unknown one.
        let payload = serde_json::json!({ "url": "http://a", field.as_str(): { "invalid": 1 } });
        let error = parse(&payload.to_string()).err().expect(field);
        assert!(error.message().starts_with(&format!("payload.{field}")), "{}", error.message());
        assert!(!error.message().contains("not a field"), "{field}");
    }
}
