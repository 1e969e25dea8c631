//! Cancels: told after receipt, repeated until acknowledged, revoked after their grace.

use sentinel_domain::{Command, Reason, State};
use sentinel_engine::CancelOutcome;
use sentinel_engine::session::{FromWorker, ReportItem, ReportVerdict, ToWorker};

use crate::house::House;
use crate::worker::{Worker, held, hello, lease, success};

#[tokio::test]
async fn a_waiting_job_is_cancelled_at_once() {
    let house = House::new().await;
    let job = house.enqueue(|_| ()).await;
    let cancelled = house.engine.cancel(job.id, "why", "me").await.expect("answers");
    assert_eq!(cancelled.outcome, CancelOutcome::Cancelled);
    let again = house.engine.cancel(job.id, "why", "me").await.expect("answers");
    assert_eq!(again.outcome, CancelOutcome::AlreadyFinal);
    house.close().await;
}

#[tokio::test]
async fn a_cancel_is_repeated_until_it_is_acknowledged() {
    let house = House::new().await;
    let job = house.enqueue(|_| ()).await;
    let mut worker = Worker::join(&house.engine, hello(1)).await;
    let jobs = worker.assigned(1).await;
    let outcome = house.engine.cancel(job.id, "why", "me").await.expect("answers").outcome;
    assert_eq!(outcome, CancelOutcome::Requested);
    let told = worker.until("Cancel", |f| match f {
        ToWorker::Cancel(jobs) => Some(jobs),
        _ => None,
    });
    assert_eq!(told.await[0].id, job.id);
    assert_eq!(worker.pong().await.len(), 1);
    let mut stale = held(&jobs[0]);
    stale.lease.epoch += 1;
    worker.send(FromWorker::CancelAck(vec![stale])).await;
    assert_eq!(worker.pong().await.len(), 1, "that was another lease");
    worker.send(FromWorker::CancelAck(vec![held(&jobs[0])])).await;
    assert!(worker.pong().await.is_empty());
    let command = Command::Stop { lease: lease(&jobs[0]), started_at: None, entropy: 0 };
    let stop = ReportItem { held: held(&jobs[0]), command };
    assert_eq!(worker.report(vec![stop]).await, [ReportVerdict::Recorded]);
    let job = house.job(job.id).await;
    assert_eq!(
        (job.status.state, job.status.reason),
        (State::Cancelled, Reason::CancelledByCaller)
    );
    worker.bye().await;
    house.close().await;
}

#[tokio::test]
async fn a_cancel_is_not_told_before_its_assignment_was_received() {
    let house = House::with(|s| s.receive_timeout_ms = 10_000).await;
    let job = house.enqueue(|_| ()).await;
    let mut worker = Worker::join(&house.engine, hello(1)).await;
    let (assign_seq, jobs) = worker.assigned_quietly().await;
    house.engine.cancel(job.id, "why", "me").await.expect("answers");
    // A worker acknowledges a cancel of a lease that it does not know.
    assert!(worker.pong().await.is_empty());
    worker.send(FromWorker::Received { assign_seq }).await;
    let told = worker.until("Cancel", |f| match f {
        ToWorker::Cancel(jobs) => Some(jobs),
        _ => None,
    });
    assert_eq!(held(&told.await[0]), held(&jobs[0]));
    assert_eq!(worker.report(vec![success(&jobs[0])]).await, [ReportVerdict::Recorded]);
    assert_eq!(house.job(job.id).await.status.state, State::Succeeded, "a success wins");
    assert!(worker.pong().await.is_empty(), "a job that ended takes its cancel along");
    worker.bye().await;
    house.close().await;
}

#[tokio::test]
async fn a_cancel_of_what_was_never_received_ends_it_when_it_goes_back() {
    let house = House::new().await;
    let job = house.enqueue(|_| ()).await;
    let mut deaf = Worker::join(&house.engine, hello(1)).await;
    deaf.assigned_quietly().await;
    house.engine.cancel(job.id, "why", "me").await.expect("answers");
    let job = house.until_state(job.id, State::Cancelled).await;
    assert_eq!(job.status.reason, Reason::CancelledByCaller);
    assert!(deaf.pong().await.is_empty());
    deaf.bye().await;
    house.close().await;
}

#[tokio::test]
async fn after_its_grace_the_lease_is_revoked() {
    let house = House::new().await;
    let job = house.enqueue(|new| new.cancel_grace_ms = Some(150)).await;
    let mut worker = Worker::join(&house.engine, hello(1)).await;
    let jobs = worker.assigned(1).await;
    house.engine.cancel(job.id, "why", "me").await.expect("answers");
    assert_eq!(worker.revoked().await, [held(&jobs[0])]);
    assert_eq!(house.job(job.id).await.status.state, State::Cancelled);
    assert_eq!(worker.report(vec![success(&jobs[0])]).await, [ReportVerdict::Fenced]);
    assert!(worker.pong().await.is_empty());
    worker.bye().await;
    house.close().await;
}

#[tokio::test]
async fn a_cancel_while_the_stream_was_away_is_told_at_hello() {
    let house = House::new().await;
    let job = house.enqueue(|_| ()).await;
    let mut worker = Worker::join(&house.engine, hello(1)).await;
    let jobs = worker.assigned(1).await;
    let before = worker.welcome.clone();
    // Received is processed before the end of the stream is.
    worker.pong().await;
    worker.eof().await;
    house.engine.cancel(job.id, "why", "me").await.expect("answers");
    let mut again = Worker::rejoin(&house.engine, &before, &[&jobs[0]]).await;
    let told = again.until("Cancel", |f| match f {
        ToWorker::Cancel(jobs) => Some(jobs),
        _ => None,
    });
    assert_eq!(told.await[0].id, job.id);
    assert_eq!(again.pong().await.len(), 1);
    again.bye().await;
    house.until_state(job.id, State::Cancelled).await;
    house.close().await;
}
