//! What is taken as an endpoint, and how the rest is refused.

use super::*;

#[test]
fn adds_the_scheme() {
    let endpoint = parse("localhost:7070", &ConnectOptions::default()).expect("parses");
    assert_eq!(endpoint.uri().to_string(), "http://localhost:7070/");
    assert!(parse("http://10.0.0.1:7070", &ConnectOptions::default()).is_ok());
}

#[test]
fn refuses_with_a_reason() {
    for (text, part) in [("", "empty"), ("redis://host:1", "scheme"), ("http://", ""), ("a b", "")]
    {
        match parse(text, &ConnectOptions::default()) {
            Err(Error::InvalidEndpoint { endpoint, reason }) => {
                assert_eq!(endpoint, text);
                assert!(reason.contains(part), "{text:?}: {reason}");
            }
            other => panic!("{text:?}: {other:?}"),
        }
    }
}
