//! Parsing of fields and the error messages.

use super::*;

fn error_of<T: std::fmt::Debug>(result: Result<T, HandlerError>) -> String {
    let error = result.expect_err("an error");
    assert!(!error.is_retryable());
    error.message().to_owned()
}

#[test]
fn fields_are_read_by_name_and_type() {
    let mut fields = Fields::parse(br#"{"ms": 5, "file": "x"}"#).expect("valid payload");
    assert_eq!(fields.number("ms", None, 10).expect("a value"), 5);
    assert_eq!(fields.number("times", Some(3), 10).expect("a default"), 3);
    assert_eq!(fields.text("file", None).expect("a value"), "x");
    assert!(fields.finish().is_ok());
}

#[test]
fn an_error_names_the_field_the_value_and_the_range() {
    let fields = || Fields::parse(br#"{"ms": "x", "n": 11, "b": 1}"#).expect("valid payload");
    let text = error_of(fields().number("ms", None, 10));
    assert_eq!(text, r#"payload.ms: expected a whole number 0..10, found "x""#);
    let text = error_of(fields().number("n", Some(1), 10));
    assert_eq!(text, "payload.n: expected a whole number 0..10, found 11");
    let text = error_of(fields().number("gone", None, 10));
    assert_eq!(text, "payload.gone: expected a whole number 0..10, found nothing");
    assert!(error_of(fields().flag("b", true)).starts_with("payload.b: "));
    assert_eq!(error_of(fields().finish()), "payload.b: not a field of this kind");
}

#[test]
fn a_payload_must_be_a_json_object() {
    assert!(error_of(Fields::parse(b"[1]").map(|_| ())).contains("expected an object"));
    assert!(error_of(Fields::parse(b"{").map(|_| ())).contains("not JSON"));
    assert!(Fields::parse(b"").is_ok());
}
