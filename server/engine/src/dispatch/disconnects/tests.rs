use sentinel_domain::SessionId;

use super::Disconnects;

fn session(n: u128) -> SessionId {
    SessionId::from_u128(n)
}

#[test]
fn four_of_nine_closed_together_suspect_the_network_and_each_session_is_extended_once() {
    let mut disconnects = Disconnects::default();
    for n in 1..=3 {
        disconnects.record(session(n), 100);
        let suspected =
            disconnects.suspect_network(session(n), 100, 9 - n as usize, |s| *s > session(n));
        assert_eq!(suspected, None);
    }
    disconnects.record(session(4), 900);
    let others = disconnects.suspect_network(session(4), 900, 5, |s| *s > session(4));
    assert_eq!(others, Some(vec![session(1), session(2), session(3)]));
    disconnects.record(session(5), 950);
    let others = disconnects.suspect_network(session(5), 950, 4, |s| *s > session(5));
    assert_eq!(others, Some(vec![]));
}

#[test]
fn disconnects_far_apart_or_of_few_sessions_do_not_suspect_the_network() {
    let mut disconnects = Disconnects::default();
    for n in 1..=8 {
        let at = n as i64 * 400;
        disconnects.record(session(n), at);
        assert_eq!(disconnects.suspect_network(session(n), at, 2, |_| false), None, "far apart");
    }
    let mut disconnects = Disconnects::default();
    for n in 1..=8 {
        disconnects.record(session(n), 0);
        assert_eq!(disconnects.suspect_network(session(n), 0, 100, |_| false), None, "few");
    }
}

#[test]
fn one_session_that_reconnects_often_does_not_suspect_the_network() {
    let mut disconnects = Disconnects::default();
    for at in 0..20 {
        disconnects.record(session(1), at);
        assert_eq!(disconnects.suspect_network(session(1), at, 0, |_| false), None);
    }
}
