//! Bulk actions on all jobs of a filter, step by step.

use std::collections::BTreeMap;

use sentinel_domain::{Filter, JobId, Name, State};
use sentinel_engine::{BulkAction, BulkOutcome, BulkStep, EngineError};
use sentinel_ledger::PageRequest;

use crate::harness::TestEngine;
use crate::worker::{ScriptedWorker, failed_report, hello};

fn of_queue(queue: &str) -> Filter {
    Filter { queues: vec![Name::from(queue)], ..Filter::default() }
}

fn page(before: Option<JobId>, size: usize) -> PageRequest {
    PageRequest { size, before }
}

fn cancel() -> BulkAction {
    BulkAction::Cancel { reason: "bulk".into() }
}

/// Runs all steps; returns the sums by outcome and the number of steps.
async fn run_all(
    test: &TestEngine,
    action: &BulkAction,
    filter: &Filter,
    size: usize,
) -> (BTreeMap<BulkOutcome, u64>, usize) {
    let (mut totals, mut steps, mut before) = (BTreeMap::new(), 0, None);
    loop {
        let step = test
            .engine
            .jobs()
            .bulk(action, filter, page(before, size), "me")
            .await
            .expect("a step");
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

/// Enqueues `count` jobs.
async fn enqueue_many(test: &TestEngine, count: usize, queue: &str) -> Vec<JobId> {
    let mut ids = Vec::new();
    for _ in 0..count {
        ids.push(test.enqueue(|new| new.queue = queue.into()).await.id);
    }
    ids
}

#[tokio::test]
async fn every_job_acknowledged_before_is_processed_once() {
    let test = TestEngine::with_settings(|s| s.project_linger_ms = 50).await;
    enqueue_many(&test, 23, "mail").await;
    let other = enqueue_many(&test, 2, "other").await;
    let mail = of_queue("mail");
    let preview = test.engine.jobs().bulk_preview(&cancel(), &mail).await.expect("a preview");
    assert_eq!(preview, (23, false));
    let (totals, steps) = run_all(&test, &cancel(), &mail, 5).await;
    assert_eq!(totals, BTreeMap::from([(BulkOutcome::Cancelled, 23)]));
    assert_eq!(steps, 5);
    let (again, _) = run_all(&test, &cancel(), &mail, 5).await;
    assert!(again.is_empty(), "no job must be left: {again:?}");
    let (retried, _) = run_all(&test, &BulkAction::Retry, &mail, 7).await;
    assert_eq!(retried, BTreeMap::from([(BulkOutcome::Retried, 23)]));
    let (deleted, _) = run_all(&test, &BulkAction::Delete, &mail, 1_000).await;
    assert_eq!(deleted, BTreeMap::from([(BulkOutcome::Deleted, 23)]));
    let left =
        test.engine.jobs().bulk_preview(&BulkAction::Delete, &mail).await.expect("a preview");
    assert_eq!(left, (0, false));
    for id in other {
        assert_eq!(
            test.job(id).await.status.state,
            State::Ready,
            "a job of another queue must be unchanged"
        );
    }
    test.close().await;
}

/// A client repeats a step when its response was lost.
#[tokio::test]
async fn a_repeated_step_has_no_second_effect() {
    let test = TestEngine::start().await;
    let ids = enqueue_many(&test, 9, "mail").await;
    let mail = of_queue("mail");
    for id in &ids {
        test.engine.jobs().cancel(*id, "", "").await.expect("cancel a waiting job");
    }
    let first = test
        .engine
        .jobs()
        .bulk(&BulkAction::Retry, &mail, page(None, 4), "")
        .await
        .expect("a step");
    assert_eq!(first.counts, BTreeMap::from([(BulkOutcome::Retried, 4)]));
    let token = first.next;
    for _ in 0..2 {
        test.engine
            .jobs()
            .bulk(&BulkAction::Retry, &mail, page(token, 4), "")
            .await
            .expect("a step");
    }
    let mut before = token;
    while let Some(at) = before {
        let step = test.engine.jobs().bulk(&BulkAction::Retry, &mail, page(Some(at), 4), "").await;
        before = step.expect("a step").next;
    }
    for id in ids {
        assert_eq!(test.job(id).await.status.run, 2, "the job must be retried once");
    }
    test.close().await;
}

#[tokio::test]
async fn each_job_has_its_own_outcome() {
    let test = TestEngine::start().await;
    let unique = |new: &mut sentinel_domain::NewJob| new.unique_key = Some("key".into());
    let first = test.enqueue(unique).await;
    test.engine.jobs().cancel(first.id, "", "").await.expect("cancel a waiting job");
    let holder = test.enqueue(unique).await;
    let queue = of_queue("q");
    let terminal = Filter { states: vec![State::Cancelled, State::Failed], ..queue.clone() };
    let step = test
        .engine
        .jobs()
        .bulk(&BulkAction::Retry, &terminal, page(None, 9), "")
        .await
        .expect("a step");
    let BulkStep { counts, refusals, .. } = step;
    assert_eq!(counts, BTreeMap::from([(BulkOutcome::Refused, 1)]));
    assert_eq!((refusals[0].0, refusals[0].1.reason.as_str()), (first.id, "UNIQUE_KEY_HELD"));
    let mut worker = ScriptedWorker::join(&test.engine, hello(1)).await;
    let jobs = worker.accept_jobs(1).await;
    assert_eq!(jobs[0].id, holder.id);
    let waiting = test.enqueue(|_| ()).await;
    let (asked, _) = run_all(&test, &cancel(), &queue, 9).await;
    let expected = [(BulkOutcome::Cancelled, 1), (BulkOutcome::Requested, 1)];
    assert_eq!(asked, BTreeMap::from(expected));
    let (deleted, _) = run_all(&test, &BulkAction::Delete, &queue, 9).await;
    assert_eq!(
        deleted,
        BTreeMap::from([(BulkOutcome::Deleted, 2)]),
        "the running job must not be deleted"
    );
    assert!(test.engine.jobs().get(waiting.id).await.is_err());
    worker.report(vec![failed_report(&jobs[0], false)]).await;
    worker.bye().await;
    test.close().await;
}

#[tokio::test]
async fn a_filter_without_a_selection_is_refused() {
    let test = TestEngine::start().await;
    let all = Filter { created_before: Some(1), ..Filter::default() };
    let refused = test.engine.jobs().bulk(&BulkAction::Delete, &all, page(None, 9), "").await;
    assert!(matches!(refused, Err(EngineError::Invalid(_))), "{refused:?}");
    let terminal = Filter { states: vec![State::Failed], ..Filter::default() };
    let nothing =
        test.engine.jobs().bulk(&cancel(), &terminal, page(None, 9), "").await.expect("a step");
    assert!(nothing.counts.is_empty() && nothing.next.is_none());
    test.close().await;
}
