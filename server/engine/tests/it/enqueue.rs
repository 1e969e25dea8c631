//! Enqueue: queue creation, unique keys, and refused calls.

use sentinel_domain::{NewJob, Reason, Scopes, State, UniqueMode};
use sentinel_engine::{EngineError, Submitter};

use crate::harness::{TestEngine, new_job};

/// Returns a job with a unique key.
fn keyed(mode: UniqueMode) -> NewJob {
    new_job(|new| {
        new.unique_key = Some("one".into());
        new.unique_mode = Some(mode);
    })
}

#[tokio::test]
async fn concurrent_calls_create_a_queue_once() {
    let test = TestEngine::start().await;
    let enqueue = |n: usize| {
        let engine = test.engine.clone();
        let new = new_job(|new| new.queue = format!("q{}", n % 3));
        async move {
            engine
                .jobs()
                .enqueue(new, Submitter::unrestricted("test"), None)
                .await
                .expect("the engine accepts it")
        }
    };
    futures_util::future::join_all((0..60).map(enqueue)).await;
    let names: Vec<_> =
        test.engine.queues().list(&Scopes::ALL, None, 10).await.expect("a response");
    assert_eq!(names.iter().map(|q| &*q.name).collect::<Vec<_>>(), ["q0", "q1", "q2"]);
    test.close().await;
}

#[tokio::test]
async fn without_automatic_creation_an_unknown_queue_is_refused() {
    let test = TestEngine::with_settings(|s| s.auto_create_queues = false).await;
    let refused =
        test.engine.jobs().enqueue(new_job(|_| ()), Submitter::unrestricted("test"), None).await;
    assert!(matches!(refused, Err(EngineError::QueueNotFound(_))));
    test.close().await;
}

#[tokio::test]
async fn each_unique_mode_handles_a_held_key() {
    let test = TestEngine::start().await;
    let engine = &test.engine;
    let first = engine
        .jobs()
        .enqueue(keyed(UniqueMode::Reject), Submitter::unrestricted(""), None)
        .await
        .expect("the engine accepts it");
    let refused =
        engine.jobs().enqueue(keyed(UniqueMode::Reject), Submitter::unrestricted(""), None).await;
    assert!(matches!(refused, Err(EngineError::KeyHeld { holder }) if holder == first.job.id));
    let same = engine
        .jobs()
        .enqueue(keyed(UniqueMode::ReturnExisting), Submitter::unrestricted(""), None)
        .await;
    let same = same.expect("a response");
    assert_eq!((same.job.id, same.deduplicated), (first.job.id, true));
    let new = engine
        .jobs()
        .enqueue(keyed(UniqueMode::ReplacePending), Submitter::unrestricted(""), None)
        .await
        .expect("replace the job");
    assert!(!new.deduplicated);
    let old = test.job(first.job.id).await;
    assert_eq!((old.status.state, old.status.reason), (State::Cancelled, Reason::Replaced));
    engine.jobs().cancel(new.job.id, "", "").await.expect("cancel the job");
    let free = engine
        .jobs()
        .enqueue(keyed(UniqueMode::Reject), Submitter::unrestricted(""), None)
        .await
        .expect("the key is free");
    assert!(!free.deduplicated);
    test.close().await;
}

#[tokio::test]
async fn concurrent_calls_with_one_unique_key_create_one_job() {
    let test = TestEngine::start().await;
    for mode in [UniqueMode::ReturnExisting, UniqueMode::Reject] {
        let enqueue = |_| {
            let (engine, mut new) = (test.engine.clone(), keyed(mode));
            new.unique_key = Some(format!("{mode:?}"));
            async move { engine.jobs().enqueue(new, Submitter::unrestricted(""), None).await }
        };
        let all = futures_util::future::join_all((0..40).map(enqueue)).await;
        let made = all.iter().flatten().filter(|enqueued| !enqueued.deduplicated).count();
        assert_eq!(made, 1, "{mode:?}");
        let refused = all.iter().filter(|e| matches!(e, Err(EngineError::KeyHeld { .. }))).count();
        assert_eq!(refused, if mode == UniqueMode::Reject { 39 } else { 0 });
    }
    test.close().await;
}
