//! Valid and invalid addresses.

use super::*;

#[test]
fn the_default_scheme_is_http() {
    let endpoint = parse("localhost:7070", ClientTlsConfig::new()).expect("parses");
    assert_eq!(endpoint.uri().to_string(), "http://localhost:7070/");
    assert!(parse("http://10.0.0.1:7070", ClientTlsConfig::new()).is_ok());
}

#[test]
fn an_invalid_address_is_refused_with_a_reason() {
    for (text, expected) in
        [("", "empty"), ("redis://host:1", "scheme"), ("http://", ""), ("a b", "")]
    {
        match parse(text, ClientTlsConfig::new()) {
            Err(Error::InvalidEndpoint { endpoint, reason }) => {
                assert_eq!(endpoint, text);
                assert!(reason.contains(expected), "{text:?}: {reason}");
            }
            other => panic!("{text:?}: {other:?}"),
        }
    }
}
