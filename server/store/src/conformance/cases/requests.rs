//! Request ids.

use super::{Case, T0};
use crate::conformance::{Restart, make};
use crate::{Conflict, IdempotencyRecord, Mutation, Precondition, Transaction, TransactionResult};

fn ask(random: u64, content: &[u8]) -> Transaction {
    let job = make::job("q", "k", T0, random);
    make::under_request(make::create(&job), "request", content, T0 + 1_000)
}

pub(super) async fn repeated_and_reused(mut case: Case) {
    let groups = vec![ask(1, b"one"), ask(2, b"one"), ask(3, b"other")];
    let expected = [
        TransactionResult::Committed,
        TransactionResult::Repeated(bytes::Bytes::from_static(b"one")),
        TransactionResult::RequestReused,
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
    assert_eq!(case.apply(T0, vec![ask(1, b"one")]).await, [TransactionResult::Committed]);
    let later = case.apply(T0 + 1_000, vec![ask(2, b"other")]).await;
    assert_eq!(later, [TransactionResult::Committed], "its time is over");
}

/// One step of a producer: a job, and where it stands from then on.
fn step(random: u64, known: Option<&'static [u8]>, memory: IdempotencyRecord) -> Transaction {
    let answer = known.map(bytes::Bytes::from_static);
    let guard = Precondition::Remembered { id: memory.id.clone(), answer };
    let mut group = make::create(&make::job("q", "k", T0, random));
    group.guards.push(guard);
    group.changes.push(Mutation::Remember(memory));
    group
}

pub(super) async fn remembered_anew(mut case: Case) {
    let memory = |content, until| make::memory("ingest/orders", content, T0 + until);
    let other = |content: &'static [u8]| {
        let answer = Some(bytes::Bytes::from_static(content));
        TransactionResult::Conflict(Conflict::Remembered { id: "ingest/orders".into(), answer })
    };
    let groups = vec![
        step(1, None, memory(b"1", 1_000)),
        step(2, None, memory(b"2", 1_000)),
        step(3, Some(b"2"), memory(b"3", 1_000)),
        step(4, Some(b"1"), memory(b"4", 2_000)),
        step(5, Some(b"1"), memory(b"5", 2_000)),
    ];
    let expected = [
        TransactionResult::Committed,
        other(b"1"),
        other(b"1"),
        TransactionResult::Committed,
        other(b"4"),
    ];
    assert_eq!(case.apply(T0, groups).await, expected);
    for random in [2, 3, 5] {
        assert_eq!(case.read(make::job("q", "k", T0, random).id).await, None, "nothing changed");
    }
    if case.harness.can_reopen() {
        drop(case.store);
        case.harness.reopen(Restart { now: T0 + 500, ..Restart::default() }).await;
        case.store = case.harness.store();
    }
    // The end is that of the newer one.
    let late =
        vec![step(6, Some(b"1"), memory(b"6", 3_000)), step(7, Some(b"4"), memory(b"7", 3_000))];
    assert_eq!(case.apply(T0 + 1_999, late).await, [other(b"4"), TransactionResult::Committed]);
    let over = vec![step(8, Some(b"7"), memory(b"8", 9_000)), step(9, None, memory(b"9", 9_000))];
    let nothing = Conflict::Remembered { id: "ingest/orders".into(), answer: None };
    let expected = [TransactionResult::Conflict(nothing), TransactionResult::Committed];
    assert_eq!(case.apply(T0 + 3_000, over).await, expected);
}
