//! Cancels: sent after the receipt, repeated until acknowledged, and enforced after the grace
//! period.

use sentinel_domain::{Command, Reason, State};
use sentinel_engine::CancelOutcome;
use sentinel_engine::session::{FromWorker, ReportItem, ReportVerdict, ToWorker};

use crate::harness::TestEngine;
use crate::worker::{ScriptedWorker, held, hello, lease, succeeded_report};

#[tokio::test]
async fn a_waiting_job_is_cancelled_immediately() {
    let test = TestEngine::start().await;
    let job = test.enqueue(|_| ()).await;
    let cancelled = test.engine.jobs().cancel(job.id, "why", "me").await.expect("a response");
    assert_eq!(cancelled.outcome, CancelOutcome::Cancelled);
    let again = test.engine.jobs().cancel(job.id, "why", "me").await.expect("a response");
    assert_eq!(again.outcome, CancelOutcome::AlreadyTerminal);
    test.close().await;
}

#[tokio::test]
async fn a_cancel_is_repeated_until_it_is_acknowledged() {
    let test = TestEngine::start().await;
    let job = test.enqueue(|_| ()).await;
    let mut worker = ScriptedWorker::join(&test.engine, hello(1)).await;
    let jobs = worker.accept_jobs(1).await;
    let outcome = test.engine.jobs().cancel(job.id, "why", "me").await.expect("a response").outcome;
    assert_eq!(outcome, CancelOutcome::Requested);
    let cancels = worker.wait_for("Cancel", |f| match f {
        ToWorker::Cancel(jobs) => Some(jobs),
        _ => None,
    });
    assert_eq!(cancels.await[0].id, job.id);
    assert_eq!(worker.ping().await.len(), 1);
    let mut stale = held(&jobs[0]);
    stale.lease.epoch += 1;
    worker.send(FromWorker::CancelAck(vec![stale])).await;
    assert_eq!(worker.ping().await.len(), 1, "an acknowledgement of another lease must not count");
    worker.send(FromWorker::CancelAck(vec![held(&jobs[0])])).await;
    assert!(worker.ping().await.is_empty());
    let command = Command::Stop { lease: lease(&jobs[0]), started_at: None, entropy: 0 };
    let stop = ReportItem { held: held(&jobs[0]), command };
    assert_eq!(worker.report(vec![stop]).await, [ReportVerdict::Recorded]);
    let job = test.job(job.id).await;
    assert_eq!(
        (job.status.state, job.status.reason),
        (State::Cancelled, Reason::CancelledByCaller)
    );
    worker.bye().await;
    test.close().await;
}

#[tokio::test]
async fn a_cancel_is_sent_only_after_the_receipt_of_the_assignment() {
    let test = TestEngine::with_settings(|s| s.receive_timeout_ms = 10_000).await;
    let job = test.enqueue(|_| ()).await;
    let mut worker = ScriptedWorker::join(&test.engine, hello(1)).await;
    let (assign_seq, jobs) = worker.next_assignment().await;
    test.engine.jobs().cancel(job.id, "why", "me").await.expect("a response");
    // A worker would acknowledge the cancel of an unknown lease.
    assert!(worker.ping().await.is_empty());
    worker.send(FromWorker::Received { assign_seq }).await;
    let cancels = worker.wait_for("Cancel", |f| match f {
        ToWorker::Cancel(jobs) => Some(jobs),
        _ => None,
    });
    assert_eq!(held(&cancels.await[0]), held(&jobs[0]));
    assert_eq!(worker.report(vec![succeeded_report(&jobs[0])]).await, [ReportVerdict::Recorded]);
    assert_eq!(
        test.job(job.id).await.status.state,
        State::Succeeded,
        "a success must win over the cancel"
    );
    assert!(worker.ping().await.is_empty(), "a finished job must have no pending cancel");
    worker.bye().await;
    test.close().await;
}

#[tokio::test]
async fn a_cancel_of_an_unreceived_assignment_takes_effect_at_its_release() {
    let test = TestEngine::start().await;
    let job = test.enqueue(|_| ()).await;
    let mut silent = ScriptedWorker::join(&test.engine, hello(1)).await;
    silent.next_assignment().await;
    test.engine.jobs().cancel(job.id, "why", "me").await.expect("a response");
    let job = test.wait_state(job.id, State::Cancelled).await;
    assert_eq!(job.status.reason, Reason::CancelledByCaller);
    assert!(silent.ping().await.is_empty());
    silent.bye().await;
    test.close().await;
}

#[tokio::test]
async fn the_lease_is_revoked_after_the_cancel_grace_period() {
    let test = TestEngine::start().await;
    let job = test.enqueue(|new| new.cancel_grace_ms = Some(150)).await;
    let mut worker = ScriptedWorker::join(&test.engine, hello(1)).await;
    let jobs = worker.accept_jobs(1).await;
    test.engine.jobs().cancel(job.id, "why", "me").await.expect("a response");
    assert_eq!(worker.next_revoked().await, [held(&jobs[0])]);
    assert_eq!(test.job(job.id).await.status.state, State::Cancelled);
    assert_eq!(worker.report(vec![succeeded_report(&jobs[0])]).await, [ReportVerdict::Fenced]);
    assert!(worker.ping().await.is_empty());
    worker.bye().await;
    test.close().await;
}

#[tokio::test]
async fn a_cancel_during_a_disconnect_is_sent_after_the_resume() {
    let test = TestEngine::start().await;
    let job = test.enqueue(|_| ()).await;
    let mut worker = ScriptedWorker::join(&test.engine, hello(1)).await;
    let jobs = worker.accept_jobs(1).await;
    let before = worker.welcome.clone();
    // The pong proves that the receipt is processed before the disconnect.
    worker.ping().await;
    worker.disconnect().await;
    test.engine.jobs().cancel(job.id, "why", "me").await.expect("a response");
    let mut again = ScriptedWorker::resume(&test.engine, &before, &[&jobs[0]]).await;
    let cancels = again.wait_for("Cancel", |f| match f {
        ToWorker::Cancel(jobs) => Some(jobs),
        _ => None,
    });
    assert_eq!(cancels.await[0].id, job.id);
    assert_eq!(again.ping().await.len(), 1);
    again.bye().await;
    test.wait_state(job.id, State::Cancelled).await;
    test.close().await;
}
