//! Tests of the limits per client.

use std::net::IpAddr;

use super::client_limits::ClientLimits;
use crate::settings::Limits;

#[test]
fn a_dropped_permit_is_free_again_and_clients_do_not_share_permits() {
    let limits = Limits { in_flight_max: 2, requests_per_second: 0, ..Limits::default() };
    let limits = ClientLimits::new(limits);
    let address = |text: &str| text.parse::<IpAddr>().unwrap();
    let first = limits.acquire(address("2001:db8::1")).expect("the first request");
    let second = limits.acquire(address("2001:db8::ffff:2")).expect("the second request");
    let third = limits.acquire(address("2001:db8::3")).err().expect("a /64 has two permits");
    assert_eq!(third.reason(), "TOO_MANY_IN_FLIGHT");
    assert!(limits.acquire(address("2001:db8:0:1::1")).is_ok(), "another /64 is another client");
    drop(first);
    assert!(limits.acquire(address("2001:db8::3")).is_ok());
    drop(second);
}

#[test]
fn a_burst_is_twice_the_rate() {
    let limits = Limits { in_flight_max: 0, requests_per_second: 5, ..Limits::default() };
    let limits = ClientLimits::new(limits);
    let client = IpAddr::from([192, 0, 2, 1]);
    let admitted = (0..1_000).take_while(|_| limits.acquire(client).is_ok()).count();
    // The limiter grants five more per second, so a slow machine may get more than ten.
    assert!((10..500).contains(&admitted), "{admitted}");
    let error = limits.acquire(client).err().expect("the burst is used up");
    assert_eq!(error.reason(), "TOO_MANY_REQUESTS");
    assert!(error.retry_after().is_some_and(|delay| delay.as_secs() < 2));
}
