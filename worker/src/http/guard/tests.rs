//! Every block from inside and from just outside, and what opens them.

use super::*;

fn ip(text: &str) -> IpAddr {
    text.parse().expect("an address")
}

#[test]
fn what_is_not_the_public_internet_is_closed() {
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
        assert!(closed(ip(first)).is_some(), "{first}");
        assert!(closed(ip(last)).is_some(), "{last}");
    }
}

#[test]
fn the_neighbours_are_open() {
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
        assert_eq!(closed(ip(open)), None, "{open}");
    }
}

#[test]
fn embedded_addresses_are_named_for_what_they_are() {
    for (text, what) in [
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
        let told = closed(ip(text)).expect(text);
        assert!(told.contains(what), "{text}: {told}");
    }
}

#[test]
fn an_operator_opens_blocks_and_names() {
    let allowed =
        Allowed::parse(["10.1.0.0/16", "::1", "fd00::/8", "Orders.Internal."]).expect("entries");
    assert_eq!(allowed.forbids(ip("10.1.255.255")), None);
    assert!(allowed.forbids(ip("10.2.0.0")).is_some());
    assert_eq!(allowed.forbids(ip("::1")), None);
    assert!(allowed.forbids(ip("::2")).is_some());
    assert_eq!(allowed.forbids(ip("fdff::1")), None);
    // 10.1.0.1 in another form is another address.
    assert!(allowed.forbids(ip("::ffff:10.1.0.1")).is_some());
    assert!(allowed.allows_host("ORDERS.internal") && allowed.allows_host("orders.internal."));
    assert!(!allowed.allows_host("x.orders.internal") && !allowed.allows_host("internal"));
    let everything = Allowed::parse(["0.0.0.0/0", "::/0"]).expect("entries");
    assert_eq!(everything.forbids(ip("127.0.0.1")), None);
    assert_eq!(everything.forbids(ip("ff02::1")), None);
}

#[test]
fn entries_that_are_none_are_named() {
    for bad in [
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
        let error = Allowed::parse([bad]).expect_err(bad);
        assert!(error.to_string().contains(&format!("{:?}", bad.trim())), "{error}");
    }
}
