//! Idempotency keys and producer offsets.

use super::{Case, T0};
use crate::conformance::{ReopenState, fixture};
use crate::{Conflict, IdempotencyRecord, Mutation, Precondition, Transaction, TransactionResult};

fn create(random: u64, content: &[u8]) -> Transaction {
    let job = fixture::job("q", "k", T0, random);
    fixture::with_idempotency(fixture::create(&job), "request", content, T0 + 1_000)
}

pub(super) async fn a_repeat_is_replayed_and_other_content_is_refused(mut case: Case) {
    let transactions = vec![create(1, b"one"), create(2, b"one"), create(3, b"other")];
    let expected = [
        TransactionResult::Committed,
        TransactionResult::Replayed(bytes::Bytes::from_static(b"one")),
        TransactionResult::IdempotencyKeyReused,
    ];
    assert_eq!(case.apply(T0, transactions.clone()).await, expected);
    assert_eq!(case.apply(T0 + 999, transactions[1..].to_vec()).await, expected[1..]);
    for random in [2, 3] {
        assert_eq!(case.read(fixture::job("q", "k", T0, random).id).await, None, "nothing changed");
    }
    if case.harness.can_reopen() {
        drop(case.store);
        case.harness.reopen(ReopenState { now: T0 + 500, ..ReopenState::default() }).await;
        case.store = case.harness.store();
        assert_eq!(case.apply(T0 + 999, transactions[1..].to_vec()).await, expected[1..]);
    }
}

pub(super) async fn a_record_expires(mut case: Case) {
    assert_eq!(case.apply(T0, vec![create(1, b"one")]).await, [TransactionResult::Committed]);
    let later = case.apply(T0 + 1_000, vec![create(2, b"other")]).await;
    assert_eq!(later, [TransactionResult::Committed], "the record has expired");
}

/// Returns a transaction of a producer: it creates a job and moves the offset from `known`.
fn step(random: u64, known: Option<&'static [u8]>, record: IdempotencyRecord) -> Transaction {
    let response = known.map(bytes::Bytes::from_static);
    let is_known = Precondition::IdempotencyRecord { id: record.id.clone(), response };
    let mut transaction = fixture::create(&fixture::job("q", "k", T0, random));
    transaction.preconditions.push(is_known);
    transaction.mutations.push(Mutation::PutIdempotencyRecord(record));
    transaction
}

pub(super) async fn a_producer_offset_is_replaced_only_from_the_expected_value(mut case: Case) {
    let record = |content, until| fixture::idempotency_record("ingest/orders", content, T0 + until);
    let other = |content: &'static [u8]| {
        let response = Some(bytes::Bytes::from_static(content));
        TransactionResult::Conflict(Conflict::IdempotencyRecord {
            id: "ingest/orders".into(),
            response,
        })
    };
    let transactions = vec![
        step(1, None, record(b"1", 1_000)),
        step(2, None, record(b"2", 1_000)),
        step(3, Some(b"2"), record(b"3", 1_000)),
        step(4, Some(b"1"), record(b"4", 2_000)),
        step(5, Some(b"1"), record(b"5", 2_000)),
    ];
    let expected = [
        TransactionResult::Committed,
        other(b"1"),
        other(b"1"),
        TransactionResult::Committed,
        other(b"4"),
    ];
    assert_eq!(case.apply(T0, transactions).await, expected);
    for random in [2, 3, 5] {
        assert_eq!(case.read(fixture::job("q", "k", T0, random).id).await, None, "nothing changed");
    }
    if case.harness.can_reopen() {
        drop(case.store);
        case.harness.reopen(ReopenState { now: T0 + 500, ..ReopenState::default() }).await;
        case.store = case.harness.store();
    }
    // The newer record determines the expiry.
    let late =
        vec![step(6, Some(b"1"), record(b"6", 3_000)), step(7, Some(b"4"), record(b"7", 3_000))];
    assert_eq!(case.apply(T0 + 1_999, late).await, [other(b"4"), TransactionResult::Committed]);
    let expired =
        vec![step(8, Some(b"7"), record(b"8", 9_000)), step(9, None, record(b"9", 9_000))];
    let nothing = Conflict::IdempotencyRecord { id: "ingest/orders".into(), response: None };
    let expected = [TransactionResult::Conflict(nothing), TransactionResult::Committed];
    assert_eq!(case.apply(T0 + 3_000, expired).await, expected);
}
