//! Finals that only the ledger has: found, counted, retried; and logs to their end.

use sentinel_domain::State;
use sentinel_engine::session::{FromWorker, LogLine, ReportVerdict};
use sentinel_store::Store;

use crate::house::{House, bounded, eventually};
use crate::worker::{Worker, held, hello, success};

#[tokio::test]
async fn a_final_is_evicted_found_and_retried() {
    let house = House::with(|s| s.finals_hot_ms = 0).await;
    let job = house.enqueue(|new| new.payload = "input".into()).await;
    let mut worker = Worker::join(&house.engine, hello(1)).await;
    let jobs = worker.assigned(1).await;
    worker.report(vec![success(&jobs[0])]).await;
    house.until_projected().await;
    eventually("it is evicted", async || {
        let hot = house.store.read(vec![job.id]).await.expect("answers");
        hot[0].is_none().then_some(())
    })
    .await;
    let found = house.job(job.id).await;
    assert_eq!((found.status.state, &*found.spec.payload), (State::Succeeded, &b"input"[..]));
    assert_eq!(worker.report(vec![success(&jobs[0])]).await, [ReportVerdict::Duplicate]);
    let retried = house.engine.retry(job.id, None).await.expect("is retried");
    assert_eq!((retried.status.state, retried.status.run), (State::Ready, 2));
    worker.credit(1).await;
    let again = worker.assigned(1).await;
    assert_eq!((again[0].id, &*again[0].spec.payload), (job.id, &b"input"[..]));
    assert_eq!(worker.report(vec![success(&again[0])]).await, [ReportVerdict::Recorded]);
    worker.bye().await;
    house.close().await;
}

#[tokio::test]
async fn who_follows_a_log_gets_its_last_line() {
    let house = House::new().await;
    let mut worker = Worker::join(&house.engine, hello(0)).await;
    for _ in 0..10 {
        let job = house.enqueue(|_| ()).await;
        worker.credit(1).await;
        let jobs = worker.assigned(1).await;
        let mut feed = house.engine.read_logs(job.id, None, true).await.expect("opens");
        for seq in 1..=20 {
            let line = LogLine { seq, at: 1, level: 1, text: format!("line {seq}") };
            worker.send(FromWorker::Log { held: held(&jobs[0]), lines: vec![line] }).await;
        }
        worker.send(FromWorker::Report(vec![success(&jobs[0])])).await;
        let mut lines = Vec::new();
        while let Some(rows) = bounded("lines", feed.next()).await.expect("goes on") {
            lines.extend(rows.into_iter().map(|row| row.line()));
        }
        assert_eq!(lines, (1..=20).collect::<Vec<_>>());
        assert_eq!(worker.acked().await, [ReportVerdict::Recorded]);
    }
    worker.bye().await;
    house.close().await;
}
