//! Unique keys.

use std::sync::Arc;

use sentinel_domain::{Command, Job, Millis, NewJob, decide, unique_key};

use super::{Case, T0, cancel};
use crate::conformance::fixture;
use crate::{Conflict, Position, Precondition, TransactionResult, TrimRequest};

fn keyed(now: Millis, random: u64, ttl_ms: Option<i64>) -> Arc<Job> {
    let edit = |new: &mut NewJob| {
        new.unique_key = Some("key".into());
        new.unique_ttl_ms = ttl_ms;
    };
    fixture::job_from_spec(fixture::spec("q", "k", now, edit), now, random)
}

fn create_if_free(job: &Arc<Job>) -> crate::Transaction {
    let mut transaction = fixture::create(job);
    transaction
        .preconditions
        .push(Precondition::KeyFree { key: unique_key(&job.spec).expect("the job has a key") });
    transaction
}

pub(super) async fn a_key_is_held_until_a_terminal_state(mut case: Case) {
    let (first, second) = (keyed(T0, 1, None), keyed(T0, 2, None));
    let key = unique_key(&first.spec).expect("the job has a key");
    case.must_apply(T0, vec![create_if_free(&first)]).await;
    let results = case.apply(T0, vec![create_if_free(&second)]).await;
    let conflict = Conflict::Key { key: key.clone(), holder: Some(first.id) };
    assert_eq!(results, [TransactionResult::Conflict(conflict)]);
    let holders = case.store.holders(vec![key.clone()], T0 + 1_000_000).await;
    assert_eq!(holders, Ok(vec![Some(first.id)]));
    case.execute(first.id, cancel, T0).await;
    assert_eq!(case.store.holders(vec![key], T0).await, Ok(vec![None]));
    case.must_apply(T0, vec![create_if_free(&second)]).await;
}

pub(super) async fn a_key_with_a_ttl_outlives_its_job(mut case: Case) {
    let first = keyed(T0, 1, Some(10_000));
    let key = unique_key(&first.spec).expect("the job has a key");
    case.must_apply(T0, vec![create_if_free(&first)]).await;
    case.execute(first.id, cancel, T0).await;
    let projected: Position = *case.store.head().borrow();
    let trim = TrimRequest { projected, terminal_before: T0 + 1, journal_before: 0, limit: 9 };
    assert_eq!(case.store.trim(trim).await.map(|trimmed| trimmed.evicted), Ok(1));
    assert_eq!(case.read(first.id).await, None);
    let holders = |now| case.store.holders(vec![key.clone()], now);
    assert_eq!(holders(T0 + 9_999).await, Ok(vec![Some(first.id)]));
    assert_eq!(holders(T0 + 10_000).await, Ok(vec![None]));
    let second = keyed(T0 + 10_000, 2, Some(10_000));
    case.must_apply(T0 + 10_000, vec![create_if_free(&second)]).await;
    assert_eq!(case.store.holders(vec![key], T0 + 10_000).await, Ok(vec![Some(second.id)]));
}

pub(super) async fn a_key_moves_in_one_transaction(mut case: Case) {
    let (first, second) = (keyed(T0, 1, None), keyed(T0, 2, None));
    let key = unique_key(&first.spec).expect("the job has a key");
    case.must_apply(T0, vec![create_if_free(&first)]).await;
    let decision = decide(&first, &Command::Replace, T0).expect("the job is waiting");
    let mut transaction = fixture::update(&first, decision);
    transaction.preconditions.push(Precondition::KeyHeldBy { key: key.clone(), id: first.id });
    transaction.mutations.append(&mut fixture::create(&second).mutations);
    case.must_apply(T0, vec![transaction]).await;
    assert_eq!(case.store.holders(vec![key], T0).await, Ok(vec![Some(second.id)]));
}

pub(super) async fn a_key_of_another_job_is_a_conflict(mut case: Case) {
    let (first, second) = (keyed(T0, 1, None), keyed(T0, 2, None));
    let key = unique_key(&first.spec).expect("the job has a key");
    let mut transaction = fixture::create(&second);
    transaction.preconditions.push(Precondition::KeyHeldBy { key: key.clone(), id: second.id });
    let conflict = |holder| TransactionResult::Conflict(Conflict::Key { key: key.clone(), holder });
    assert_eq!(case.apply(T0, vec![transaction.clone()]).await, [conflict(None)]);
    let results = case.apply(T0, vec![create_if_free(&first), transaction]).await;
    assert_eq!(results, [TransactionResult::Committed, conflict(Some(first.id))]);
}
