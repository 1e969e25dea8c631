//! Jobs that start ahead of their time.

use sentinel_domain::{Reason, State};
use sentinel_engine::{EngineError, RequestKey};

use crate::house::House;
use crate::worker::{Worker, hello};

fn key(id: &str) -> Option<RequestKey> {
    Some(RequestKey { id: id.into(), content_hash: 5 })
}

#[tokio::test]
async fn a_scheduled_job_starts_at_once() {
    let house = House::new().await;
    let job = house.enqueue(|new| new.delay_ms = Some(3_600_000)).await;
    let mut worker = Worker::join(&house.engine, hello(1)).await;
    let ready = house.engine.run_now(job.id, key("a")).await.expect("is scheduled");
    assert_eq!((ready.status.state, ready.status.version), (State::Ready, 2));
    assert!(ready.status.ready_at <= ready.status.updated_at);
    assert_eq!(worker.assigned(1).await[0].id, job.id, "nobody has to wait for its time");
    let again = house.engine.run_now(job.id, key("a")).await.expect("the same request");
    assert_eq!(again.status.state, State::Running);
    let other = house.engine.run_now(job.id, key("b")).await;
    assert!(
        matches!(other, Err(EngineError::NotScheduled { state: State::Running, .. })),
        "{other:?}"
    );
    worker.bye().await;
    house.close().await;
}

#[tokio::test]
async fn a_job_between_two_attempts_says_why_still() {
    let house = House::new().await;
    let set = |new: &mut sentinel_domain::NewJob| {
        new.retry_base_ms = Some(3_600_000);
        new.retry_cap_ms = Some(3_600_000);
        new.jitter = Some(sentinel_domain::Jitter::None);
    };
    let job = house.enqueue(set).await;
    let mut worker = Worker::join(&house.engine, hello(1)).await;
    let jobs = worker.assigned(1).await;
    let mut failed = crate::worker::crash(&jobs[0], true);
    if let sentinel_domain::Command::Fail { failure, .. } = &mut failed.command {
        failure.next_delay_ms = None;
    }
    worker.report(vec![failed]).await;
    let waits = house.until_state(job.id, State::Scheduled).await;
    assert_eq!(waits.status.reason, Reason::HandlerError);
    let ready = house.engine.run_now(job.id, None).await.expect("is scheduled");
    assert_eq!((ready.status.state, ready.status.reason), (State::Ready, Reason::HandlerError));
    worker.credit(1).await;
    assert_eq!(worker.assigned(1).await[0].status.attempt, 2);
    worker.bye().await;
    house.close().await;
}
