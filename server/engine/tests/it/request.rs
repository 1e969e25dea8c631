//! request_id: a repeat is answered as the first time, whatever became of the job.

use sentinel_domain::UniqueMode;
use sentinel_engine::{EngineError, RequestKey};

use crate::house::{House, new_job};
use crate::worker::{Worker, hello, success};

fn key(id: &str, content_hash: u64) -> Option<RequestKey> {
    Some(RequestKey { id: id.into(), content_hash })
}

#[tokio::test]
async fn a_repeat_is_the_same_job_and_another_content_is_refused() {
    let house = House::new().await;
    let engine = &house.engine;
    let first = engine.enqueue(new_job(|_| ()), "", key("r", 1)).await.expect("is taken");
    let again = engine.enqueue(new_job(|_| ()), "", key("r", 1)).await.expect("is known");
    assert_eq!((again.job.id, again.deduplicated), (first.job.id, true));
    let other = engine.enqueue(new_job(|_| ()), "", key("r", 2)).await;
    assert!(matches!(other, Err(EngineError::RequestReused)));
    house.close().await;
}

#[tokio::test]
async fn a_repeat_is_not_refused_because_of_its_own_first_try() {
    let house = House::new().await;
    let engine = &house.engine;
    let unique = |mode| {
        new_job(|new| {
            new.unique_key = Some(format!("{mode:?}"));
            new.unique_mode = Some(mode);
        })
    };
    for mode in [UniqueMode::Reject, UniqueMode::ReplacePending, UniqueMode::ReturnExisting] {
        let id = format!("{mode:?}");
        let first = engine.enqueue(unique(mode), "", key(&id, 1)).await.expect("is taken");
        let again = engine.enqueue(unique(mode), "", key(&id, 1)).await.expect("is known");
        assert_eq!(again.job.id, first.job.id, "{mode:?}");
        let batch = engine.enqueue_batch(vec![unique(mode)], true, "", key("b", 9)).await;
        assert_eq!(batch.is_err(), mode == UniqueMode::Reject, "another request is refused");
    }
    let late = engine.enqueue(unique(UniqueMode::Reject), "", key("Reject", 3)).await;
    assert!(matches!(late, Err(EngineError::RequestReused)));
    house.close().await;
}

#[tokio::test]
async fn a_deduplicated_answer_is_remembered_as_such() {
    let house = House::new().await;
    let engine = &house.engine;
    let unique = || new_job(|new| new.unique_key = Some("one".into()));
    let holder = engine.enqueue(unique(), "", None).await.expect("is taken").job;
    let first = engine.enqueue(unique(), "", key("r", 1)).await.expect("is answered");
    assert_eq!((first.job.id, first.deduplicated), (holder.id, true));
    engine.cancel(holder.id, "", "").await.expect("cancels");
    let again = engine.enqueue(unique(), "", key("r", 1)).await.expect("is known");
    assert_eq!((again.job.id, again.deduplicated), (holder.id, true));
    house.close().await;
}

#[tokio::test]
async fn a_repeated_retry_is_one_retry() {
    let house = House::new().await;
    let job = house.enqueue(|_| ()).await;
    let mut worker = Worker::join(&house.engine, hello(1)).await;
    let jobs = worker.assigned(1).await;
    worker.report(vec![success(&jobs[0])]).await;
    let retried = house.engine.retry(job.id, key("r", 1)).await.expect("is retried");
    let again = house.engine.retry(job.id, key("r", 1)).await.expect("is known");
    assert_eq!((retried.status.run, again.status.run), (2, 2));
    let other = house.engine.retry(job.id, key("s", 1)).await;
    assert!(matches!(other, Err(EngineError::NotFinal(_))));
    worker.bye().await;
    house.close().await;
}
