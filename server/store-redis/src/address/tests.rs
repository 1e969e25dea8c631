//! Tests of valid and invalid URLs.

use super::Address;

#[test]
fn urls_of_a_server_a_cluster_and_sentinels_are_parsed() {
    let one = Address::parse("redis://user:secret@host:7000/3").expect("valid");
    let Address::One(info) = one else { panic!("not a single server: {one:?}") };
    assert_eq!((info.redis_settings().db(), info.redis_settings().username()), (3, Some("user")));
    let cluster = Address::parse("redis+cluster://:secret@a:7000,b").expect("valid");
    let Address::Cluster(nodes) = cluster else { panic!("not a cluster: {cluster:?}") };
    let hosts: Vec<String> = nodes.iter().map(|node| node.addr().to_string()).collect();
    assert_eq!(hosts, ["a:7000", "b:6379"]);
    assert!(nodes.iter().all(|node| node.redis_settings().password() == Some("secret")));
    let known = Address::parse("redis+sentinel://:secret@a,b:7/main").expect("valid");
    let Address::Sentinel { sentinels, name, login } = known else { panic!("not sentinels") };
    let hosts: Vec<String> = sentinels.iter().map(|node| node.addr().to_string()).collect();
    assert_eq!((hosts.as_slice(), &*name), (&["a:26379".to_owned(), "b:7".to_owned()][..], "main"));
    assert_eq!(
        (login.password(), sentinels[0].redis_settings().password()),
        (Some("secret"), None)
    );
}

#[test]
fn errors_name_the_reason_and_hide_the_password() {
    for (url, reason) in [
        ("rediss://:secret@host", "TLS"),
        ("host:6379", "scheme"),
        ("mysql://host", "scheme"),
        ("redis+sentinel://:secret@host", "name of the primary"),
    ] {
        let error = Address::parse(url).expect_err(url).to_string();
        assert!(error.contains(reason), "{error}");
        assert!(!error.contains("secret"), "{error}");
    }
}
