//! Progress: conflated for watchers, kept now and then, complete at the end.

use sentinel_domain::Progress;
use sentinel_engine::session::FromWorker;
use sentinel_engine::{Selector, WatchEvent};

use crate::house::{House, bounded};
use crate::worker::{Worker, held, hello, success};

#[tokio::test]
async fn watchers_see_few_of_many_and_the_record_has_the_last() {
    let house = House::new().await;
    let job = house.enqueue(|_| ()).await;
    let mut worker = Worker::join(&house.engine, hello(1)).await;
    let jobs = worker.assigned(1).await;
    let mut watch =
        house.engine.watch(Selector::Jobs(vec![job.id]), None, false).await.expect("opens");
    for seq in 1..=500 {
        let progress = Progress { seq, done: seq, total: 500, message: "".into() };
        worker.send(FromWorker::Progress(vec![(held(&jobs[0]), progress)])).await;
    }
    worker.report(vec![success(&jobs[0])]).await;
    let (mut shown, mut versions) = (Vec::new(), Vec::new());
    while let Some(event) = bounded("an event", watch.next()).await.expect("goes on") {
        match event {
            WatchEvent::Progress { progress, .. } => shown.push(progress.seq),
            WatchEvent::Change(job, _) => versions.push(job.status.version),
            _ => {}
        }
    }
    assert!(!shown.is_empty() && shown.len() < 50, "{shown:?}");
    assert!(shown.is_sorted());
    assert_eq!(versions, [3], "kept progress is no change of its own");
    let last = house.job(job.id).await.status.progress.clone();
    assert_eq!(last.map(|p| p.seq), Some(500));
    worker.bye().await;
    house.close().await;
}
