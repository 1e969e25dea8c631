//! Judging what a look-up answered.

use super::*;

fn at(ips: &[&str]) -> Vec<SocketAddr> {
    ips.iter().map(|ip| SocketAddr::new(ip.parse().expect("an address"), 80)).collect()
}

#[test]
fn only_open_addresses_of_a_name_are_dialled() {
    let nothing = Allowed::default();
    let judged_of = |ips: &[&str]| judged("h", at(ips), &nothing);
    let open = judged_of(&["10.0.0.1", "8.8.8.8", "::1"]).expect("one is open");
    assert_eq!(open, at(&["8.8.8.8"]));
    let error = judged_of(&["10.0.0.1", "127.0.0.1"]).expect_err("all are closed");
    assert!(error.to_string().starts_with("h is at 127.0.0.1, which is loopback;"), "{error}");
    assert!(!error.into_failure().is_retryable());
    assert!(matches!(judged_of(&[]), Err(ConnectError::NoAddress { .. })));
    let named = Allowed::parse(["h"]).expect("an entry");
    assert_eq!(judged("h", at(&["10.0.0.1"]), &named).expect("is named"), at(&["10.0.0.1"]));
}
