//! Watches: end, resume, and slow readers.

use sentinel_domain::{Filter, State};
use sentinel_engine::session::ReportVerdict;
use sentinel_engine::{Cursor, EngineError, GapReason, Selector, Watch, WatchEvent};

use crate::harness::{TestEngine, within_timeout};
use crate::worker::{ScriptedWorker, hello, succeeded_report};

async fn next(watch: &mut Watch) -> Option<WatchEvent> {
    within_timeout("an event", watch.next()).await.expect("no error")
}

async fn rest(watch: &mut Watch) -> Vec<WatchEvent> {
    let mut events = Vec::new();
    while let Some(event) = next(watch).await {
        events.push(event);
    }
    events
}

fn versions(events: &[WatchEvent]) -> Vec<u64> {
    let version = |event: &WatchEvent| match event {
        WatchEvent::Change(job, _) => Some(job.status.version),
        _ => None,
    };
    events.iter().filter_map(version).collect()
}

#[tokio::test]
async fn a_watch_by_ids_shows_every_version_and_ends() {
    let test = TestEngine::start().await;
    let job = test.enqueue(|_| ()).await;
    let mut watch = test
        .engine
        .watches()
        .open(Selector::Jobs(vec![job.id]), None, false)
        .await
        .expect("open a watch");
    let Some(WatchEvent::Snapshot(snapshot, cursor)) = next(&mut watch).await else { panic!() };
    assert_eq!(snapshot.jobs[0].status.version, 1);
    let mut worker = ScriptedWorker::join(&test.engine, hello(1)).await;
    let jobs = worker.accept_jobs(1).await;
    worker.report(vec![succeeded_report(&jobs[0])]).await;
    assert_eq!(versions(&rest(&mut watch).await), [2, 3]);
    let mut resumed = test
        .engine
        .watches()
        .open(Selector::Jobs(vec![job.id]), Some(cursor), false)
        .await
        .expect("open a watch");
    let events = rest(&mut resumed).await;
    assert_eq!(versions(&events), [2, 3], "all later versions, then the end");
    let Some(WatchEvent::Change(_, last)) = events.last() else { panic!() };
    let text = last.to_string();
    let cursor: Cursor = text.parse().expect("a cursor");
    let started = std::time::Instant::now();
    let mut done = test
        .engine
        .watches()
        .open(Selector::Jobs(vec![job.id]), Some(cursor), false)
        .await
        .expect("open a watch");
    assert!(rest(&mut done).await.is_empty(), "no event is left");
    assert!(started.elapsed().as_secs() < 5, "the watch must end without waiting for a keepalive");
    let mut late = test
        .engine
        .watches()
        .open(Selector::Jobs(vec![job.id]), None, false)
        .await
        .expect("open a watch");
    assert_eq!(rest(&mut late).await.len(), 1, "a finished job: a snapshot and the end");
    worker.bye().await;
    test.close().await;
}

#[tokio::test]
async fn unknown_jobs_are_reported_and_a_foreign_cursor_is_a_gap() {
    let test = TestEngine::start().await;
    let job = test.enqueue(|_| ()).await;
    let unknown = sentinel_domain::JobId::from_u128(1);
    let none = test.engine.watches().open(Selector::Jobs(vec![unknown]), None, false).await;
    assert!(matches!(none.err(), Some(EngineError::JobNotFound(_))));
    let head = *sentinel_store::Store::head(&*test.store).borrow();
    let ahead = sentinel_store::Position { seq: head.seq + 1_000, ..head };
    let other = sentinel_store::Position { epoch: head.epoch + 1, ..head };
    for cursor in [ahead, other] {
        let cursor: Cursor = cursor.to_string().parse().expect("a cursor");
        let selector = Selector::Jobs(vec![job.id, unknown]);
        let mut watch =
            test.engine.watches().open(selector, Some(cursor), false).await.expect("open a watch");
        let gap = next(&mut watch).await;
        assert!(matches!(gap, Some(WatchEvent::Gap(GapReason::Epoch))), "{gap:?}");
        let Some(WatchEvent::Snapshot(snapshot, _)) = next(&mut watch).await else { panic!() };
        assert_eq!((snapshot.jobs.len(), snapshot.unknown), (1, vec![unknown]));
    }
    test.close().await;
}

#[tokio::test]
async fn a_slow_reader_gets_a_gap_and_a_snapshot() {
    let test = TestEngine::with_settings(|s| s.watch_buffer = 4).await;
    let mut worker = ScriptedWorker::join(&test.engine, hello(10)).await;
    let mut ids = Vec::new();
    for _ in 0..10 {
        ids.push(test.enqueue(|new| new.delay_ms = Some(60_000)).await.id);
    }
    let mut watch = test
        .engine
        .watches()
        .open(Selector::Jobs(ids.clone()), None, false)
        .await
        .expect("open a watch");
    for id in &ids {
        test.engine.jobs().cancel(*id, "", "").await.expect("cancel the job");
    }
    let events = rest(&mut watch).await;
    let gaps = events.iter().filter(|e| matches!(e, WatchEvent::Gap(GapReason::SlowReader)));
    assert_eq!(gaps.count(), 1, "{events:?}");
    let Some(WatchEvent::Snapshot(last, _)) = events.last() else { panic!("{events:?}") };
    assert!(last.jobs.iter().all(|job| job.status.state == State::Cancelled));
    assert!(worker.ping().await.is_empty());
    worker.bye().await;
    test.close().await;
}

#[tokio::test]
async fn a_filtered_watch_shows_only_matching_jobs() {
    let test = TestEngine::start().await;
    test.enqueue(|_| ()).await;
    test.enqueue(|new| new.queue = "other".into()).await;
    let filter = Filter { queues: vec!["q".into()], ..Filter::default() };
    let mut watch = test
        .engine
        .watches()
        .open(Selector::Filter(filter), None, false)
        .await
        .expect("open a watch");
    let mut worker = ScriptedWorker::join(&test.engine, hello(1)).await;
    let jobs = worker.accept_jobs(1).await;
    assert_eq!(worker.report(vec![succeeded_report(&jobs[0])]).await, [ReportVerdict::Recorded]);
    test.enqueue(|new| new.queue = "other".into()).await;
    let mut newest = 0;
    while newest < 3 {
        match next(&mut watch).await {
            Some(WatchEvent::Snapshot(snapshot, _)) => {
                for job in &snapshot.jobs {
                    assert_eq!(&*job.spec.queue, "q");
                    newest = job.status.version;
                }
            }
            Some(WatchEvent::Change(job, _)) => {
                assert_eq!((&*job.spec.queue, job.status.version), ("q", newest + 1));
                newest += 1;
            }
            other => panic!("{other:?}"),
        }
    }
    worker.bye().await;
    test.close().await;
}
