//! The boundaries of all blocks, and allowed targets.

use super::*;

fn ip(text: &str) -> IpAddr {
    text.parse().expect("an address")
}

#[test]
fn special_purpose_addresses_are_forbidden() {
    for (first, last) in [
        ("0.0.0.0", "0.255.255.255"),
        ("10.0.0.0", "10.255.255.255"),
        ("100.64.0.0", "100.127.255.255"),
        ("127.0.0.0", "127.255.255.255"),
        ("169.254.0.0", "169.254.255.255"),
        ("172.16.0.0", "172.31.255.255"),
        ("192.0.0.0", "192.0.0.255"),
        ("192.0.2.0", "192.0.2.255"),
        ("192.88.99.0", "192.88.99.255"),
        ("192.168.0.0", "192.168.255.255"),
        ("198.18.0.0", "198.19.255.255"),
        ("198.51.100.0", "198.51.100.255"),
        ("203.0.113.0", "203.0.113.255"),
        ("224.0.0.0", "255.255.255.255"),
        ("::", "1fff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"),
        ("2001::", "2001:1ff:ffff:ffff:ffff:ffff:ffff:ffff"),
        ("2001:db8::", "2001:db8:ffff:ffff:ffff:ffff:ffff:ffff"),
        ("2002::", "2002:ffff:ffff:ffff:ffff:ffff:ffff:ffff"),
        ("3fff::", "3fff:fff:ffff:ffff:ffff:ffff:ffff:ffff"),
        ("4000::", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"),
    ] {
        assert!(special_purpose(ip(first)).is_some(), "{first}");
        assert!(special_purpose(ip(last)).is_some(), "{last}");
    }
}

#[test]
fn adjacent_addresses_are_allowed() {
    for open in [
        "1.0.0.0",
        "9.255.255.255",
        "11.0.0.0",
        "100.63.255.255",
        "100.128.0.0",
        "126.255.255.255",
        "128.0.0.0",
        "169.253.255.255",
        "169.255.0.0",
        "172.15.255.255",
        "172.32.0.0",
        "191.255.255.255",
        "192.0.1.0",
        "192.0.3.0",
        "192.88.98.255",
        "192.88.100.0",
        "192.167.255.255",
        "192.169.0.0",
        "198.17.255.255",
        "198.20.0.0",
        "198.51.99.255",
        "198.51.101.0",
        "203.0.112.255",
        "203.0.114.0",
        "223.255.255.255",
        "2000::",
        "2001:200::",
        "2001:db7:ffff::",
        "2001:db9::",
        "2003::",
        "2a00:1450:4001::1",
        "3ffe::",
        "3fff:1000::",
    ] {
        assert_eq!(special_purpose(ip(open)), None, "{open}");
    }
}

#[test]
fn each_address_has_a_category() {
    for (text, part) in [
        ("::1", "loopback"),
        ("::127.0.0.1", "embedded"),
        ("::ffff:127.0.0.1", "mapped"),
        ("::ffff:8.8.8.8", "mapped"),
        ("64:ff9b::7f00:1", "NAT64"),
        ("64:ff9b:1::7f00:1", "NAT64"),
        ("2002:7f00:1::", "6to4"),
        ("fd00::1", "ULA"),
        ("fe80::1", "link-local"),
        ("ff02::1", "multicast"),
        ("169.254.169.254", "link-local"),
        ("100.100.0.1", "CGNAT"),
        ("5f00::1", "outside"),
    ] {
        let category = special_purpose(ip(text)).expect(text);
        assert!(category.contains(part), "{text}: {category}");
    }
}

#[test]
fn an_operator_allows_blocks_and_host_names() {
    let allowed = AllowedTargets::parse(["10.1.0.0/16", "::1", "fd00::/8", "Orders.Internal."])
        .expect("valid entries");
    assert_eq!(allowed.forbidden_category(ip("10.1.255.255")), None);
    assert!(allowed.forbidden_category(ip("10.2.0.0")).is_some());
    assert_eq!(allowed.forbidden_category(ip("::1")), None);
    assert!(allowed.forbidden_category(ip("::2")).is_some());
    assert_eq!(allowed.forbidden_category(ip("fdff::1")), None);
    // The mapped IPv6 form of 10.1.0.1 is a different address.
    assert!(allowed.forbidden_category(ip("::ffff:10.1.0.1")).is_some());
    assert!(allowed.allows_host("ORDERS.internal") && allowed.allows_host("orders.internal."));
    assert!(!allowed.allows_host("x.orders.internal") && !allowed.allows_host("internal"));
    let everything = AllowedTargets::parse(["0.0.0.0/0", "::/0"]).expect("valid entries");
    assert_eq!(everything.forbidden_category(ip("127.0.0.1")), None);
    assert_eq!(everything.forbidden_category(ip("ff02::1")), None);
}

#[test]
fn an_invalid_entry_is_rejected() {
    for invalid in [
        "",
        " ",
        "10.0.0.0/33",
        "::/129",
        "10.0.0/8",
        "10.0.0.0/",
        "10.0.0.0/x",
        "a b",
        "*.internal",
        "http://x",
        "x:80",
        "2130706433",
        "0x7f.1",
        "[::1]",
        "a..b",
        "host/8",
    ] {
        let error = AllowedTargets::parse([invalid]).expect_err(invalid);
        assert!(error.to_string().contains(&format!("{:?}", invalid.trim())), "{error}");
    }
}
