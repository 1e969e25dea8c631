//! Valid and invalid payloads.

use super::*;
use crate::exec::Programs;

fn config() -> Config {
    Config {
        programs: Programs::read(["sh=/bin/sh", "true=/bin/true"]).expect("programs exist"),
        env_names: vec!["MODE".to_owned()],
        supervisor: "/proc/self/exe".into(),
    }
}

fn parse(payload: &str) -> Result<Command, HandlerError> {
    Command::parse(payload.as_bytes(), &config())
}

#[test]
fn a_command_has_defaults() {
    let command = parse(r#"{"program":"sh","env":{"MODE":"x"}}"#).expect("valid payload");
    assert_eq!(command.program, std::path::Path::new("/bin/sh"));
    assert_eq!((command.timeout.as_secs(), command.grace.as_secs()), (600, 5));
    for (code, is_retryable) in [(1, true), (75, true), (255, true), (64, false), (126, false)] {
        assert_eq!(command.is_retryable(code), is_retryable, "{code}");
    }
    let command = parse(r#"{"program":"sh","retry_codes":[64]}"#).expect("valid payload");
    assert!(command.is_retryable(64) && !command.is_retryable(1));
}

#[test]
fn an_error_names_the_field_the_value_and_the_range() {
    for (payload, part) in [
        ("{}", "payload.program: expected a string, found nothing"),
        (r#"{"program":"rm"}"#, "payload.program: expected a program of this worker (sh, true)"),
        (r#"{"program":"/bin/sh"}"#, "payload.program: expected a program of this worker"),
        (r#"{"program":"sh","args":"-c"}"#, "payload.args: expected a list, found \"-c\""),
        (r#"{"program":"sh","args":["a",1]}"#, "payload.args[1]: expected a string, found 1"),
        (r#"{"program":"sh","args":["a\u0000"]}"#, "payload.args[0]: has a NUL at byte 1"),
        (
            r#"{"program":"sh","env":{"LD_PRELOAD":"x"}}"#,
            "payload.env.LD_PRELOAD: is not a variable",
        ),
        (r#"{"program":"sh","env":{"MODE":"\u0000"}}"#, "payload.env.MODE: has a NUL"),
        (r#"{"program":"sh","env":{"MODE":1}}"#, "payload.env.MODE: expected a string, found 1"),
        (r#"{"program":"sh","stdin":1}"#, "payload.stdin: expected a string, found 1"),
        (
            r#"{"program":"sh","timeout_ms":0}"#,
            "payload.timeout_ms: expected a whole number 1..8640",
        ),
        (
            r#"{"program":"sh","grace_ms":60001}"#,
            "payload.grace_ms: expected a whole number 0..60000",
        ),
        (
            r#"{"program":"sh","retry_codes":[0]}"#,
            "payload.retry_codes[0]: expected a whole number 1..255",
        ),
        (r#"{"program":"sh","retry_codes":[256]}"#, "found 256"),
        (r#"{"program":"sh","cwd":"/"}"#, "payload.cwd: not a field of this kind"),
    ] {
        let error = parse(payload).expect_err(payload);
        assert!(error.message().contains(part), "{payload}: {}", error.message());
        assert!(!error.is_retryable(), "{payload}");
    }
    let args = vec!["x".repeat(1000); 100];
    let error = parse(&serde_json::json!({"program": "sh", "args": args}).to_string());
    let text = error.expect_err("an error").message().to_owned();
    assert_eq!(text, "payload.args: expected at most 98304 bytes, found 100100");
}

#[test]
fn the_schema_has_all_fields() {
    let schema: Value = serde_json::from_str(super::super::INPUT_SCHEMA).expect("JSON");
    let properties = schema["properties"].as_object().expect("properties");
    for field in properties.keys() {
        // The error is about the value of a known field and about the name of an unknown one.
        let payload = serde_json::json!({ "program": "sh", field.as_str(): { "invalid": 1 } });
        let error = parse(&payload.to_string()).expect_err(field);
        assert!(error.message().starts_with(&format!("payload.{field}")), "{}", error.message());
        assert!(!error.message().contains("not a field"), "{field}");
    }
    assert_eq!(properties.len(), 8);
}

#[test]
fn a_program_that_can_not_be_run_is_rejected() {
    for (entries, part) in [
        (vec!["sh"], "expected NAME=/absolute/path"),
        (vec!["sh=sh"], "expected NAME=/absolute/path"),
        (vec!["=/bin/sh"], "expected NAME=/absolute/path"),
        (vec!["x=/does/not/exist"], "program x: /does/not/exist: No such file"),
        (vec!["x=/etc/passwd"], "program x: /etc/passwd is not an executable file"),
        (vec!["x=/bin"], "program x: /bin is not an executable file"),
        (vec!["x=/bin/sh", "x=/bin/true"], "program x is listed twice"),
    ] {
        let error = Programs::read(entries).expect_err(part).to_string();
        assert!(error.contains(part), "{error}");
    }
}
