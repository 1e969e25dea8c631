//! RunNow of scheduled jobs.

use sentinel_domain::{Reason, State};
use sentinel_engine::{EngineError, IdempotencyKey};

use crate::harness::TestEngine;
use crate::worker::{ScriptedWorker, hello};

fn key(id: &str) -> Option<IdempotencyKey> {
    Some(IdempotencyKey { id: id.into(), content_hash: 5 })
}

#[tokio::test]
async fn run_now_starts_a_scheduled_job() {
    let test = TestEngine::start().await;
    let job = test.enqueue(|new| new.delay_ms = Some(3_600_000)).await;
    let mut worker = ScriptedWorker::join(&test.engine, hello(1)).await;
    let ready = test.engine.jobs().run_now(job.id, key("a")).await.expect("a scheduled job");
    assert_eq!((ready.status.state, ready.status.version), (State::Ready, 2));
    assert!(ready.status.ready_at <= ready.status.updated_at);
    assert_eq!(
        worker.accept_jobs(1).await[0].id,
        job.id,
        "the worker gets the job before its scheduled time"
    );
    let again = test.engine.jobs().run_now(job.id, key("a")).await.expect("a repeated response");
    assert_eq!(again.status.state, State::Running);
    let other = test.engine.jobs().run_now(job.id, key("b")).await;
    assert!(
        matches!(other, Err(EngineError::NotScheduled { state: State::Running, .. })),
        "{other:?}"
    );
    worker.bye().await;
    test.close().await;
}

#[tokio::test]
async fn run_now_between_two_attempts_keeps_the_reason() {
    let test = TestEngine::start().await;
    let set = |new: &mut sentinel_domain::NewJob| {
        new.retry_base_ms = Some(3_600_000);
        new.retry_cap_ms = Some(3_600_000);
        new.jitter = Some(sentinel_domain::Jitter::None);
    };
    let job = test.enqueue(set).await;
    let mut worker = ScriptedWorker::join(&test.engine, hello(1)).await;
    let jobs = worker.accept_jobs(1).await;
    let mut failed = crate::worker::failed_report(&jobs[0], true);
    if let sentinel_domain::Command::Fail { failure, .. } = &mut failed.command {
        failure.next_delay_ms = None;
    }
    worker.report(vec![failed]).await;
    let scheduled = test.wait_state(job.id, State::Scheduled).await;
    assert_eq!(scheduled.status.reason, Reason::HandlerError);
    let ready = test.engine.jobs().run_now(job.id, None).await.expect("a scheduled job");
    assert_eq!((ready.status.state, ready.status.reason), (State::Ready, Reason::HandlerError));
    worker.credit(1).await;
    assert_eq!(worker.accept_jobs(1).await[0].status.attempt, 2);
    worker.bye().await;
    test.close().await;
}
