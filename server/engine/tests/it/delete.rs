//! Deletions: what goes with a job, who hears of it, and what a repeat is told.

use sentinel_domain::{Filter, JobId, NewJob, Reason, State};
use sentinel_engine::session::{FromWorker, ReportVerdict};
use sentinel_engine::{CancelOutcome, EngineError, RequestKey, Selector, WatchEvent};
use sentinel_ledger::{LogQuery, LogRow};
use sentinel_store::Store;

use crate::house::{House, bounded, eventually};
use crate::worker::{Worker, crash, hello, lease, success};

fn key(id: &str) -> Option<RequestKey> {
    Some(RequestKey { id: id.into(), content_hash: 5 })
}

fn is_unknown<T: std::fmt::Debug>(answer: &Result<T, EngineError>) -> bool {
    matches!(answer, Err(EngineError::JobNotFound(_)))
}

async fn listed(house: &House) -> Vec<JobId> {
    house.until_projected().await;
    let page = house.engine.list(Filter::default(), None, 50).await.expect("a page");
    page.jobs.iter().map(|job| job.id).collect()
}

async fn is_hot(house: &House, id: JobId) -> bool {
    house.store.read(vec![id]).await.expect("answers")[0].is_some()
}

#[tokio::test]
async fn a_waiting_job_is_gone_at_once_and_its_key_is_free() {
    let house = House::new().await;
    let unique = |new: &mut NewJob| {
        new.unique_key = Some("key".into());
        new.labels = vec![("shop".into(), "42".into())];
        new.delay_ms = Some(60_000);
    };
    let job = house.enqueue(unique).await;
    house.until_projected().await;
    house.engine.delete(job.id, "me", key("a")).await.expect("it waits");
    let (id, none) = (job.id, house.engine.get(job.id).await);
    assert!(is_unknown(&none), "{none:?}");
    assert!(is_unknown(&house.engine.cancel(id, "", "").await));
    assert!(is_unknown(&house.engine.retry(id, None).await));
    assert!(is_unknown(&house.engine.run_now(id, None).await));
    assert!(is_unknown(&house.engine.list_attempts(id, None, 5).await));
    assert!(is_unknown(&house.engine.delete(id, "", None).await), "a repeat that nobody knows");
    house.engine.delete(id, "me", key("a")).await.expect("the same request again");
    let other = house.enqueue(unique).await;
    assert_ne!(other.id, id, "the key is free");
    assert_eq!(listed(&house).await, [other.id]);
    let shop = sentinel_domain::Label { key: "shop".into(), value: "42".into() };
    let by_label = Filter { labels: vec![shop], ..Filter::default() };
    let page = house.engine.list(by_label, None, 5).await.expect("a page");
    assert_eq!(page.jobs.len(), 1);
    house.close().await;
}

#[tokio::test]
async fn a_running_job_is_not_deleted_and_a_finished_one_goes_with_all_it_left() {
    let house = House::new().await;
    let job = house.enqueue(|new| new.max_attempts = 5).await;
    let mut worker = Worker::join(&house.engine, hello(1)).await;
    let jobs = worker.assigned(1).await;
    let refused = house.engine.delete(job.id, "", key("a")).await;
    assert!(matches!(refused, Err(EngineError::Running(id)) if id == job.id), "{refused:?}");
    let row = |seq| LogRow {
        job: job.id,
        run: 1,
        attempt: 1,
        seq,
        at: 1,
        level: 1,
        text: "a line".into(),
    };
    house.ledger.append_logs((0..3_000).map(row).collect()).await.expect("written");
    worker.report(vec![crash(&jobs[0], true)]).await;
    worker.credit(1).await;
    let again = worker.assigned(1).await;
    assert_eq!(worker.report(vec![success(&again[0])]).await, [ReportVerdict::Recorded]);
    house.until_projected().await;
    assert_eq!(house.ledger.attempts(job.id, None, 9).await.expect("answers").len(), 1);
    house.engine.delete(job.id, "", key("a")).await.expect("a refusal is not remembered");
    assert_eq!(worker.report(vec![success(&again[0])]).await, [ReportVerdict::Duplicate]);
    worker.send(FromWorker::Bye).await;
    assert!(listed(&house).await.is_empty());
    assert!(house.ledger.attempts(job.id, None, 9).await.expect("answers").is_empty());
    let query = LogQuery { job: job.id, attempt: None, after: None, limit: 9 };
    assert!(house.ledger.read_logs(query).await.expect("answers").is_empty());
    assert!(lease(&again[0]).epoch == 2);
    house.close().await;
}

#[tokio::test]
async fn what_only_the_ledger_has_is_deleted_for_good() {
    let house = House::new().await;
    let unique = |new: &mut NewJob| {
        new.unique_key = Some("key".into());
        new.unique_ttl_ms = Some(86_400_000);
    };
    let job = house.enqueue(unique).await;
    let outcome = house.engine.cancel(job.id, "", "").await.expect("waits").outcome;
    assert_eq!(outcome, CancelOutcome::Cancelled);
    house.until_projected().await;
    house.advance(3_600_000);
    eventually("it is evicted", async || (!is_hot(&house, job.id).await).then_some(())).await;
    house.engine.delete(job.id, "", key("a")).await.expect("is final");
    assert!(is_unknown(&house.engine.get(job.id).await), "though the ledger may still have it");
    assert!(listed(&house).await.is_empty());
    assert!(house.ledger.held_keys(0).await.expect("answers").is_empty());
    assert_ne!(house.enqueue(unique).await.id, job.id, "the key is free");
    house.advance(3_600_000);
    eventually("nothing is left", async || (!is_hot(&house, job.id).await).then_some(())).await;
    house.engine.delete(job.id, "", None).await.expect_err("is unknown");
    house.close().await;
}

#[tokio::test]
async fn those_who_wait_for_it_go_by_their_policy() {
    use sentinel_domain::DependencyFailure;
    let house = House::new().await;
    let parent = house.enqueue(|new| new.delay_ms = Some(60_000)).await;
    let after = |policy| {
        let id = parent.id.to_string();
        move |new: &mut NewJob| {
            new.depends_on = vec![id];
            new.on_dependency_failure = Some(policy);
        }
    };
    let spoiled = house.enqueue(after(DependencyFailure::Cancel)).await;
    let runs = house.enqueue(after(DependencyFailure::Run)).await;
    house.engine.delete(parent.id, "", None).await.expect("it waits");
    let spoiled = house.until_state(spoiled.id, State::Cancelled).await;
    assert_eq!(spoiled.status.reason, Reason::DependencyFailed);
    house.until_state(runs.id, State::Ready).await;
    house.close().await;
}

#[tokio::test]
async fn watchers_see_it_as_the_last_change() {
    let house = House::new().await;
    let job = house.enqueue(|_| ()).await;
    let other = house.enqueue(|_| ()).await;
    let by_ids = Selector::Jobs(vec![job.id]);
    let by_filter = Selector::Filter(Filter { queues: vec!["q".into()], ..Filter::default() });
    let mut watches = Vec::new();
    for selector in [by_ids.clone(), by_filter] {
        let mut watch = house.engine.watch(selector, None, false).await.expect("opens");
        let first = bounded("a snapshot", watch.next()).await.expect("goes on");
        let Some(WatchEvent::Snapshot(_, cursor)) = first else { panic!("{first:?}") };
        watches.push((watch, cursor));
    }
    house.engine.delete(job.id, "", None).await.expect("it waits");
    for (watch, _) in &mut watches {
        let last = loop {
            let event = bounded("the last change", watch.next()).await.expect("goes on");
            match event.expect("not over yet") {
                WatchEvent::Change(job, _) if job.is_deleted() => break job,
                _ => {}
            }
        };
        assert_eq!((last.id, last.status.version), (job.id, 2));
        assert_eq!(last.status.state, State::Cancelled);
    }
    let (by_id, cursor) = &mut watches[0];
    let end = bounded("the end", by_id.next()).await.expect("no error");
    assert!(end.is_none(), "a watch of what is gone is over: {end:?}");
    let mut resumed =
        house.engine.watch(by_ids.clone(), Some(*cursor), false).await.expect("opens");
    let again = bounded("the change", resumed.next()).await.expect("goes on");
    assert!(matches!(again, Some(WatchEvent::Change(job, _)) if job.is_deleted()));
    assert!(bounded("the end", resumed.next()).await.expect("no error").is_none());
    let anew = house.engine.watch(by_ids, None, false).await;
    assert!(matches!(anew.err(), Some(EngineError::JobNotFound(_))));
    house.engine.cancel(other.id, "", "").await.expect("is there");
    house.close().await;
}
