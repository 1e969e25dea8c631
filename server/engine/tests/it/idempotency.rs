//! Idempotency keys: a repeated request gets the first response, whatever the state of the job.

use sentinel_domain::UniqueMode;
use sentinel_engine::{EngineError, IdempotencyKey, Submitter};

use crate::harness::{TestEngine, new_job};
use crate::worker::{ScriptedWorker, hello, succeeded_report};

fn key(id: &str, content_hash: u64) -> Option<IdempotencyKey> {
    Some(IdempotencyKey { id: id.into(), content_hash })
}

#[tokio::test]
async fn a_repeat_returns_the_same_job_and_other_content_is_refused() {
    let test = TestEngine::start().await;
    let engine = &test.engine;
    let first = engine
        .jobs()
        .enqueue(new_job(|_| ()), Submitter::unrestricted(""), key("r", 1))
        .await
        .expect("the engine accepts it");
    let again = engine
        .jobs()
        .enqueue(new_job(|_| ()), Submitter::unrestricted(""), key("r", 1))
        .await
        .expect("a response");
    assert_eq!((again.job.id, again.deduplicated), (first.job.id, true));
    let other =
        engine.jobs().enqueue(new_job(|_| ()), Submitter::unrestricted(""), key("r", 2)).await;
    assert!(matches!(other, Err(EngineError::RequestIdReused)));
    test.close().await;
}

#[tokio::test]
async fn a_repeat_does_not_conflict_with_its_own_first_attempt() {
    let test = TestEngine::start().await;
    let engine = &test.engine;
    let unique = |mode| {
        new_job(|new| {
            new.unique_key = Some(format!("{mode:?}"));
            new.unique_mode = Some(mode);
        })
    };
    for mode in [UniqueMode::Reject, UniqueMode::ReplacePending, UniqueMode::ReturnExisting] {
        let id = format!("{mode:?}");
        let first = engine
            .jobs()
            .enqueue(unique(mode), Submitter::unrestricted(""), key(&id, 1))
            .await
            .expect("the engine accepts it");
        let again = engine
            .jobs()
            .enqueue(unique(mode), Submitter::unrestricted(""), key(&id, 1))
            .await
            .expect("a response");
        assert_eq!(again.job.id, first.job.id, "{mode:?}");
        let batch = engine
            .jobs()
            .enqueue_batch(vec![unique(mode)], true, Submitter::unrestricted(""), key("b", 9))
            .await;
        assert_eq!(
            batch.is_err(),
            mode == UniqueMode::Reject,
            "another request is refused only in this mode"
        );
    }
    let late = engine
        .jobs()
        .enqueue(unique(UniqueMode::Reject), Submitter::unrestricted(""), key("Reject", 3))
        .await;
    assert!(matches!(late, Err(EngineError::RequestIdReused)));
    test.close().await;
}

#[tokio::test]
async fn a_repeat_of_a_deduplicated_request_is_deduplicated() {
    let test = TestEngine::start().await;
    let engine = &test.engine;
    let unique = || new_job(|new| new.unique_key = Some("one".into()));
    let holder = engine
        .jobs()
        .enqueue(unique(), Submitter::unrestricted(""), None)
        .await
        .expect("the engine accepts it")
        .job;
    let first = engine
        .jobs()
        .enqueue(unique(), Submitter::unrestricted(""), key("r", 1))
        .await
        .expect("a response");
    assert_eq!((first.job.id, first.deduplicated), (holder.id, true));
    engine.jobs().cancel(holder.id, "", "").await.expect("cancel the job");
    let again = engine
        .jobs()
        .enqueue(unique(), Submitter::unrestricted(""), key("r", 1))
        .await
        .expect("a response");
    assert_eq!((again.job.id, again.deduplicated), (holder.id, true));
    test.close().await;
}

#[tokio::test]
async fn a_repeated_retry_starts_one_run() {
    let test = TestEngine::start().await;
    let job = test.enqueue(|_| ()).await;
    let mut worker = ScriptedWorker::join(&test.engine, hello(1)).await;
    let jobs = worker.accept_jobs(1).await;
    worker.report(vec![succeeded_report(&jobs[0])]).await;
    let retried = test.engine.jobs().retry(job.id, key("r", 1)).await.expect("retry the job");
    let again = test.engine.jobs().retry(job.id, key("r", 1)).await.expect("a response");
    assert_eq!((retried.status.run, again.status.run), (2, 2));
    let other = test.engine.jobs().retry(job.id, key("s", 1)).await;
    assert!(matches!(other, Err(EngineError::NotTerminal(_))));
    worker.bye().await;
    test.close().await;
}
