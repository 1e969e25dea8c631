//! Signatures as a receiver computes them, and secrets that are none.

use super::*;

fn file(text: &str) -> (tempfile::TempDir, String) {
    let dir = tempfile::tempdir().expect("a folder");
    let path = dir.path().join("secret");
    std::fs::write(&path, text).expect("write");
    let entry = format!("shop=file:{}", path.display());
    (dir, entry)
}

#[test]
fn a_signature_is_the_hmac_of_time_dot_body() {
    let (_dir, entry) = file("0123456789abcdef\n");
    let secrets = Secrets::read([entry.as_str()]).expect("reads");
    let secret = secrets.get("shop").expect("is there");
    // printf '1700000000.{"a":1}' | openssl dgst -sha256 -hmac 0123456789abcdef
    let expected = "v1=9eb18f493f8ec135d9eb2dad817c369bb4e9cbfa818657897a7437c1cd8c3a23";
    assert_eq!(secret.signature(1_700_000_000, br#"{"a":1}"#), expected);
    assert_eq!(format!("{secrets:?}").matches("Secret").count(), 2);
    assert!(!format!("{secrets:?}").contains("0123"));
}

#[test]
fn an_invalid_secret_is_rejected_without_revealing_it() {
    let (_dir, short) = file("topsecret");
    for (entries, part) in [
        (vec!["x"], "NAME=env:VARIABLE"),
        (vec!["=env:PATH"], "NAME=env:VARIABLE"),
        (vec!["x=plain-text-secret"], "NAME=env:VARIABLE"),
        (vec!["x=env:NOT_SET_ANYWHERE"], "NOT_SET_ANYWHERE is not set"),
        (vec!["x=file:/does/not/exist"], "cannot read /does/not/exist"),
        (vec![short.as_str()], "shop has 9 bytes; allowed: 16..4096"),
        (vec!["x=env:PATH", "x=env:PATH"], "x is listed twice"),
    ] {
        let error = Secrets::read(entries.clone()).expect_err(part).to_string();
        assert!(error.contains(part), "{entries:?}: {error}");
        assert!(!error.contains("topsecret") && !error.contains("plain-text"), "{error}");
    }
}
