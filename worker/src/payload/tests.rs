//! Refusals name the field.

use super::*;

fn refused<T: std::fmt::Debug>(result: Result<T, HandlerError>) -> String {
    let error = result.expect_err("is refused");
    assert!(!error.is_retryable());
    error.message().to_owned()
}

#[test]
fn reads_fields() {
    let mut fields = Fields::parse(br#"{"ms": 5, "file": "x"}"#).expect("parses");
    assert_eq!(fields.number("ms", None, 10).expect("is there"), 5);
    assert_eq!(fields.number("times", Some(3), 10).expect("has a default"), 3);
    assert_eq!(fields.text("file", None).expect("is there"), "x");
    assert!(fields.end().is_ok());
}

#[test]
fn names_the_field() {
    let fields = || Fields::parse(br#"{"ms": "x", "n": 11, "b": 1}"#).expect("parses");
    let text = refused(fields().number("ms", None, 10));
    assert_eq!(text, r#"payload.ms: expected a whole number 0..10, found "x""#);
    let text = refused(fields().number("n", Some(1), 10));
    assert_eq!(text, "payload.n: expected a whole number 0..10, found 11");
    let text = refused(fields().number("gone", None, 10));
    assert_eq!(text, "payload.gone: expected a whole number 0..10, found nothing");
    assert!(refused(fields().flag("b", true)).starts_with("payload.b: "));
    assert_eq!(refused(fields().end()), "payload.b: not a field of this kind");
}

#[test]
fn refuses_what_is_not_an_object() {
    assert!(refused(Fields::parse(b"[1]").map(|_| ())).contains("expected an object"));
    assert!(refused(Fields::parse(b"{").map(|_| ())).contains("not JSON"));
    assert!(Fields::parse(b"").is_ok());
}
