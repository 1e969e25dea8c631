//! Progress: conflated in watches, stored at intervals, and complete with the report.

use sentinel_domain::Progress;
use sentinel_engine::session::FromWorker;
use sentinel_engine::{Selector, WatchEvent};

use crate::harness::{TestEngine, within_timeout};
use crate::worker::{ScriptedWorker, held, hello, succeeded_report};

#[tokio::test]
async fn watches_show_few_updates_and_the_job_has_the_last() {
    let test = TestEngine::start().await;
    let job = test.enqueue(|_| ()).await;
    let mut worker = ScriptedWorker::join(&test.engine, hello(1)).await;
    let jobs = worker.accept_jobs(1).await;
    let mut watch = test
        .engine
        .watches()
        .open(Selector::Jobs(vec![job.id]), None, false)
        .await
        .expect("open a watch");
    for seq in 1..=500 {
        let progress = Progress { seq, done: seq, total: 500, message: "".into() };
        worker.send(FromWorker::Progress(vec![(held(&jobs[0]), progress)])).await;
    }
    worker.report(vec![succeeded_report(&jobs[0])]).await;
    let (mut shown, mut versions) = (Vec::new(), Vec::new());
    while let Some(event) = within_timeout("an event", watch.next()).await.expect("no error") {
        match event {
            WatchEvent::Progress { progress, .. } => shown.push(progress.seq),
            WatchEvent::Change(job, _) => versions.push(job.status.version),
            _ => {}
        }
    }
    assert!(!shown.is_empty() && shown.len() < 50, "{shown:?}");
    assert!(shown.is_sorted());
    assert_eq!(versions, [3], "stored progress does not change the version");
    let last = test.job(job.id).await.status.progress.clone();
    assert_eq!(last.map(|p| p.seq), Some(500));
    worker.bye().await;
    test.close().await;
}
