//! One verb to all jobs of a filter, step by step.

use std::collections::BTreeMap;

use sentinel_domain::{Filter, JobId, Name, State};
use sentinel_engine::{BulkAction, BulkOutcome, BulkStep, EngineError};
use sentinel_ledger::PageRequest;

use crate::house::House;
use crate::worker::{Worker, crash, hello};

fn of_queue(queue: &str) -> Filter {
    Filter { queues: vec![Name::from(queue)], ..Filter::default() }
}

fn page(before: Option<JobId>, size: usize) -> PageRequest {
    PageRequest { size, before }
}

fn cancel() -> BulkAction {
    BulkAction::Cancel { reason: "bulk".into() }
}

/// All steps from one on; what they add up to, and how many there were.
async fn walk(
    house: &House,
    action: &BulkAction,
    filter: &Filter,
    size: usize,
) -> (BTreeMap<BulkOutcome, u64>, usize) {
    let (mut totals, mut steps, mut before) = (BTreeMap::new(), 0, None);
    loop {
        let step =
            house.engine.bulk(action, filter, page(before, size), "me").await.expect("a step");
        let of_step: u64 = step.counts.values().sum();
        assert!(of_step <= size as u64, "{of_step} in a step of {size}");
        for (outcome, count) in step.counts {
            *totals.entry(outcome).or_default() += count;
        }
        steps += 1;
        before = step.next;
        if before.is_none() {
            return (totals, steps);
        }
    }
}

async fn many(house: &House, count: usize, queue: &str) -> Vec<JobId> {
    let mut ids = Vec::new();
    for _ in 0..count {
        ids.push(house.enqueue(|new| new.queue = queue.into()).await.id);
    }
    ids
}

#[tokio::test]
async fn all_that_was_acknowledged_before_has_its_turn_once() {
    let house = House::with(|s| s.project_linger_ms = 50).await;
    many(&house, 23, "mail").await;
    let other = many(&house, 2, "other").await;
    let mail = of_queue("mail");
    let preview = house.engine.bulk_preview(&cancel(), &mail).await.expect("counted");
    assert_eq!(preview, (23, false));
    let (totals, steps) = walk(&house, &cancel(), &mail, 5).await;
    assert_eq!(totals, BTreeMap::from([(BulkOutcome::Cancelled, 23)]));
    assert_eq!(steps, 5);
    let (again, _) = walk(&house, &cancel(), &mail, 5).await;
    assert!(again.is_empty(), "none is left: {again:?}");
    let (retried, _) = walk(&house, &BulkAction::Retry, &mail, 7).await;
    assert_eq!(retried, BTreeMap::from([(BulkOutcome::Retried, 23)]));
    let (deleted, _) = walk(&house, &BulkAction::Delete, &mail, 1_000).await;
    assert_eq!(deleted, BTreeMap::from([(BulkOutcome::Deleted, 23)]));
    let left = house.engine.bulk_preview(&BulkAction::Delete, &mail).await.expect("counted");
    assert_eq!(left, (0, false));
    for id in other {
        assert_eq!(house.job(id).await.status.state, State::Ready, "of another queue");
    }
    house.close().await;
}

/// A call whose answer was lost is asked for again with the same place.
#[tokio::test]
async fn a_step_that_is_repeated_does_nothing_twice() {
    let house = House::new().await;
    let ids = many(&house, 9, "mail").await;
    let mail = of_queue("mail");
    for id in &ids {
        house.engine.cancel(*id, "", "").await.expect("waits");
    }
    let first =
        house.engine.bulk(&BulkAction::Retry, &mail, page(None, 4), "").await.expect("a step");
    assert_eq!(first.counts, BTreeMap::from([(BulkOutcome::Retried, 4)]));
    let place = first.next;
    for _ in 0..2 {
        house.engine.bulk(&BulkAction::Retry, &mail, page(place, 4), "").await.expect("a step");
    }
    let mut before = place;
    while let Some(at) = before {
        let step = house.engine.bulk(&BulkAction::Retry, &mail, page(Some(at), 4), "").await;
        before = step.expect("a step").next;
    }
    for id in ids {
        assert_eq!(house.job(id).await.status.run, 2, "retried once");
    }
    house.close().await;
}

#[tokio::test]
async fn each_job_is_told_apart() {
    let house = House::new().await;
    let unique = |new: &mut sentinel_domain::NewJob| new.unique_key = Some("key".into());
    let first = house.enqueue(unique).await;
    house.engine.cancel(first.id, "", "").await.expect("waits");
    let holder = house.enqueue(unique).await;
    let queue = of_queue("q");
    let finals = Filter { states: vec![State::Cancelled, State::Failed], ..queue.clone() };
    let step =
        house.engine.bulk(&BulkAction::Retry, &finals, page(None, 9), "").await.expect("a step");
    let BulkStep { counts, refusals, .. } = step;
    assert_eq!(counts, BTreeMap::from([(BulkOutcome::Refused, 1)]));
    assert_eq!((refusals[0].0, refusals[0].1.reason.as_str()), (first.id, "UNIQUE_KEY_HELD"));
    let mut worker = Worker::join(&house.engine, hello(1)).await;
    let jobs = worker.assigned(1).await;
    assert_eq!(jobs[0].id, holder.id);
    let waiting = house.enqueue(|_| ()).await;
    let (asked, _) = walk(&house, &cancel(), &queue, 9).await;
    let expected = [(BulkOutcome::Cancelled, 1), (BulkOutcome::Requested, 1)];
    assert_eq!(asked, BTreeMap::from(expected));
    let (deleted, _) = walk(&house, &BulkAction::Delete, &queue, 9).await;
    assert_eq!(deleted, BTreeMap::from([(BulkOutcome::Deleted, 2)]), "not the one that runs");
    assert!(house.engine.get(waiting.id).await.is_err());
    worker.report(vec![crash(&jobs[0], false)]).await;
    worker.bye().await;
    house.close().await;
}

#[tokio::test]
async fn a_filter_that_names_nothing_is_refused() {
    let house = House::new().await;
    let all = Filter { created_before: Some(1), ..Filter::default() };
    let refused = house.engine.bulk(&BulkAction::Delete, &all, page(None, 9), "").await;
    assert!(matches!(refused, Err(EngineError::Invalid(_))), "{refused:?}");
    let finals = Filter { states: vec![State::Failed], ..Filter::default() };
    let nothing = house.engine.bulk(&cancel(), &finals, page(None, 9), "").await.expect("a step");
    assert!(nothing.counts.is_empty() && nothing.next.is_none());
    house.close().await;
}
