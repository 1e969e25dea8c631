//! Keys stay out of what is printed, and are sent as they are.

use super::*;

#[test]
fn a_key_is_sent_and_not_shown() {
    let access = ConnectOptions::default().with_credential("snt_1_secret\n").expect("a key");
    assert!(!format!("{access:?}").contains("secret"), "{access:?}");
    let mut bearer = access.bearer;
    let request = bearer.call(Request::new(())).expect("passes");
    let sent = request.metadata().get("authorization").expect("sent");
    assert_eq!(sent.to_str().ok(), Some("Bearer snt_1_secret"));
}

#[test]
fn what_can_not_be_read_is_named() {
    let missing = ConnectOptions::resolve("http://127.0.0.1:1", Some("@/does/not/exist"), None);
    let text = missing.expect_err("no such file").to_string();
    assert!(text.contains("credential") && text.contains("/does/not/exist"), "{text}");
    assert!(ConnectOptions::default().with_credential("a\nb").is_err());
}
