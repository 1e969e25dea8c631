//! Tests of the checks of version and settings.

use super::*;

#[test]
fn versions_before_7_are_refused() {
    for (text, is_accepted) in [
        ("# Server\r\nredis_version:7.0.15\r\n", true),
        ("redis_version:7.2.4\r\nserver_name:valkey\r\nvalkey_version:8.0.1\r\n", true),
        ("redis_version:10.0.0\r\n", true),
        ("redis_version:6.2.14\r\n", false),
        ("nothing", false),
    ] {
        assert_eq!(check_version(text).is_ok(), is_accepted, "{text}");
    }
}

#[test]
fn eviction_policies_are_refused() {
    assert!(check_policy("maxmemory_policy:noeviction\r\n").is_ok());
    let error = check_policy("maxmemory_policy:volatile-ttl\r\n").expect_err("refused");
    assert!(error.to_string().contains("volatile-ttl"), "{error}");
}
