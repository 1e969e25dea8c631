//! Terminal jobs that only the ledger has, and logs that are followed to their end.

use sentinel_domain::State;
use sentinel_engine::session::{FromWorker, LogLine, ReportVerdict};
use sentinel_store::Store;

use crate::harness::{TestEngine, wait_until, within_timeout};
use crate::worker::{ScriptedWorker, held, hello, succeeded_report};

#[tokio::test]
async fn an_evicted_job_is_found_and_can_be_retried() {
    let test = TestEngine::with_settings(|s| s.store_retention_ms = 0).await;
    let job = test.enqueue(|new| new.payload = "input".into()).await;
    let mut worker = ScriptedWorker::join(&test.engine, hello(1)).await;
    let jobs = worker.accept_jobs(1).await;
    worker.report(vec![succeeded_report(&jobs[0])]).await;
    test.wait_projected().await;
    wait_until("the job is evicted", async || {
        let stored = test.store.read(vec![job.id]).await.expect("a response");
        stored[0].is_none().then_some(())
    })
    .await;
    let found = test.job(job.id).await;
    assert_eq!((found.status.state, &*found.spec.payload), (State::Succeeded, &b"input"[..]));
    assert_eq!(worker.report(vec![succeeded_report(&jobs[0])]).await, [ReportVerdict::Duplicate]);
    let retried = test.engine.jobs().retry(job.id, None).await.expect("retry the job");
    assert_eq!((retried.status.state, retried.status.run), (State::Ready, 2));
    worker.credit(1).await;
    let again = worker.accept_jobs(1).await;
    assert_eq!((again[0].id, &*again[0].spec.payload), (job.id, &b"input"[..]));
    assert_eq!(worker.report(vec![succeeded_report(&again[0])]).await, [ReportVerdict::Recorded]);
    worker.bye().await;
    test.close().await;
}

#[tokio::test]
async fn a_followed_log_includes_its_last_line() {
    let test = TestEngine::start().await;
    let mut worker = ScriptedWorker::join(&test.engine, hello(0)).await;
    for _ in 0..10 {
        let job = test.enqueue(|_| ()).await;
        worker.credit(1).await;
        let jobs = worker.accept_jobs(1).await;
        let mut feed =
            test.engine.history().read_logs(job.id, None, true).await.expect("open a watch");
        for seq in 1..=20 {
            let line = LogLine { seq, at: 1, level: 1, text: format!("line {seq}") };
            worker.send(FromWorker::Log { held: held(&jobs[0]), lines: vec![line] }).await;
        }
        worker.send(FromWorker::Report(vec![succeeded_report(&jobs[0])])).await;
        let mut lines = Vec::new();
        while let Some(rows) = within_timeout("lines", feed.next()).await.expect("no error") {
            lines.extend(rows.into_iter().map(|row| row.line()));
        }
        assert_eq!(lines, (1..=20).collect::<Vec<_>>());
        assert_eq!(worker.report_verdicts().await, [ReportVerdict::Recorded]);
    }
    worker.bye().await;
    test.close().await;
}
