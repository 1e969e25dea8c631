//! EnqueueBatch: whole or item by item.

use sentinel_domain::{NewJob, UniqueMode};
use sentinel_engine::{EngineError, RequestKey};

use crate::house::{House, new_job};

fn keyed(n: usize, mode: UniqueMode) -> NewJob {
    new_job(|new| {
        new.unique_key = Some(format!("key{n}"));
        new.unique_mode = Some(mode);
    })
}

#[tokio::test]
async fn an_atomic_batch_tells_all_that_is_wrong_and_changes_nothing() {
    let house = House::new().await;
    let mut items: Vec<_> = (0..4).map(|_| new_job(|_| ())).collect();
    items[1].kind = "not a name".into();
    items[3].priority = 99;
    let Err(EngineError::Invalid(found)) = house.engine.enqueue_batch(items, true, "", None).await
    else {
        panic!("it was taken");
    };
    let fields: Vec<_> = found.iter().map(|v| v.field.as_str()).collect();
    assert_eq!(fields, ["specs[1].kind", "specs[3].priority"]);
    assert!(house.engine.depths().await.expect("answers").is_empty());
    house.close().await;
}

#[tokio::test]
async fn other_batches_answer_per_item_and_remember_refusals() {
    let house = House::new().await;
    let items = || {
        let mut items: Vec<_> = (0..3).map(|_| new_job(|_| ())).collect();
        items[1].kind = "not a name".into();
        items
    };
    let key = || Some(RequestKey { id: "r".into(), content_hash: 1 });
    let first = house.engine.enqueue_batch(items(), false, "", key()).await.expect("answers");
    assert!(first[0].is_ok() && first[2].is_ok());
    let refused = first[1].as_ref().expect_err("not a name");
    assert_eq!(
        (refused.reason.as_str(), refused.field.as_str()),
        ("INVALID_FIELD", "specs[1].kind")
    );
    let again = house.engine.enqueue_batch(items(), false, "", key()).await.expect("answers");
    assert_eq!(again[1].as_ref().expect_err("remembered"), refused);
    for at in [0, 2] {
        let (first, again) =
            (first[at].as_ref().expect("a job"), again[at].as_ref().expect("a job"));
        assert_eq!(first.0.id, again.0.id);
    }
    house.close().await;
}

#[tokio::test]
async fn more_conflicts_than_tries_are_settled() {
    let house = House::new().await;
    // Many batches over the same keys at the same time: each meets many conflicts.
    for atomic in [true, false] {
        let batch = |_| {
            let engine = house.engine.clone();
            let keyed = |n| keyed(n + 100 * usize::from(atomic), UniqueMode::ReturnExisting);
            let items = (0..30).map(keyed).collect();
            async move { engine.enqueue_batch(items, atomic, "", None).await.expect("is settled") }
        };
        let all = futures_util::future::join_all((0..8).map(batch)).await;
        let made = all.iter().flatten().flatten().filter(|(_, deduplicated)| !deduplicated);
        assert_eq!(made.count(), 30, "each key once");
    }
    house.close().await;
}

#[tokio::test]
async fn kinds_beyond_the_bound_refuse_items_and_not_the_batch() {
    let house = House::new().await;
    for n in 0..256 {
        house.enqueue(|new| new.kind = format!("kind{n}")).await;
    }
    let of = |kind: &'static str| new_job(move |new| new.kind = kind.into());
    let items = || {
        let known = of("kind7");
        vec![of("one-more"), new_job(|new| new.queue = "r".into()), known, of("two-more")]
    };
    let answer = house.engine.enqueue_batch(items(), false, "", None).await.expect("answers");
    let refused = |at: usize| answer[at].as_ref().expect_err("refused").reason.clone();
    assert_eq!([refused(0), refused(3)], ["TOO_MANY_KINDS"; 2]);
    assert!(answer[1].is_ok() && answer[2].is_ok(), "{answer:?}");
    let refused = house.engine.enqueue_batch(items(), true, "", None).await;
    assert!(matches!(refused, Err(EngineError::TooManyKinds { .. })));
    house.close().await;
}
