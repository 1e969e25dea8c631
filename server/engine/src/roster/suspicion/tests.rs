//! Who is given more time, and how often.

use sentinel_domain::SessionId;

use super::Suspicion;

fn session(n: u128) -> SessionId {
    SessionId::from_u128(n)
}

#[test]
fn four_of_nine_are_the_networks_fault_and_each_is_lengthened_once() {
    let mut suspicion = Suspicion::default();
    for n in 1..=3 {
        suspicion.note(session(n), 100);
        assert_eq!(suspicion.ask(session(n), 100, 9 - n as usize, |s| *s > session(n)), None);
    }
    suspicion.note(session(4), 900);
    let others = suspicion.ask(session(4), 900, 5, |s| *s > session(4));
    assert_eq!(others, Some(vec![session(1), session(2), session(3)]));
    suspicion.note(session(5), 950);
    assert_eq!(suspicion.ask(session(5), 950, 4, |s| *s > session(5)), Some(vec![]));
}

#[test]
fn ends_far_apart_or_few_of_many_are_the_workers_fault() {
    let mut suspicion = Suspicion::default();
    for n in 1..=8 {
        let at = n as i64 * 400;
        suspicion.note(session(n), at);
        assert_eq!(suspicion.ask(session(n), at, 2, |_| false), None, "apart");
    }
    let mut suspicion = Suspicion::default();
    for n in 1..=8 {
        suspicion.note(session(n), 0);
        assert_eq!(suspicion.ask(session(n), 0, 100, |_| false), None, "few of many");
    }
}

#[test]
fn one_worker_that_comes_and_goes_is_not_the_network() {
    let mut suspicion = Suspicion::default();
    for at in 0..20 {
        suspicion.note(session(1), at);
        assert_eq!(suspicion.ask(session(1), at, 0, |_| false), None);
    }
}
