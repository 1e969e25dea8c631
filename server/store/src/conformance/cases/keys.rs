//! Unique keys.

use std::sync::Arc;

use sentinel_domain::{Command, Job, Millis, NewJob, decide, unique_key};

use super::{Case, T0, cancel};
use crate::conformance::make;
use crate::{Conflict, Position, Precondition, TransactionResult, Trim};

fn keyed(now: Millis, random: u64, ttl_ms: Option<i64>) -> Arc<Job> {
    let set = |new: &mut NewJob| {
        new.unique_key = Some("key".into());
        new.unique_ttl_ms = ttl_ms;
    };
    make::job_with(make::spec("q", "k", now, set), now, random)
}

fn create_if_free(job: &Arc<Job>) -> crate::Transaction {
    let mut group = make::create(job);
    group.guards.push(Precondition::KeyFree { key: unique_key(&job.spec).expect("has a key") });
    group
}

pub(super) async fn held_until_final(mut case: Case) {
    let (first, second) = (keyed(T0, 1, None), keyed(T0, 2, None));
    let key = unique_key(&first.spec).expect("has a key");
    case.must(T0, vec![create_if_free(&first)]).await;
    let verdicts = case.apply(T0, vec![create_if_free(&second)]).await;
    let conflict = Conflict::Key { key: key.clone(), holder: Some(first.id) };
    assert_eq!(verdicts, [TransactionResult::Conflict(conflict)]);
    let holders = case.store.holders(vec![key.clone()], T0 + 1_000_000).await;
    assert_eq!(holders, Ok(vec![Some(first.id)]));
    case.does(first.id, cancel, T0).await;
    assert_eq!(case.store.holders(vec![key], T0).await, Ok(vec![None]));
    case.must(T0, vec![create_if_free(&second)]).await;
}

pub(super) async fn ttl_outlives_its_job(mut case: Case) {
    let first = keyed(T0, 1, Some(10_000));
    let key = unique_key(&first.spec).expect("has a key");
    case.must(T0, vec![create_if_free(&first)]).await;
    case.does(first.id, cancel, T0).await;
    let projected: Position = *case.store.head().borrow();
    let trim = Trim { projected, terminal_before: T0 + 1, journal_before: 0, limit: 9 };
    assert_eq!(case.store.trim(trim).await.map(|trimmed| trimmed.finals), Ok(1));
    assert_eq!(case.read(first.id).await, None);
    let holders = |now| case.store.holders(vec![key.clone()], now);
    assert_eq!(holders(T0 + 9_999).await, Ok(vec![Some(first.id)]));
    assert_eq!(holders(T0 + 10_000).await, Ok(vec![None]));
    let second = keyed(T0 + 10_000, 2, Some(10_000));
    case.must(T0 + 10_000, vec![create_if_free(&second)]).await;
    assert_eq!(case.store.holders(vec![key], T0 + 10_000).await, Ok(vec![Some(second.id)]));
}

pub(super) async fn replaced_in_one_group(mut case: Case) {
    let (first, second) = (keyed(T0, 1, None), keyed(T0, 2, None));
    let key = unique_key(&first.spec).expect("has a key");
    case.must(T0, vec![create_if_free(&first)]).await;
    let decision = decide(&first, &Command::Replace, T0).expect("it waits");
    let mut group = make::update(&first, decision);
    group.guards.push(Precondition::KeyHeldBy { key: key.clone(), id: first.id });
    group.changes.append(&mut make::create(&second).changes);
    case.must(T0, vec![group]).await;
    assert_eq!(case.store.holders(vec![key], T0).await, Ok(vec![Some(second.id)]));
}

pub(super) async fn held_by_another(mut case: Case) {
    let (first, second) = (keyed(T0, 1, None), keyed(T0, 2, None));
    let key = unique_key(&first.spec).expect("has a key");
    let mut group = make::create(&second);
    group.guards.push(Precondition::KeyHeldBy { key: key.clone(), id: second.id });
    let conflict = |holder| TransactionResult::Conflict(Conflict::Key { key: key.clone(), holder });
    assert_eq!(case.apply(T0, vec![group.clone()]).await, [conflict(None)]);
    let verdicts = case.apply(T0, vec![create_if_free(&first), group]).await;
    assert_eq!(verdicts, [TransactionResult::Committed, conflict(Some(first.id))]);
}
