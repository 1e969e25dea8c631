//! API keys are sent but not printed; unreadable files are named in the error.

use super::*;

#[test]
fn debug_output_hides_the_api_key() {
    let options = ConnectOptions::default().with_credential("snt_1_secret\n").expect("a key");
    assert!(!format!("{options:?}").contains("secret"), "{options:?}");
    let mut auth = options.auth;
    let request = auth.call(Request::new(())).expect("the interceptor accepts the request");
    let header = request.metadata().get("authorization").expect("an authorization header");
    assert_eq!(header.to_str().ok(), Some("Bearer snt_1_secret"));
}

#[test]
fn an_unreadable_credential_file_is_named_in_the_error() {
    let result = ConnectOptions::resolve("http://127.0.0.1:1", Some("@/does/not/exist"), None);
    let text = result.expect_err("the file does not exist").to_string();
    assert!(text.contains("credential") && text.contains("/does/not/exist"), "{text}");
    assert!(ConnectOptions::default().with_credential("a\nb").is_err());
}
