//! Listing the attempts of a job, and reading many jobs at once.

use sentinel_domain::limits::BATCH_JOBS;
use sentinel_domain::{AttemptOutcome, JobId, NewJob};
use sentinel_engine::session::ReportVerdict;
use sentinel_engine::{AttemptResult, EngineError};

use crate::harness::{TestEngine, wait_until};
use crate::worker::{ScriptedWorker, failed_report, hello, succeeded_report};

/// Lists all attempts, newest first, in pages of this size.
async fn listed(test: &TestEngine, id: JobId, size: usize) -> Vec<(u32, u32, AttemptResult)> {
    let (mut found, mut below) = (Vec::new(), None);
    loop {
        let page = test.engine.history().list_attempts(id, below, size).await.expect("a page");
        assert!(page.attempts.len() <= size);
        found.extend(page.attempts.iter().map(|a| (a.run, a.attempt, a.result)));
        below = page.next;
        if below.is_none() {
            return found;
        }
    }
}

#[tokio::test]
async fn attempts_of_the_ledger_and_of_the_live_job_are_one_list() {
    let test = TestEngine::start().await;
    let job = test.enqueue(|new| new.max_attempts = 9).await;
    assert!(listed(&test, job.id, 1).await.is_empty(), "the job has not started");
    let mut worker = ScriptedWorker::join(&test.engine, hello(1)).await;
    for _ in 0..3 {
        let jobs = worker.accept_jobs(1).await;
        assert_eq!(
            worker.report(vec![failed_report(&jobs[0], true)]).await,
            [ReportVerdict::Recorded]
        );
        worker.credit(1).await;
    }
    let jobs = worker.accept_jobs(1).await;
    test.wait_projected().await;
    let failed = AttemptResult::Unsuccessful(AttemptOutcome::Failed);
    let running = [(1, 4, AttemptResult::Running), (1, 3, failed), (1, 2, failed), (1, 1, failed)];
    for size in 1..6 {
        assert_eq!(listed(&test, job.id, size).await, running, "pages of {size}");
    }
    assert_eq!(worker.report(vec![succeeded_report(&jobs[0])]).await, [ReportVerdict::Recorded]);
    let done = [(1, 4, AttemptResult::Succeeded), (1, 3, failed), (1, 2, failed), (1, 1, failed)];
    for size in 1..6 {
        assert_eq!(listed(&test, job.id, size).await, done, "pages of {size}");
    }
    worker.bye().await;
    test.engine.jobs().retry(job.id, None).await.expect("a terminal job");
    assert_eq!(
        listed(&test, job.id, 9).await.len(),
        3,
        "a successful attempt of an earlier run is not listed"
    );
    let unknown = test.engine.history().list_attempts(JobId::from_u128(1), None, 5).await;
    assert!(matches!(unknown, Err(EngineError::JobNotFound(_))), "{unknown:?}");
    test.close().await;
}

#[tokio::test]
async fn an_attempt_is_listed_once_while_the_ledger_lags() {
    let test = TestEngine::start().await;
    let job = test.enqueue(|new: &mut NewJob| new.max_attempts = 1_000).await;
    let mut worker = ScriptedWorker::join(&test.engine, hello(1)).await;
    for nth in 1..=20 {
        let jobs = worker.accept_jobs(1).await;
        let found = listed(&test, job.id, 3).await;
        assert_eq!(found[0], (1, nth, AttemptResult::Running));
        assert!(found.windows(2).all(|pair| pair[0].1 > pair[1].1), "{found:?}");
        worker.report(vec![failed_report(&jobs[0], true)]).await;
        worker.credit(1).await;
    }
    wait_until("all attempts are listed", async || {
        let found = listed(&test, job.id, 7).await;
        (found.iter().filter(|(.., how)| *how != AttemptResult::Running).count() == 20)
            .then_some(())
    })
    .await;
    worker.bye().await;
    test.close().await;
}

#[tokio::test]
async fn batch_get_reads_the_store_and_the_ledger() {
    let test = TestEngine::start().await;
    let evicted = test.enqueue(|_| ()).await;
    test.engine.jobs().cancel(evicted.id, "", "").await.expect("a response");
    test.wait_projected().await;
    test.advance(3_600_000);
    wait_until("only the ledger has the job", async || {
        let stored = sentinel_store::Store::read(test.store.as_ref(), vec![evicted.id]).await;
        stored.expect("a response")[0].is_none().then_some(())
    })
    .await;
    let live = test.enqueue(|_| ()).await;
    let missing = JobId::from_u128(7);
    let ids = [live.id, missing, evicted.id, live.id];
    let found = test.engine.jobs().batch_get(&ids, true).await.expect("a response");
    let found: Vec<_> = found.iter().map(|job| job.as_ref().map(|job| job.id)).collect();
    assert_eq!(found, [Some(live.id), None, Some(evicted.id), Some(live.id)]);
    for count in [0, BATCH_JOBS as usize + 1] {
        let refused = test.engine.jobs().batch_get(&vec![live.id; count], false).await;
        assert!(matches!(refused, Err(EngineError::Invalid(_))), "{count}");
    }
    test.close().await;
}

#[tokio::test]
async fn batch_get_returns_as_many_jobs_as_fit_into_a_message() {
    let test = TestEngine::start().await;
    let large = test.enqueue(|new| new.payload = vec![b'x'; 1 << 20].into()).await;
    let ids = vec![large.id; 30];
    let full = test.engine.jobs().batch_get(&ids, true).await.expect("a response");
    assert_eq!(full.len(), 12);
    let basic = test.engine.jobs().batch_get(&ids, false).await.expect("a response");
    assert_eq!(basic.len(), 30);
    test.close().await;
}
