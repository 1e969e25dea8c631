//! Enqueue: queues, unique keys, and what is refused.

use sentinel_domain::{NewJob, Reason, Scopes, State, UniqueMode};
use sentinel_engine::EngineError;

use crate::house::{House, new_job};

fn keyed(mode: UniqueMode) -> NewJob {
    new_job(|new| {
        new.unique_key = Some("one".into());
        new.unique_mode = Some(mode);
    })
}

#[tokio::test]
async fn a_queue_is_created_once_by_all_who_need_it() {
    let house = House::new().await;
    let enqueue = |n: usize| {
        let engine = house.engine.clone();
        let new = new_job(|new| new.queue = format!("q{}", n % 3));
        async move { engine.enqueue(new, "test", None).await.expect("is taken") }
    };
    futures_util::future::join_all((0..60).map(enqueue)).await;
    let names: Vec<_> = house.engine.list_queues(&Scopes::ALL, None, 10).await.expect("answers");
    assert_eq!(names.iter().map(|q| &*q.name).collect::<Vec<_>>(), ["q0", "q1", "q2"]);
    house.close().await;
}

#[tokio::test]
async fn without_auto_create_a_typo_is_refused() {
    let house = House::with(|s| s.auto_create_queues = false).await;
    let refused = house.engine.enqueue(new_job(|_| ()), "test", None).await;
    assert!(matches!(refused, Err(EngineError::QueueNotFound(_))));
    house.close().await;
}

#[tokio::test]
async fn each_unique_mode_does_what_it_says() {
    let house = House::new().await;
    let engine = &house.engine;
    let first = engine.enqueue(keyed(UniqueMode::Reject), "", None).await.expect("is taken");
    let refused = engine.enqueue(keyed(UniqueMode::Reject), "", None).await;
    assert!(matches!(refused, Err(EngineError::KeyHeld { holder }) if holder == first.job.id));
    let same = engine.enqueue(keyed(UniqueMode::ReturnExisting), "", None).await;
    let same = same.expect("is answered");
    assert_eq!((same.job.id, same.deduplicated), (first.job.id, true));
    let new = engine.enqueue(keyed(UniqueMode::ReplacePending), "", None).await.expect("replaces");
    assert!(!new.deduplicated);
    let old = house.job(first.job.id).await;
    assert_eq!((old.status.state, old.status.reason), (State::Cancelled, Reason::Replaced));
    engine.cancel(new.job.id, "", "").await.expect("cancels");
    let free = engine.enqueue(keyed(UniqueMode::Reject), "", None).await.expect("the key is free");
    assert!(!free.deduplicated);
    house.close().await;
}

#[tokio::test]
async fn of_many_with_one_key_one_is_taken() {
    let house = House::new().await;
    for mode in [UniqueMode::ReturnExisting, UniqueMode::Reject] {
        let enqueue = |_| {
            let (engine, mut new) = (house.engine.clone(), keyed(mode));
            new.unique_key = Some(format!("{mode:?}"));
            async move { engine.enqueue(new, "", None).await }
        };
        let all = futures_util::future::join_all((0..40).map(enqueue)).await;
        let made = all.iter().flatten().filter(|enqueued| !enqueued.deduplicated).count();
        assert_eq!(made, 1, "{mode:?}");
        let refused = all.iter().filter(|e| matches!(e, Err(EngineError::KeyHeld { .. }))).count();
        assert_eq!(refused, if mode == UniqueMode::Reject { 39 } else { 0 });
    }
    house.close().await;
}
