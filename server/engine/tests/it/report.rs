//! Verdicts on reports, with and without faults of the store.

use sentinel_domain::{Progress, State};
use sentinel_engine::session::{FromWorker, ReportVerdict};
use sentinel_engine::{EngineError, Submitter};
use sentinel_store::StoreError;
use sentinel_store::fault::Fault;

use crate::harness::{TestEngine, new_job, wait_until};
use crate::worker::{ScriptedWorker, failed_report, held, hello, succeeded_report};

#[tokio::test]
async fn a_report_is_recorded_once_and_a_stale_one_is_fenced() {
    let test = TestEngine::start().await;
    test.enqueue(|_| ()).await;
    let mut worker = ScriptedWorker::join(&test.engine, hello(1)).await;
    let jobs = worker.accept_jobs(1).await;
    let mut stale = succeeded_report(&jobs[0]);
    stale.held.lease.epoch += 1;
    let sentinel_domain::Command::Succeed { lease, .. } = &mut stale.command else { panic!() };
    lease.epoch += 1;
    let reports = vec![stale, succeeded_report(&jobs[0]), succeeded_report(&jobs[0])];
    let verdicts = worker.report(reports).await;
    use ReportVerdict::{Duplicate, Fenced, Recorded};
    assert_eq!(verdicts, [Fenced, Recorded, Duplicate]);
    assert_eq!(worker.report(vec![succeeded_report(&jobs[0])]).await, [Duplicate]);
    worker.bye().await;
    test.close().await;
}

#[tokio::test]
async fn a_commit_whose_response_is_lost_is_repeated() {
    let test = TestEngine::start().await;
    test.store.commits.once(&[Fault::LostResponse; 3]);
    let job = test.enqueue(|_| ()).await;
    test.store.commits.once(&[Fault::LostResponse; 2]);
    let mut worker = ScriptedWorker::join(&test.engine, hello(1)).await;
    let jobs = worker.accept_jobs(1).await;
    assert_eq!((jobs[0].id, jobs[0].status.epoch), (job.id, 1));
    test.store.commits.once(&[Fault::LostResponse]);
    assert_eq!(worker.report(vec![succeeded_report(&jobs[0])]).await, [ReportVerdict::Recorded]);
    assert_eq!(test.job(job.id).await.status.version, 3);
    worker.bye().await;
    test.close().await;
}

#[tokio::test]
async fn a_claim_whose_response_is_lost_is_found_after_an_unavailable_store() {
    let test = TestEngine::start().await;
    let job = test.enqueue(|_| ()).await;
    let mut worker = ScriptedWorker::join(&test.engine, hello(0)).await;
    test.store.commits.once(&[Fault::LostResponse, Fault::Unavailable]);
    worker.credit(1).await;
    let jobs = worker.accept_jobs(1).await;
    assert_eq!((jobs[0].id, jobs[0].status.epoch), (job.id, 1), "claimed once");
    worker.bye().await;
    test.close().await;
}

#[tokio::test]
async fn a_claim_that_is_repeated_often_still_reaches_the_worker() {
    let test = TestEngine::start().await;
    let job = test.enqueue(|_| ()).await;
    let mut worker = ScriptedWorker::join(&test.engine, hello(0)).await;
    test.store.commits.always(Some(Fault::LostResponse));
    worker.credit(1).await;
    // More repeats than any caller waits for.
    wait_until("ten faults were injected", async || (test.store.injected() > 9).then_some(()))
        .await;
    test.store.commits.always(None);
    let jobs = worker.accept_jobs(1).await;
    assert_eq!((jobs[0].id, jobs[0].status.epoch), (job.id, 1), "claimed once");
    assert_eq!(worker.report(vec![succeeded_report(&jobs[0])]).await, [ReportVerdict::Recorded]);
    worker.bye().await;
    test.close().await;
}

#[tokio::test]
async fn reports_and_progress_survive_an_unavailable_store() {
    let test = TestEngine::start().await;
    let job = test.enqueue(|_| ()).await;
    let mut worker = ScriptedWorker::join(&test.engine, hello(1)).await;
    let jobs = worker.accept_jobs(1).await;
    test.store.commits.always(Some(Fault::Unavailable));
    let progress = Progress { seq: 5, done: 3, total: 4, message: "almost done".into() };
    worker.send(FromWorker::Progress(vec![(held(&jobs[0]), progress.clone())])).await;
    assert_eq!(worker.report(vec![succeeded_report(&jobs[0])]).await, [ReportVerdict::RetryLater]);
    test.store.commits.always(None);
    assert_eq!(worker.report(vec![succeeded_report(&jobs[0])]).await, [ReportVerdict::Recorded]);
    assert_eq!(test.job(job.id).await.status.progress.as_deref(), Some(&progress));
    test.enqueue(|_| ()).await;
    worker.credit(1).await;
    worker.accept_jobs(1).await;
    worker.bye().await;
    test.close().await;
}

#[tokio::test]
async fn sessions_claim_again_after_a_failed_call_under_load() {
    let test = TestEngine::start().await;
    test.enqueue(|_| ()).await;
    let mut worker = ScriptedWorker::join(&test.engine, hello(0)).await;
    test.store.commits.once(&[Fault::Unavailable]);
    worker.credit(1).await;
    let engine = test.engine.clone();
    // Enqueues without a pause, so that the claim loop is never idle.
    let load = tokio::spawn(async move {
        loop {
            let other = new_job(|new| new.kind = "other".into());
            engine
                .jobs()
                .enqueue(other, Submitter::unrestricted("test"), None)
                .await
                .expect("the engine accepts it");
        }
    });
    worker.accept_jobs(1).await;
    load.abort();
    worker.bye().await;
    test.close().await;
}

#[tokio::test]
async fn a_full_store_accepts_reports_and_cancels() {
    let test = TestEngine::start().await;
    let job = test.enqueue(|_| ()).await;
    let waiting = test.enqueue(|new| new.kind = "other".into()).await;
    let mut worker = ScriptedWorker::join(&test.engine, hello(1)).await;
    let jobs = worker.accept_jobs(1).await;
    test.store.commits.always(Some(Fault::Full));
    for _ in 0..20 {
        let refused =
            test.engine.jobs().enqueue(new_job(|_| ()), Submitter::unrestricted("test"), None);
        let cancelled = test.engine.jobs().cancel(waiting.id, "", "");
        let reported = worker.report(vec![failed_report(&jobs[0], false)]);
        let (refused, cancelled, verdicts) = tokio::join!(refused, cancelled, reported);
        assert!(matches!(refused, Err(EngineError::Store(StoreError::Full(_)))), "{refused:?}");
        cancelled.expect("cancel the job");
        assert_ne!(verdicts, [ReportVerdict::RetryLater]);
    }
    assert_eq!(test.job(job.id).await.status.state, State::Failed);
    test.store.commits.always(None);
    test.enqueue(|_| ()).await;
    worker.bye().await;
    test.close().await;
}
