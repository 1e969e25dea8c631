//! Request ids.

use super::{Case, T0};
use crate::conformance::{Restart, make};
use crate::{Group, Verdict};

fn ask(random: u64, content: &[u8]) -> Group {
    let job = make::job("q", "k", T0, random);
    make::under_request(make::create(&job), "request", content, T0 + 1_000)
}

pub(super) async fn repeated_and_reused(mut case: Case) {
    let groups = vec![ask(1, b"one"), ask(2, b"one"), ask(3, b"other")];
    let expected = [
        Verdict::Committed,
        Verdict::Repeated(bytes::Bytes::from_static(b"one")),
        Verdict::RequestReused,
    ];
    assert_eq!(case.apply(T0, groups.clone()).await, expected);
    assert_eq!(case.apply(T0 + 999, groups[1..].to_vec()).await, expected[1..]);
    for random in [2, 3] {
        assert_eq!(case.read(make::job("q", "k", T0, random).id).await, None, "nothing changed");
    }
    if case.harness.can_reopen() {
        drop(case.store);
        case.harness.reopen(Restart { now: T0 + 500, ..Restart::default() }).await;
        case.store = case.harness.store();
        assert_eq!(case.apply(T0 + 999, groups[1..].to_vec()).await, expected[1..]);
    }
}

pub(super) async fn forgotten_in_time(mut case: Case) {
    assert_eq!(case.apply(T0, vec![ask(1, b"one")]).await, [Verdict::Committed]);
    let later = case.apply(T0 + 1_000, vec![ask(2, b"other")]).await;
    assert_eq!(later, [Verdict::Committed], "its time is over");
}
