//! EnqueueBatch: atomic or item by item.

use sentinel_domain::{NewJob, UniqueMode};
use sentinel_engine::{EngineError, IdempotencyKey, Submitter};

use crate::harness::{TestEngine, new_job};

/// Returns a job with unique key `n`.
fn keyed(n: usize, mode: UniqueMode) -> NewJob {
    new_job(|new| {
        new.unique_key = Some(format!("key{n}"));
        new.unique_mode = Some(mode);
    })
}

#[tokio::test]
async fn an_atomic_batch_reports_all_errors_and_changes_nothing() {
    let test = TestEngine::start().await;
    let mut items: Vec<_> = (0..4).map(|_| new_job(|_| ())).collect();
    items[1].kind = "not a name".into();
    items[3].priority = 99;
    let Err(EngineError::Invalid(found)) =
        test.engine.jobs().enqueue_batch(items, true, Submitter::unrestricted(""), None).await
    else {
        panic!("the batch was accepted");
    };
    let fields: Vec<_> = found.iter().map(|v| v.field.as_str()).collect();
    assert_eq!(fields, ["specs[1].kind", "specs[3].priority"]);
    assert!(test.engine.queues().depths().await.expect("a response").is_empty());
    test.close().await;
}

#[tokio::test]
async fn a_non_atomic_batch_returns_results_per_item_and_stores_its_errors() {
    let test = TestEngine::start().await;
    let items = || {
        let mut items: Vec<_> = (0..3).map(|_| new_job(|_| ())).collect();
        items[1].kind = "not a name".into();
        items
    };
    let key = || Some(IdempotencyKey { id: "r".into(), content_hash: 1 });
    let first = test
        .engine
        .jobs()
        .enqueue_batch(items(), false, Submitter::unrestricted(""), key())
        .await
        .expect("a response");
    assert!(first[0].is_ok() && first[2].is_ok());
    let refused = first[1].as_ref().expect_err("an error for an invalid name");
    assert_eq!(
        (refused.reason.as_str(), refused.field.as_str()),
        ("INVALID_FIELD", "specs[1].kind")
    );
    let again = test
        .engine
        .jobs()
        .enqueue_batch(items(), false, Submitter::unrestricted(""), key())
        .await
        .expect("a response");
    assert_eq!(again[1].as_ref().expect_err("the same error"), refused);
    for at in [0, 2] {
        let (first, again) =
            (first[at].as_ref().expect("a job"), again[at].as_ref().expect("a job"));
        assert_eq!(first.job.id, again.job.id);
    }
    test.close().await;
}

#[tokio::test]
async fn more_conflicts_than_attempts_are_resolved() {
    let test = TestEngine::start().await;
    // Many concurrent batches with the same keys: each has many conflicts.
    for atomic in [true, false] {
        let batch = |_| {
            let engine = test.engine.clone();
            let keyed = |n| keyed(n + 100 * usize::from(atomic), UniqueMode::ReturnExisting);
            let items = (0..30).map(keyed).collect();
            async move {
                engine
                    .jobs()
                    .enqueue_batch(items, atomic, Submitter::unrestricted(""), None)
                    .await
                    .expect("a response")
            }
        };
        let all = futures_util::future::join_all((0..8).map(batch)).await;
        let created = all.iter().flatten().flatten().filter(|enqueued| !enqueued.deduplicated);
        assert_eq!(created.count(), 30, "each key must create one job");
    }
    test.close().await;
}

#[tokio::test]
async fn too_many_kinds_fail_items_and_not_the_batch() {
    let test = TestEngine::start().await;
    for n in 0..256 {
        test.enqueue(|new| new.kind = format!("kind{n}")).await;
    }
    let job_of = |kind: &'static str| new_job(move |new| new.kind = kind.into());
    let items = || {
        let known = job_of("kind7");
        vec![job_of("one-more"), new_job(|new| new.queue = "r".into()), known, job_of("two-more")]
    };
    let answer = test
        .engine
        .jobs()
        .enqueue_batch(items(), false, Submitter::unrestricted(""), None)
        .await
        .expect("a response");
    let refused = |at: usize| answer[at].as_ref().expect_err("an error").reason.clone();
    assert_eq!([refused(0), refused(3)], ["TOO_MANY_KINDS"; 2]);
    assert!(answer[1].is_ok() && answer[2].is_ok(), "{answer:?}");
    let refused =
        test.engine.jobs().enqueue_batch(items(), true, Submitter::unrestricted(""), None).await;
    assert!(matches!(refused, Err(EngineError::TooManyKinds { .. })));
    test.close().await;
}
