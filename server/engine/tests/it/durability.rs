//! Durability levels: a call returns when its change is as safe as requested.

use sentinel_domain::{Ack, JobId, QueueMode, State};
use sentinel_engine::session::{ReportItem, ReportVerdict, ToWorker};
use sentinel_engine::{EngineError, IdempotencyKey, Submitter};

use crate::harness::{TestEngine, new_job, wait_until};
use crate::worker::{ScriptedWorker, hello, succeeded_report};

/// Longer than any call that does not wait for the ledger.
const SLOW_MS: u64 = 300;

/// Starts an engine with a slow projector.
async fn start_with_slow_projector(ack: Ack) -> TestEngine {
    TestEngine::with_settings(|settings| {
        settings.project_linger_ms = SLOW_MS;
        settings.ack = ack;
    })
    .await
}

/// Returns the state of a job in the ledger.
async fn ledger_state(test: &TestEngine, id: JobId) -> Option<State> {
    let found = test.ledger.get(vec![id]).await.expect("a response").pop().flatten();
    found.map(|job| job.status.state)
}

#[tokio::test]
async fn with_ledger_durability_the_ledger_has_every_acknowledged_change() {
    let test = start_with_slow_projector(Ack::Ledger).await;
    let job = test.enqueue(|_| ()).await;
    assert_eq!(ledger_state(&test, job.id).await, Some(State::Ready));
    let items = vec![new_job(|_| ()), new_job(|_| ())];
    for item in test
        .engine
        .jobs()
        .enqueue_batch(items, true, Submitter::unrestricted("test"), None)
        .await
        .expect("the engine accepts it")
    {
        let job = item.expect("a stored job").job;
        assert_eq!(ledger_state(&test, job.id).await, Some(State::Ready));
        test.engine.jobs().cancel(job.id, "", "test").await.expect("cancel the job");
        assert_eq!(ledger_state(&test, job.id).await, Some(State::Cancelled));
    }
    let mut worker = ScriptedWorker::join(&test.engine, hello(1)).await;
    let jobs = worker.accept_jobs(1).await;
    assert_eq!(worker.report(vec![succeeded_report(&jobs[0])]).await, [ReportVerdict::Recorded]);
    assert_eq!(ledger_state(&test, job.id).await, Some(State::Succeeded));
    test.engine.jobs().retry(job.id, None).await.expect("retry the job");
    assert_ne!(ledger_state(&test, job.id).await, Some(State::Succeeded));
    test.close().await;
}

#[tokio::test]
async fn a_job_can_set_its_own_durability_level() {
    let test = start_with_slow_projector(Ack::Store).await;
    let fast = test.enqueue(|_| ()).await;
    let safe = test.enqueue(|new| new.ack = Some(Ack::Ledger)).await;
    assert_eq!(ledger_state(&test, safe.id).await, Some(State::Ready));
    // Earlier changes are then in the ledger too.
    assert_eq!(ledger_state(&test, fast.id).await, Some(State::Ready));
    test.engine.jobs().cancel(safe.id, "", "test").await.expect("cancel the job");
    assert_eq!(ledger_state(&test, safe.id).await, Some(State::Cancelled));
    let error = test.engine.jobs().enqueue(
        new_job(|new| new.ack = Some(Ack::Replicated)),
        Submitter::unrestricted(""),
        None,
    );
    let error = error.await.expect_err("an error without replicas");
    assert!(matches!(&error, EngineError::Invalid(v) if v[0].field == "spec.ack"), "{error}");
    test.close().await;
}

#[tokio::test]
async fn a_change_that_is_not_safe_in_time_gets_an_error_and_a_repeat_waits_again() {
    let test = TestEngine::with_settings(|settings| {
        settings.project_linger_ms = 2_000;
        settings.ledger_ack_ms = 20;
        settings.ack = Ack::Ledger;
    })
    .await;
    let enqueue = async || {
        let request = IdempotencyKey { id: "one".into(), content_hash: 1 };
        test.engine
            .jobs()
            .enqueue(new_job(|_| ()), Submitter::unrestricted("test"), Some(request))
            .await
    };
    // Creating the queue is a change too, so the first errors may be about the queue.
    let mut refused = 0;
    let enqueued = wait_until("the ledger has the job", async || match enqueue().await {
        Ok(enqueued) => Some(enqueued),
        Err(EngineError::NotYetSafe { level: Ack::Ledger, .. }) => {
            refused += 1;
            None
        }
        Err(error) => panic!("{error}"),
    })
    .await;
    assert!(refused > 0 && enqueued.deduplicated, "the job is stored before it is safe");
    let id = enqueued.job.id;
    assert_eq!(ledger_state(&test, id).await, Some(State::Ready));
    // Without a request id, the state of the job shows the result.
    let mut refused = 0;
    wait_until("the ledger has the cancel", async || {
        match test.engine.jobs().cancel(id, "", "test").await {
            Ok(_) => Some(()),
            Err(EngineError::NotYetSafe { .. }) => {
                refused += 1;
                None
            }
            Err(error) => panic!("{error}"),
        }
    })
    .await;
    assert!(refused > 0);
    assert_eq!(ledger_state(&test, id).await, Some(State::Cancelled));
    test.close().await;
}

#[tokio::test]
async fn a_report_gets_retry_later_until_it_is_safe() {
    let test = TestEngine::with_settings(|settings| {
        settings.project_linger_ms = 1_000;
        settings.ledger_ack_ms = 20;
    })
    .await;
    let job = test.enqueue(|_| ()).await;
    let mut worker = ScriptedWorker::join(&test.engine, hello(1)).await;
    let jobs = worker.accept_jobs(1).await;
    assert_eq!(jobs[0].id, job.id);
    assert_eq!(
        worker.report(vec![succeeded_report(&jobs[0])]).await,
        [ReportVerdict::Recorded],
        "the store level does not wait for the ledger"
    );

    let mut safe = new_job(|new| new.ack = Some(Ack::Ledger));
    safe.queue = "q".into();
    let _ = test.engine.jobs().enqueue(safe, Submitter::unrestricted("test"), None).await;
    worker.credit(1).await;
    let jobs = worker.accept_jobs(1).await;
    let item: ReportItem = succeeded_report(&jobs[0]);
    let mut verdicts = Vec::new();
    wait_until("the report is safe", async || {
        verdicts.extend(worker.report(vec![item.clone()]).await);
        let last = *verdicts.last().expect("a verdict");
        (last != ReportVerdict::RetryLater).then_some(())
    })
    .await;
    assert_eq!(verdicts[0], ReportVerdict::RetryLater, "{verdicts:?}");
    assert_eq!(verdicts.last(), Some(&ReportVerdict::Duplicate), "{verdicts:?}");
    assert_eq!(ledger_state(&test, jobs[0].id).await, Some(State::Succeeded));
    test.close().await;
}

#[tokio::test]
async fn a_change_that_is_not_yet_safe_takes_effect() {
    let test = TestEngine::with_settings(|settings| {
        settings.project_linger_ms = 5_000;
        settings.ledger_ack_ms = 20;
    })
    .await;
    test.enqueue(|_| ()).await;
    let mut worker = ScriptedWorker::join(&test.engine, hello(2)).await;
    worker.accept_jobs(1).await;
    let safe = new_job(|new| new.ack = Some(Ack::Ledger));
    let result = test.engine.jobs().enqueue(safe, Submitter::unrestricted("test"), None).await;
    assert!(matches!(result, Err(EngineError::NotYetSafe { .. })), "{result:?}");
    let running = worker.accept_jobs(1).await[0].id;
    let result = test.engine.jobs().cancel(running, "", "test").await;
    assert!(matches!(result, Err(EngineError::NotYetSafe { .. })), "{result:?}");
    let cancels = worker.wait_for("Cancel", |frame| match frame {
        ToWorker::Cancel(jobs) => Some(jobs),
        _ => None,
    });
    assert_eq!(cancels.await[0].id, running);
    worker.bye().await;
    test.close().await;
}

#[tokio::test]
async fn a_queue_change_that_is_not_yet_safe_takes_effect() {
    let test = TestEngine::with_settings(|settings| {
        settings.project_linger_ms = 5_000;
        settings.ledger_ack_ms = 20;
        settings.ack = Ack::Ledger;
    })
    .await;
    let result =
        test.engine.jobs().enqueue(new_job(|_| ()), Submitter::unrestricted("test"), None).await;
    assert!(matches!(result, Err(EngineError::NotYetSafe { .. })), "{result:?}");
    let result = test.engine.queues().update("q", |queue| queue.mode = QueueMode::Draining).await;
    assert!(matches!(result, Err(EngineError::NotYetSafe { .. })), "{result:?}");
    let queue = test.engine.queues().get("q").await.expect("a queue");
    assert_eq!(queue.mode, QueueMode::Draining);
    let refused =
        test.engine.jobs().enqueue(new_job(|_| ()), Submitter::unrestricted("test"), None).await;
    assert!(matches!(refused, Err(EngineError::QueueDraining(_))), "{refused:?}");
    test.close().await;
}
