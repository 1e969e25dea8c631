//! URLs that are taken and refused.

use super::Address;

#[test]
fn one_server_a_cluster_and_sentinels() {
    let one = Address::parse("redis://user:secret@host:7000/3").expect("is an address");
    let Address::One(info) = one else { panic!("one server: {one:?}") };
    assert_eq!((info.redis_settings().db(), info.redis_settings().username()), (3, Some("user")));
    let cluster = Address::parse("redis+cluster://:secret@a:7000,b").expect("is an address");
    let Address::Cluster(nodes) = cluster else { panic!("a cluster: {cluster:?}") };
    let hosts: Vec<String> = nodes.iter().map(|node| node.addr().to_string()).collect();
    assert_eq!(hosts, ["a:7000", "b:6379"]);
    assert!(nodes.iter().all(|node| node.redis_settings().password() == Some("secret")));
    let known = Address::parse("redis+sentinel://:secret@a,b:7/main").expect("is an address");
    let Address::Sentinel { sentinels, name, login } = known else { panic!("sentinels") };
    let hosts: Vec<String> = sentinels.iter().map(|node| node.addr().to_string()).collect();
    assert_eq!((hosts.as_slice(), &*name), (&["a:26379".to_owned(), "b:7".to_owned()][..], "main"));
    assert_eq!(
        (login.password(), sentinels[0].redis_settings().password()),
        (Some("secret"), None)
    );
}

#[test]
fn what_is_refused_says_why_and_keeps_the_password() {
    for (url, why) in [
        ("rediss://:secret@host", "TLS"),
        ("host:6379", "scheme"),
        ("mysql://host", "scheme"),
        ("redis+sentinel://:secret@host", "name of the primary"),
    ] {
        let error = Address::parse(url).expect_err(url).to_string();
        assert!(error.contains(why), "{error}");
        assert!(!error.contains("secret"), "{error}");
    }
}
