//! Watches: their end, their resume, and what they do when they can not keep up.

use sentinel_domain::{Filter, State};
use sentinel_engine::session::ReportVerdict;
use sentinel_engine::{Cursor, EngineError, GapReason, Selector, Watch, WatchEvent};

use crate::house::{House, bounded};
use crate::worker::{Worker, hello, success};

async fn next(watch: &mut Watch) -> Option<WatchEvent> {
    bounded("an event", watch.next()).await.expect("goes on")
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
async fn a_watch_by_ids_sees_every_version_and_ends() {
    let house = House::new().await;
    let job = house.enqueue(|_| ()).await;
    let mut watch =
        house.engine.watch(Selector::Jobs(vec![job.id]), None, false).await.expect("opens");
    let Some(WatchEvent::Snapshot(snapshot, cursor)) = next(&mut watch).await else { panic!() };
    assert_eq!(snapshot.jobs[0].status.version, 1);
    let mut worker = Worker::join(&house.engine, hello(1)).await;
    let jobs = worker.assigned(1).await;
    worker.report(vec![success(&jobs[0])]).await;
    assert_eq!(versions(&rest(&mut watch).await), [2, 3]);
    let mut resumed =
        house.engine.watch(Selector::Jobs(vec![job.id]), Some(cursor), false).await.expect("opens");
    let events = rest(&mut resumed).await;
    assert_eq!(versions(&events), [2, 3], "and it ends");
    let Some(WatchEvent::Change(_, last)) = events.last() else { panic!() };
    let text = last.to_string();
    let cursor: Cursor = text.parse().expect("a cursor of its own");
    let started = std::time::Instant::now();
    let mut done =
        house.engine.watch(Selector::Jobs(vec![job.id]), Some(cursor), false).await.expect("opens");
    assert!(rest(&mut done).await.is_empty(), "all was seen");
    assert!(started.elapsed().as_secs() < 5, "it does not wait for a keepalive to end");
    let mut late =
        house.engine.watch(Selector::Jobs(vec![job.id]), None, false).await.expect("opens");
    assert_eq!(rest(&mut late).await.len(), 1, "a finished job: a snapshot and the end");
    worker.bye().await;
    house.close().await;
}

#[tokio::test]
async fn unknown_jobs_and_foreign_cursors() {
    let house = House::new().await;
    let job = house.enqueue(|_| ()).await;
    let unknown = sentinel_domain::JobId::from_u128(1);
    let none = house.engine.watch(Selector::Jobs(vec![unknown]), None, false).await;
    assert!(matches!(none.err(), Some(EngineError::JobNotFound(_))));
    let head = *sentinel_store::Store::head(&*house.store).borrow();
    let ahead = sentinel_store::Position { seq: head.seq + 1_000, ..head };
    let other = sentinel_store::Position { epoch: head.epoch + 1, ..head };
    for cursor in [ahead, other] {
        let cursor: Cursor = cursor.to_string().parse().expect("a cursor");
        let selector = Selector::Jobs(vec![job.id, unknown]);
        let mut watch = house.engine.watch(selector, Some(cursor), false).await.expect("opens");
        let gap = next(&mut watch).await;
        assert!(matches!(gap, Some(WatchEvent::Gap(GapReason::Epoch))), "{gap:?}");
        let Some(WatchEvent::Snapshot(snapshot, _)) = next(&mut watch).await else { panic!() };
        assert_eq!((snapshot.jobs.len(), snapshot.unknown), (1, vec![unknown]));
    }
    house.close().await;
}

#[tokio::test]
async fn a_slow_reader_is_told_and_gets_a_snapshot() {
    let house = House::with(|s| s.watch_ring = 4).await;
    let mut worker = Worker::join(&house.engine, hello(10)).await;
    let mut ids = Vec::new();
    for _ in 0..10 {
        ids.push(house.enqueue(|new| new.delay_ms = Some(60_000)).await.id);
    }
    let mut watch =
        house.engine.watch(Selector::Jobs(ids.clone()), None, false).await.expect("opens");
    for id in &ids {
        house.engine.cancel(*id, "", "").await.expect("cancels");
    }
    let events = rest(&mut watch).await;
    let gaps = events.iter().filter(|e| matches!(e, WatchEvent::Gap(GapReason::SlowReader)));
    assert_eq!(gaps.count(), 1, "{events:?}");
    let Some(WatchEvent::Snapshot(last, _)) = events.last() else { panic!("{events:?}") };
    assert!(last.jobs.iter().all(|job| job.status.state == State::Cancelled));
    assert!(worker.pong().await.is_empty());
    worker.bye().await;
    house.close().await;
}

#[tokio::test]
async fn a_filter_shows_what_it_selects() {
    let house = House::new().await;
    house.enqueue(|_| ()).await;
    house.enqueue(|new| new.queue = "other".into()).await;
    let filter = Filter { queues: vec!["q".into()], ..Filter::default() };
    let mut watch = house.engine.watch(Selector::Filter(filter), None, false).await.expect("opens");
    let mut worker = Worker::join(&house.engine, hello(1)).await;
    let jobs = worker.assigned(1).await;
    assert_eq!(worker.report(vec![success(&jobs[0])]).await, [ReportVerdict::Recorded]);
    house.enqueue(|new| new.queue = "other".into()).await;
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
    house.close().await;
}
