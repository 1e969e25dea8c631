use super::*;

fn found(paths: &[&str], payload: &str) -> Vec<Option<String>> {
    let paths: Vec<Box<str>> = paths.iter().map(|path| (*path).into()).collect();
    values(&paths, payload.as_bytes())
}

#[test]
fn only_scalars_have_a_label() {
    let payload = r#"{"text": "a \u00e9", "number": 7, "negative": -7, "large": 18446744073709551615,
        "fraction": 1.50, "whole": 2.0, "yes": true, "no": false, "nothing": null, "list": [1],
        "object": {"inner": {"deep": "x", "a-b_C9": ""}}, "empty": ""}"#;
    let expected = [
        ("text", Some("a é")),
        ("number", Some("7")),
        ("negative", Some("-7")),
        ("large", Some("18446744073709551615")),
        ("fraction", Some("1.5")),
        ("whole", Some("2.0")),
        ("yes", Some("true")),
        ("no", Some("false")),
        ("nothing", None),
        ("list", None),
        ("list.0", None),
        ("object", None),
        ("object.inner", None),
        ("object.inner.deep", Some("x")),
        ("object.inner.a-b_C9", Some("")),
        ("object.inner.deep.deeper", None),
        ("empty", Some("")),
        ("missing", None),
        ("tex", None),
    ];
    for (path, value) in expected {
        assert_eq!(found(&[path], payload), [value.map(str::to_owned)], "{path}");
    }
    let paths: Vec<&str> = expected.iter().map(|(path, _)| *path).collect();
    let values: Vec<_> = expected.iter().map(|(_, value)| value.map(str::to_owned)).collect();
    assert_eq!(found(&paths, payload), values, "all at once");
}

#[test]
fn a_value_that_is_too_long_has_no_label() {
    let at = "x".repeat(KEY_BYTES as usize);
    assert_eq!(found(&["a"], &format!(r#"{{"a":"{at}"}}"#)), [Some(at.clone())]);
    assert_eq!(found(&["a"], &format!(r#"{{"a":"{at}x"}}"#)), [None]);
}

#[test]
fn a_payload_that_is_not_valid_json_has_no_labels() {
    for invalid in
        [r#"{"a":1"#, r#"{"a":1} x"#, r#"{"a":1,}"#, r#"{"a":1,"b":nul}"#, "", "a", "\u{0}"]
    {
        assert_eq!(found(&["a"], invalid), [None], "{invalid}");
    }
    for other in ["7", "[]", "null", r#"[{"a":1}]"#] {
        assert_eq!(found(&["a"], other), [None], "{other}");
    }
    // Deep nesting in a skipped member and in a wanted one.
    let deep = format!(r#"{{"b":{}{},"a":1}}"#, "[".repeat(100_000), "]".repeat(100_000));
    let _ = found(&["a", "b"], &deep);
}

#[test]
fn of_two_members_with_one_name_the_last_one_counts() {
    assert_eq!(found(&["a"], r#"{"a":1,"a":2}"#), [Some("2".to_owned())]);
    assert_eq!(found(&["a"], r#"{"a":1,"a":[]}"#), [None]);
    assert_eq!(found(&["a.b", "a"], r#"{"a":{"b":1},"a":3}"#), [None, Some("3".to_owned())]);
    assert_eq!(found(&["a.b"], r#"{"a":3,"a":{"b":1}}"#), [Some("1".to_owned())]);
    assert_eq!(found(&["a.b"], r#"{"a":{"b":1},"a":{}}"#), [None]);
}

#[test]
fn a_name_with_a_dot_matches_no_path() {
    assert_eq!(found(&["a.b"], r#"{"a.b":1,"":2,".b":3}"#), [None]);
}

#[test]
fn json_media_types_are_recognised() {
    for json in
        ["application/json", "Application/JSON; charset=utf-8", "application/cloudevents+json"]
    {
        assert!(is_json(json), "{json}");
    }
    for other in
        ["", "text/plain", "application/jsonl", "application/octet-stream", "json", "é+jso"]
    {
        assert!(!is_json(other), "{other}");
    }
}
