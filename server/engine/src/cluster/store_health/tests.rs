use super::*;

const LIMIT: Duration = Duration::from_secs(5);

fn unavailable() -> Result<(), StoreError> {
    Err(StoreError::Unavailable("no connection".into()))
}

#[tokio::test(start_paused = true)]
async fn the_store_is_unreachable_once_every_call_has_failed_for_the_limit() {
    let health = StoreHealth::with_limit(LIMIT);
    let is_unreachable = health.subscribe();
    health.record(&unavailable());
    tokio::time::advance(LIMIT - Duration::from_millis(1)).await;
    health.record(&unavailable());
    assert!(!*is_unreachable.borrow());
    // Any answer resets the time, also an error.
    health.record::<()>(&Err(StoreError::Full("no space".into())));
    tokio::time::advance(LIMIT).await;
    health.record(&unavailable());
    assert!(!*is_unreachable.borrow(), "the time counts from the first failure after an answer");
    tokio::time::advance(LIMIT).await;
    health.record(&unavailable());
    assert!(*is_unreachable.borrow());
    health.record(&Ok(()));
    assert!(!*is_unreachable.borrow());
}
