//! Deletions: the data that is deleted with a job, the events of watches, and repeated calls.

use sentinel_domain::{Filter, JobId, NewJob, Reason, State};
use sentinel_engine::session::{FromWorker, ReportVerdict};
use sentinel_engine::{CancelOutcome, EngineError, IdempotencyKey, Selector, WatchEvent};
use sentinel_ledger::{LogQuery, LogRow};
use sentinel_store::Store;

use crate::harness::{TestEngine, wait_until, within_timeout};
use crate::worker::{ScriptedWorker, failed_report, hello, lease, succeeded_report};

fn key(id: &str) -> Option<IdempotencyKey> {
    Some(IdempotencyKey { id: id.into(), content_hash: 5 })
}

fn is_unknown<T: std::fmt::Debug>(result: &Result<T, EngineError>) -> bool {
    matches!(result, Err(EngineError::JobNotFound(_)))
}

/// Returns the ids of all jobs in the ledger.
async fn list_ids(test: &TestEngine) -> Vec<JobId> {
    test.wait_projected().await;
    let page = test.engine.history().list(Filter::default(), None, 50).await.expect("a page");
    page.jobs.iter().map(|job| job.id).collect()
}

/// Returns whether the store has the job.
async fn is_in_store(test: &TestEngine, id: JobId) -> bool {
    test.store.read(vec![id]).await.expect("a response")[0].is_some()
}

#[tokio::test]
async fn a_waiting_job_is_deleted_immediately_and_its_key_is_free() {
    let test = TestEngine::start().await;
    let unique = |new: &mut NewJob| {
        new.unique_key = Some("key".into());
        new.labels = vec![("shop".into(), "42".into())];
        new.delay_ms = Some(60_000);
    };
    let job = test.enqueue(unique).await;
    test.wait_projected().await;
    test.engine.jobs().delete(job.id, "me", key("a")).await.expect("delete a waiting job");
    let (id, none) = (job.id, test.engine.jobs().get(job.id).await);
    assert!(is_unknown(&none), "{none:?}");
    assert!(is_unknown(&test.engine.jobs().cancel(id, "", "").await));
    assert!(is_unknown(&test.engine.jobs().retry(id, None).await));
    assert!(is_unknown(&test.engine.jobs().run_now(id, None).await));
    assert!(is_unknown(&test.engine.history().list_attempts(id, None, 5).await));
    assert!(
        is_unknown(&test.engine.jobs().delete(id, "", None).await),
        "a repeat without a request id must fail"
    );
    test.engine.jobs().delete(id, "me", key("a")).await.expect("a repeated response");
    let other = test.enqueue(unique).await;
    assert_ne!(other.id, id, "the key is free");
    assert_eq!(list_ids(&test).await, [other.id]);
    let shop = sentinel_domain::Label { key: "shop".into(), value: "42".into() };
    let by_label = Filter { labels: vec![shop], ..Filter::default() };
    let page = test.engine.history().list(by_label, None, 5).await.expect("a page");
    assert_eq!(page.jobs.len(), 1);
    test.close().await;
}

#[tokio::test]
async fn a_running_job_cannot_be_deleted_and_a_finished_one_is_deleted_with_its_data() {
    let test = TestEngine::start().await;
    let job = test.enqueue(|new| new.max_attempts = 5).await;
    let mut worker = ScriptedWorker::join(&test.engine, hello(1)).await;
    let jobs = worker.accept_jobs(1).await;
    let refused = test.engine.jobs().delete(job.id, "", key("a")).await;
    assert!(matches!(refused, Err(EngineError::JobRunning(id)) if id == job.id), "{refused:?}");
    let row = |seq| LogRow {
        job: job.id,
        run: 1,
        attempt: 1,
        seq,
        at: 1,
        level: 1,
        text: "a line".into(),
    };
    test.ledger.append_logs((0..3_000).map(row).collect()).await.expect("append log lines");
    worker.report(vec![failed_report(&jobs[0], true)]).await;
    worker.credit(1).await;
    let again = worker.accept_jobs(1).await;
    assert_eq!(worker.report(vec![succeeded_report(&again[0])]).await, [ReportVerdict::Recorded]);
    test.wait_projected().await;
    assert_eq!(test.ledger.attempts(job.id, None, 9).await.expect("a response").len(), 1);
    test.engine.jobs().delete(job.id, "", key("a")).await.expect("delete the job");
    assert_eq!(worker.report(vec![succeeded_report(&again[0])]).await, [ReportVerdict::Duplicate]);
    worker.send(FromWorker::Bye).await;
    assert!(list_ids(&test).await.is_empty());
    assert!(test.ledger.attempts(job.id, None, 9).await.expect("a response").is_empty());
    let query = LogQuery { job: job.id, attempt: None, after: None, limit: 9 };
    assert!(test.ledger.read_logs(query).await.expect("a response").is_empty());
    assert!(lease(&again[0]).epoch == 2);
    test.close().await;
}

#[tokio::test]
async fn a_job_that_only_the_ledger_has_is_deleted_permanently() {
    let test = TestEngine::start().await;
    let unique = |new: &mut NewJob| {
        new.unique_key = Some("key".into());
        new.unique_ttl_ms = Some(86_400_000);
    };
    let job = test.enqueue(unique).await;
    let outcome =
        test.engine.jobs().cancel(job.id, "", "").await.expect("cancel a waiting job").outcome;
    assert_eq!(outcome, CancelOutcome::Cancelled);
    test.wait_projected().await;
    test.advance(3_600_000);
    wait_until("the job is evicted", async || (!is_in_store(&test, job.id).await).then_some(()))
        .await;
    test.engine.jobs().delete(job.id, "", key("a")).await.expect("a terminal job");
    assert!(
        is_unknown(&test.engine.jobs().get(job.id).await),
        "also while the ledger still has the job"
    );
    assert!(list_ids(&test).await.is_empty());
    assert!(test.ledger.held_unique_keys(0).await.expect("a response").is_empty());
    assert_ne!(test.enqueue(unique).await.id, job.id, "the key is free");
    test.advance(3_600_000);
    wait_until("the deleted record is evicted", async || {
        (!is_in_store(&test, job.id).await).then_some(())
    })
    .await;
    test.engine.jobs().delete(job.id, "", None).await.expect_err("an error for an unknown job");
    test.close().await;
}

#[tokio::test]
async fn dependents_of_a_deleted_job_follow_their_policy() {
    use sentinel_domain::DependencyFailure;
    let test = TestEngine::start().await;
    let parent = test.enqueue(|new| new.delay_ms = Some(60_000)).await;
    let after = |policy| {
        let id = parent.id.to_string();
        move |new: &mut NewJob| {
            new.depends_on = vec![id];
            new.on_dependency_failure = Some(policy);
        }
    };
    let cancelled_dependent = test.enqueue(after(DependencyFailure::Cancel)).await;
    let running_dependent = test.enqueue(after(DependencyFailure::Run)).await;
    test.engine.jobs().delete(parent.id, "", None).await.expect("delete a waiting job");
    let cancelled_dependent = test.wait_state(cancelled_dependent.id, State::Cancelled).await;
    assert_eq!(cancelled_dependent.status.reason, Reason::DependencyFailed);
    test.wait_state(running_dependent.id, State::Ready).await;
    test.close().await;
}

#[tokio::test]
async fn watches_show_the_deletion_as_the_last_change() {
    let test = TestEngine::start().await;
    let job = test.enqueue(|_| ()).await;
    let other = test.enqueue(|_| ()).await;
    let by_ids = Selector::Jobs(vec![job.id]);
    let by_filter = Selector::Filter(Filter { queues: vec!["q".into()], ..Filter::default() });
    let mut watches = Vec::new();
    for selector in [by_ids.clone(), by_filter] {
        let mut watch =
            test.engine.watches().open(selector, None, false).await.expect("open a watch");
        let first = within_timeout("a snapshot", watch.next()).await.expect("no error");
        let Some(WatchEvent::Snapshot(_, cursor)) = first else { panic!("{first:?}") };
        watches.push((watch, cursor));
    }
    test.engine.jobs().delete(job.id, "", None).await.expect("delete a waiting job");
    for (watch, _) in &mut watches {
        let last = loop {
            let event = within_timeout("the deletion", watch.next()).await.expect("no error");
            match event.expect("an event") {
                WatchEvent::Change(job, _) if job.is_deleted() => break job,
                _ => {}
            }
        };
        assert_eq!((last.id, last.status.version), (job.id, 2));
        assert_eq!(last.status.state, State::Cancelled);
    }
    let (by_id, cursor) = &mut watches[0];
    let end = within_timeout("the watch closes", by_id.next()).await.expect("no error");
    assert!(end.is_none(), "a watch of a deleted job must close: {end:?}");
    let mut resumed = test
        .engine
        .watches()
        .open(by_ids.clone(), Some(*cursor), false)
        .await
        .expect("open a watch");
    let again = within_timeout("the deletion again", resumed.next()).await.expect("no error");
    assert!(matches!(again, Some(WatchEvent::Change(job, _)) if job.is_deleted()));
    assert!(within_timeout("the watch closes", resumed.next()).await.expect("no error").is_none());
    let reopened = test.engine.watches().open(by_ids, None, false).await;
    assert!(matches!(reopened.err(), Some(EngineError::JobNotFound(_))));
    test.engine.jobs().cancel(other.id, "", "").await.expect("an existing job");
    test.close().await;
}
