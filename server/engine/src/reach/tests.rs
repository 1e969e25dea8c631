use super::*;

const LIMIT: Duration = Duration::from_secs(5);

fn away() -> Result<(), StoreError> {
    Err(StoreError::Unavailable("away".into()))
}

#[tokio::test(start_paused = true)]
async fn a_server_is_cut_off_when_all_fails_for_long_and_not_before() {
    let reach = Reach::default();
    let seen = reach.is_cut_off.subscribe();
    reach.note(&away(), LIMIT);
    tokio::time::advance(LIMIT - Duration::from_millis(1)).await;
    reach.note(&away(), LIMIT);
    assert!(!*seen.borrow());
    // One answer is enough, also a refusal.
    reach.note::<()>(&Err(StoreError::Full("no room".into())), LIMIT);
    tokio::time::advance(LIMIT).await;
    reach.note(&away(), LIMIT);
    assert!(!*seen.borrow(), "it counts from the first failure after an answer");
    tokio::time::advance(LIMIT).await;
    reach.note(&away(), LIMIT);
    assert!(*seen.borrow());
    reach.note(&Ok(()), LIMIT);
    assert!(!*seen.borrow());
}
