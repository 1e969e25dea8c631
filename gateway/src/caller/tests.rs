//! Which page a request comes from, and how much an address may ask for.

use std::net::IpAddr;

use http::{HeaderMap, HeaderValue};

use super::budget::Budget;
use super::is_same_origin;
use crate::settings::Limits;

fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
    pairs
        .iter()
        .map(|(name, value)| (name.parse().unwrap(), HeaderValue::from_static(value)))
        .collect()
}

#[test]
fn a_page_is_our_own_only_when_the_browser_says_so() {
    let own = [
        headers(&[("host", "a:7080")]),
        headers(&[("host", "a:7080"), ("origin", "http://a:7080")]),
        headers(&[("sec-fetch-site", "same-origin")]),
        headers(&[("sec-fetch-site", "none")]),
    ];
    let foreign = [
        headers(&[("host", "a:7080"), ("origin", "http://b:7080")]),
        headers(&[("host", "a:7080"), ("origin", "http://a:7081")]),
        headers(&[("host", "a:7080"), ("origin", "null")]),
        headers(&[("origin", "http://a:7080")]),
        headers(&[("sec-fetch-site", "cross-site")]),
        headers(&[("sec-fetch-site", "same-site")]),
        headers(&[("host", "a"), ("origin", "http://a"), ("sec-fetch-site", "cross-site")]),
    ];
    for headers in own {
        assert!(is_same_origin(&headers), "{headers:?}");
    }
    for headers in foreign {
        assert!(!is_same_origin(&headers), "{headers:?}");
    }
}

#[test]
fn places_are_given_back_and_are_each_clients_own() {
    let limits = Limits { in_flight_max: 2, requests_per_second: 0, ..Limits::default() };
    let budget = Budget::new(limits);
    let address = |text: &str| text.parse::<IpAddr>().unwrap();
    let first = budget.admit(address("2001:db8::1")).expect("the first");
    let second = budget.admit(address("2001:db8::ffff:2")).expect("the second");
    let third = budget.admit(address("2001:db8::3")).err().expect("one network has two places");
    assert_eq!(third.reason, "TOO_MANY_IN_FLIGHT");
    assert!(budget.admit(address("2001:db8:0:1::1")).is_ok(), "another network has its own");
    drop(first);
    assert!(budget.admit(address("2001:db8::3")).is_ok());
    drop(second);
}

#[test]
fn a_burst_is_twice_the_rate() {
    let limits = Limits { in_flight_max: 0, requests_per_second: 5, ..Limits::default() };
    let budget = Budget::new(limits);
    let client = IpAddr::from([192, 0, 2, 1]);
    let taken = (0..1_000).take_while(|_| budget.admit(client).is_ok()).count();
    // A slow machine may be granted more meanwhile, five a second.
    assert!((10..500).contains(&taken), "{taken}");
    let refusal = budget.admit(client).err().expect("used up");
    assert_eq!(refusal.reason, "TOO_MANY_REQUESTS");
    assert!(refusal.retry_after.is_some_and(|wait| wait.as_secs() < 2));
}
