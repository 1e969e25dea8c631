//! Retention by the engine: what is hot, held or awaited stays, whatever its age.

use sentinel_domain::State;
use sentinel_engine::{EngineError, Forgotten};
use sentinel_store::Store;

use crate::house::{House, eventually};
use crate::worker::{Worker, hello, success};

const HOUR_MS: i64 = 3_600_000;

/// A house that keeps successes for one hour, anything else for two.
async fn house(max: u64) -> House {
    House::with(|s| {
        s.finals_hot_ms = 0;
        s.keep_succeeded_ms = HOUR_MS;
        s.keep_unsuccessful_ms = 2 * HOUR_MS;
        s.keep_finished_max = max;
    })
    .await
}

async fn until_evicted(house: &House, id: sentinel_domain::JobId) {
    house.until_projected().await;
    eventually("it is evicted", async || {
        let hot = house.store.read(vec![id]).await.expect("answers");
        hot[0].is_none().then_some(())
    })
    .await;
}

async fn pass(house: &House) -> Forgotten {
    house.engine.forget_finished().await.expect("a pass")
}

fn expired(count: u64) -> Forgotten {
    Forgotten { expired: count, surplus: 0 }
}

#[tokio::test]
async fn each_state_goes_at_its_age() {
    let house = house(u64::MAX).await;
    let done = house.enqueue(|new| new.labels = vec![("a".into(), "b".into())]).await;
    let mut worker = Worker::join(&house.engine, hello(1)).await;
    let jobs = worker.assigned(1).await;
    worker.report(vec![success(&jobs[0])]).await;
    worker.bye().await;
    let cancelled = house.enqueue(|_| ()).await;
    house.engine.cancel(cancelled.id, "", "test").await.expect("cancelled");
    let waits = house.enqueue(|new| new.delay_ms = Some(9 * HOUR_MS)).await;
    until_evicted(&house, done.id).await;
    until_evicted(&house, cancelled.id).await;
    assert_eq!(pass(&house).await, expired(0));
    house.advance(HOUR_MS);
    assert_eq!(pass(&house).await, expired(1));
    let gone = house.engine.get(done.id).await;
    assert!(matches!(gone, Err(EngineError::JobNotFound(id)) if id == done.id), "{gone:?}");
    assert_eq!(house.job(cancelled.id).await.status.state, State::Cancelled);
    house.advance(HOUR_MS);
    assert_eq!(pass(&house).await, expired(1));
    assert!(house.engine.get(cancelled.id).await.is_err());
    house.advance(3 * HOUR_MS);
    assert_eq!(pass(&house).await, expired(0));
    assert_eq!(house.job(waits.id).await.status.state, State::Scheduled);
    house.close().await;
}

#[tokio::test]
async fn the_holder_of_a_key_stays_until_the_key_is_free() {
    let house = house(u64::MAX).await;
    let unique = |new: &mut sentinel_domain::NewJob| {
        new.unique_key = Some("once".into());
        new.unique_ttl_ms = Some(4 * HOUR_MS);
    };
    let holder = house.enqueue(unique).await;
    house.engine.cancel(holder.id, "", "test").await.expect("cancelled");
    until_evicted(&house, holder.id).await;
    house.advance(3 * HOUR_MS);
    assert_eq!(pass(&house).await, expired(0));
    assert_eq!(house.enqueue(unique).await.id, holder.id, "it is still the answer");
    house.advance(HOUR_MS);
    assert_eq!(pass(&house).await, expired(1));
    assert_ne!(house.enqueue(unique).await.id, holder.id);
    house.close().await;
}

#[tokio::test]
async fn what_is_hot_stays() {
    let house = House::with(|s| {
        s.finals_hot_ms = 100 * HOUR_MS;
        s.keep_unsuccessful_ms = HOUR_MS;
    })
    .await;
    let job = house.enqueue(|_| ()).await;
    house.engine.cancel(job.id, "", "test").await.expect("cancelled");
    house.until_projected().await;
    house.advance(2 * HOUR_MS);
    assert_eq!(pass(&house).await, expired(0));
    house.close().await;
}

#[tokio::test]
async fn a_queue_keeps_the_newest() {
    let house = house(3).await;
    let mut ids = Vec::new();
    for _ in 0..5 {
        let job = house.enqueue(|_| ()).await;
        house.engine.cancel(job.id, "", "test").await.expect("cancelled");
        ids.push(job.id);
        house.advance(1);
    }
    for id in &ids {
        until_evicted(&house, *id).await;
    }
    assert_eq!(pass(&house).await, expired(0), "all ended a moment ago");
    house.advance(600_000);
    assert_eq!(pass(&house).await, Forgotten { expired: 0, surplus: 2 });
    for (at, id) in ids.iter().enumerate() {
        assert_eq!(house.engine.get(*id).await.is_ok(), at >= 2, "the oldest two are gone");
    }
    house.close().await;
}

#[tokio::test]
async fn jobs_are_projected_and_retried_while_a_pass_runs() {
    let house = house(u64::MAX).await;
    let mut ids = Vec::new();
    for _ in 0..600 {
        let job = house.enqueue(|new| new.labels = vec![("a".into(), "b".into())]).await;
        house.engine.cancel(job.id, "", "test").await.expect("cancelled");
        ids.push(job.id);
    }
    until_evicted(&house, *ids.last().expect("some")).await;
    house.advance(2 * HOUR_MS);
    let retries = async {
        let mut retried = Vec::new();
        for id in ids.iter().step_by(20) {
            // One that is gone already is not found; one that is not runs again.
            if house.engine.retry(*id, None).await.is_ok() {
                retried.push(*id);
            }
        }
        retried
    };
    let (forgotten, retried) = tokio::join!(pass(&house), retries);
    house.until_projected().await;
    for id in &retried {
        let job = house.job(*id).await;
        assert_eq!((job.status.state, job.status.run), (State::Ready, 2));
        let recorded = house.ledger.get(vec![*id]).await.expect("answers");
        assert!(recorded[0].is_some(), "the ledger has it again");
    }
    assert!(forgotten.expired as usize + retried.len() >= ids.len(), "{forgotten:?}");
    let rest = pass(&house).await;
    assert_eq!(rest, expired(0));
    house.close().await;
}
