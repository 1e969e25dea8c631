//! Tests of the limits per client.

use std::net::IpAddr;
use std::time::Duration;

use futures_util::FutureExt as _;

use super::client_limits::ClientLimits;
use crate::settings::Limits;

#[tokio::test]
async fn a_dropped_permit_is_free_again_and_clients_do_not_share_permits() {
    let in_flight_wait = Duration::from_millis(20);
    let limits =
        Limits { in_flight_max: 2, in_flight_wait, requests_per_second: 0, ..Limits::default() };
    let limits = ClientLimits::new(limits);
    let address = |text: &str| text.parse::<IpAddr>().unwrap();
    let first = limits.acquire(address("2001:db8::1")).await.expect("the first request");
    let second = limits.acquire(address("2001:db8::ffff:2")).await.expect("the second request");
    let third = limits.acquire(address("2001:db8::3")).await.err().expect("a /64 has two permits");
    assert_eq!(third.reason(), "TOO_MANY_IN_FLIGHT");
    assert!(
        limits.acquire(address("2001:db8:0:1::1")).await.is_ok(),
        "another /64 is another client"
    );
    drop(first);
    assert!(limits.acquire(address("2001:db8::3")).await.is_ok());
    drop(second);
}

#[tokio::test]
async fn requests_above_the_limit_wait_and_are_served_in_their_order() {
    let limits = Limits { in_flight_max: 2, requests_per_second: 0, ..Limits::default() };
    let limits = std::sync::Arc::new(ClientLimits::new(limits));
    let client = IpAddr::from([192, 0, 2, 1]);
    let mut held = vec![limits.acquire(client).await.ok(), limits.acquire(client).await.ok()];
    let mut waiting: Vec<_> = (0..50).map(|_| Box::pin(limits.acquire(client))).collect();
    for one in &mut waiting {
        assert!(one.now_or_never().is_none(), "the limit is two");
    }
    for mut one in waiting {
        held.remove(0);
        let permit = (&mut one).now_or_never().expect("the permit is free");
        held.push(permit.ok());
    }
}

#[tokio::test]
async fn a_burst_is_twice_the_rate() {
    let limits = Limits { in_flight_max: 0, requests_per_second: 5, ..Limits::default() };
    let limits = ClientLimits::new(limits);
    let client = IpAddr::from([192, 0, 2, 1]);
    let mut admitted = 0;
    while admitted < 1_000 && limits.acquire(client).await.is_ok() {
        admitted += 1;
    }
    // The limiter grants five more per second, so a slow machine may get more than ten.
    assert!((10..500).contains(&admitted), "{admitted}");
    let error = limits.acquire(client).await.err().expect("the burst is used up");
    assert_eq!(error.reason(), "TOO_MANY_REQUESTS");
    assert!(error.retry_after().is_some_and(|delay| delay.as_secs() < 2));
}
