//! Sessions that end without Bye: crash counts, poisoned jobs and suspected network faults.

use sentinel_domain::{JobId, Reason, State};
use sentinel_engine::session::{FromWorker, HeldLeaseVerdict, ReportVerdict, StreamEnd, ToWorker};

use crate::harness::{TestEngine, holds_for};
use crate::worker::{ScriptedWorker, hello, succeeded_report};

#[tokio::test]
async fn a_crash_is_counted_and_the_job_runs_again() {
    let test = TestEngine::with_settings(|s| s.lost_grace_ms = 50).await;
    let job = test.enqueue(|new| new.retry_base_ms = Some(1)).await;
    let mut worker = ScriptedWorker::join(&test.engine, hello(1)).await;
    let first = worker.accept_jobs(1).await;
    worker.ping().await;
    assert_eq!(worker.disconnect().await, StreamEnd::Eof);
    let mut other = ScriptedWorker::join(&test.engine, hello(1)).await;
    let again = other.accept_jobs(1).await;
    let status = &again[0].status;
    assert_eq!((again[0].id, status.attempt, status.crashes), (job.id, 2, 1));
    assert_eq!(other.report(vec![succeeded_report(&first[0])]).await, [ReportVerdict::Fenced]);
    assert_eq!(other.report(vec![succeeded_report(&again[0])]).await, [ReportVerdict::Recorded]);
    other.bye().await;
    test.close().await;
}

#[tokio::test]
async fn three_crashes_poison_a_job() {
    let test = TestEngine::with_settings(|s| s.lost_grace_ms = 20).await;
    let set = |new: &mut sentinel_domain::NewJob| {
        new.retry_base_ms = Some(1);
        new.max_attempts = 10;
    };
    let job = test.enqueue(set).await;
    for _ in 0..3 {
        let mut worker = ScriptedWorker::join(&test.engine, hello(1)).await;
        worker.accept_jobs(1).await;
        worker.ping().await;
        worker.disconnect().await;
    }
    let job = test.wait_state(job.id, State::Failed).await;
    assert_eq!(job.status.reason, Reason::Poisoned);
    test.close().await;
}

/// Enqueues three jobs and loses the worker of all three twice. Which job caused the crashes is
/// unknown.
async fn crash_twice(test: &TestEngine) -> Vec<JobId> {
    let set = |new: &mut sentinel_domain::NewJob| new.max_attempts = 10;
    let mut ids = Vec::new();
    for _ in 0..3 {
        ids.push(test.enqueue(set).await.id);
    }
    for _ in 0..2 {
        let mut worker = ScriptedWorker::join(&test.engine, hello(3)).await;
        worker.accept_jobs(3).await;
        worker.ping().await;
        assert_eq!(worker.disconnect().await, StreamEnd::Eof);
        for id in &ids {
            test.wait_state(*id, State::Ready).await;
        }
    }
    ids
}

#[tokio::test]
async fn after_two_crashes_a_job_runs_alone() {
    let test = TestEngine::with_settings(|s| s.lost_grace_ms = 20).await;
    let ids = crash_twice(&test).await;
    // Its third crash affects no other job.
    let mut worker = ScriptedWorker::join(&test.engine, hello(4)).await;
    let alone = worker.accept_jobs(1).await;
    assert!(ids.contains(&alone[0].id), "{alone:?}");
    test.enqueue(|_| ()).await;
    worker.ping().await;
    assert_eq!(worker.disconnect().await, StreamEnd::Eof);
    let poisoned = test.wait_state(alone[0].id, State::Failed).await;
    assert_eq!((alone.len(), poisoned.status.reason), (1, Reason::Poisoned));
    // The worker gets the other jobs one at a time, including the one without crashes.
    let mut worker = ScriptedWorker::join(&test.engine, hello(4)).await;
    let mut crashes = Vec::new();
    for _ in 0..3 {
        let alone = worker.accept_jobs(1).await;
        assert_eq!(alone.len(), 1, "{alone:?}");
        crashes.push(alone[0].status.crashes);
        assert_eq!(
            worker.report(vec![succeeded_report(&alone[0])]).await,
            [ReportVerdict::Recorded]
        );
    }
    crashes.sort_unstable();
    assert_eq!(crashes, [0, 2, 2]);
    worker.bye().await;
    test.close().await;
}

#[tokio::test]
async fn a_suspect_waits_until_its_worker_runs_no_other_job() {
    let test = TestEngine::with_settings(|s| s.lost_grace_ms = 20).await;
    let mut worker = ScriptedWorker::join(&test.engine, hello(1)).await;
    let long = test.enqueue(|_| ()).await;
    let running = worker.accept_jobs(1).await;
    assert_eq!(running[0].id, long.id);
    let ids = crash_twice(&test).await;
    worker.credit(3).await;
    test.wait_state(ids[0], State::Running).await;
    holds_for(300, async || {
        let frame = worker.try_next().await;
        assert!(!matches!(frame, Some(ToWorker::Assign { .. })), "{frame:?}");
    })
    .await;
    // A waiting suspect can be cancelled.
    test.engine.jobs().cancel(ids[0], "why", "me").await.expect("a response");
    test.wait_state(ids[0], State::Cancelled).await;
    assert_eq!(worker.report(vec![succeeded_report(&running[0])]).await, [ReportVerdict::Recorded]);
    for _ in &ids[1..] {
        let alone = worker.accept_jobs(1).await;
        assert_eq!((alone.len(), alone[0].status.crashes), (1, 2));
        assert_eq!(
            worker.report(vec![succeeded_report(&alone[0])]).await,
            [ReportVerdict::Recorded]
        );
    }
    worker.bye().await;
    test.close().await;
}

#[tokio::test]
async fn suspects_that_have_not_started_return_to_the_queue_when_the_worker_drains() {
    let test = TestEngine::with_settings(|s| s.lost_grace_ms = 20).await;
    let ids = crash_twice(&test).await;
    let mut worker = ScriptedWorker::join(&test.engine, hello(3)).await;
    let alone = worker.accept_jobs(1).await;
    worker.send(FromWorker::Drain).await;
    let last = worker.wait_for("DrainAck", |frame| match frame {
        ToWorker::DrainAck { last_assign_seq } => Some(last_assign_seq),
        _ => None,
    });
    assert_eq!(last.await, 1, "only one assignment was sent");
    for id in ids.iter().filter(|id| **id != alone[0].id) {
        let job = test.wait_state(*id, State::Ready).await;
        assert_eq!((job.status.attempt, job.status.crashes), (2, 2));
    }
    assert_eq!(worker.report(vec![succeeded_report(&alone[0])]).await, [ReportVerdict::Recorded]);
    worker.bye().await;
    test.close().await;
}

#[tokio::test]
async fn a_silent_worker_is_lost_after_its_session_ttl() {
    let test = TestEngine::with_settings(|s| s.session_ttl_ms = 600).await;
    let job = test.enqueue(|new| new.retry_base_ms = Some(1)).await;
    let mut worker = ScriptedWorker::join(&test.engine, hello(1)).await;
    worker.accept_jobs(1).await;
    assert_eq!(worker.closed().await, StreamEnd::Silent);
    let job = test.wait_state(job.id, State::Ready).await;
    assert_eq!((job.status.attempt, job.status.crashes), (1, 1));
    test.close().await;
}

#[tokio::test]
async fn streams_that_end_together_get_more_time_to_resume() {
    let test = TestEngine::with_settings(|s| s.lost_grace_ms = 300).await;
    let mut workers = Vec::new();
    for _ in 0..6 {
        test.enqueue(|_| ()).await;
        let mut worker = ScriptedWorker::join(&test.engine, hello(1)).await;
        let jobs = worker.accept_jobs(1).await;
        worker.ping().await;
        workers.push((worker, jobs));
    }
    let mut before = Vec::new();
    for (worker, jobs) in workers {
        before.push((worker.welcome.clone(), jobs));
        assert_eq!(worker.disconnect().await, StreamEnd::Eof);
    }
    // Longer than the grace period, shorter than the session TTL.
    holds_for(700, async || ()).await;
    for (welcome, jobs) in before {
        let mut again = ScriptedWorker::resume(&test.engine, &welcome, &[&jobs[0]]).await;
        assert_eq!(again.verdicts(), [HeldLeaseVerdict::Keep]);
        assert_eq!(again.report(vec![succeeded_report(&jobs[0])]).await, [ReportVerdict::Recorded]);
        again.bye().await;
    }
    test.close().await;
}

#[tokio::test]
async fn a_pause_of_the_server_loses_no_worker() {
    let test = TestEngine::start().await;
    let job = test.enqueue(|_| ()).await;
    let mut worker = ScriptedWorker::join(&test.engine, hello(1)).await;
    let jobs = worker.accept_jobs(1).await;
    worker.ping().await;
    let before = worker.welcome.clone();
    worker.disconnect().await;
    test.advance(60_000);
    holds_for(400, async || {
        assert_eq!(test.job(job.id).await.status.state, State::Running);
    })
    .await;
    let again = ScriptedWorker::resume(&test.engine, &before, &[&jobs[0]]).await;
    assert_eq!(again.verdicts(), [HeldLeaseVerdict::Keep]);
    again.bye().await;
    test.close().await;
}

#[tokio::test]
async fn bye_returns_the_jobs_at_once() {
    let test = TestEngine::start().await;
    let job = test.enqueue(|_| ()).await;
    let mut worker = ScriptedWorker::join(&test.engine, hello(1)).await;
    worker.accept_jobs(1).await;
    assert_eq!(worker.bye().await, StreamEnd::Bye);
    let job = test.job(job.id).await;
    assert_eq!((job.status.state, job.status.attempt), (State::Ready, 0));
    test.close().await;
}
