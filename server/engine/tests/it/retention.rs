//! Retention: terminal jobs are deleted by age and count, unless the store, a unique key or a
//! dependent needs them.

use sentinel_domain::State;
use sentinel_engine::{EngineError, RetentionPass};
use sentinel_store::Store;

use crate::harness::{TestEngine, wait_until};
use crate::worker::{ScriptedWorker, hello, succeeded_report};

const HOUR_MS: i64 = 3_600_000;

/// Starts an engine that keeps succeeded jobs for one hour and other terminal jobs for two.
async fn start_engine(max: u64) -> TestEngine {
    TestEngine::with_settings(|s| {
        s.store_retention_ms = 0;
        s.keep_succeeded_ms = HOUR_MS;
        s.keep_unsuccessful_ms = 2 * HOUR_MS;
        s.keep_terminal_max = max;
    })
    .await
}

async fn wait_evicted(test: &TestEngine, id: sentinel_domain::JobId) {
    test.wait_projected().await;
    wait_until("the store has evicted the job", async || {
        let stored = test.store.read(vec![id]).await.expect("a response");
        stored[0].is_none().then_some(())
    })
    .await;
}

async fn run_pass(test: &TestEngine) -> RetentionPass {
    test.engine.retention().run_pass().await.expect("a retention pass")
}

fn expired(count: u64) -> RetentionPass {
    RetentionPass { expired: count, surplus: 0 }
}

#[tokio::test]
async fn each_state_has_its_own_retention() {
    let test = start_engine(u64::MAX).await;
    let done = test.enqueue(|new| new.labels = vec![("a".into(), "b".into())]).await;
    let mut worker = ScriptedWorker::join(&test.engine, hello(1)).await;
    let jobs = worker.accept_jobs(1).await;
    worker.report(vec![succeeded_report(&jobs[0])]).await;
    worker.bye().await;
    let cancelled = test.enqueue(|_| ()).await;
    test.engine.jobs().cancel(cancelled.id, "", "test").await.expect("cancel the job");
    let scheduled = test.enqueue(|new| new.delay_ms = Some(9 * HOUR_MS)).await;
    wait_evicted(&test, done.id).await;
    wait_evicted(&test, cancelled.id).await;
    assert_eq!(run_pass(&test).await, expired(0));
    test.advance(HOUR_MS);
    assert_eq!(run_pass(&test).await, expired(1));
    let gone = test.engine.jobs().get(done.id).await;
    assert!(matches!(gone, Err(EngineError::JobNotFound(id)) if id == done.id), "{gone:?}");
    assert_eq!(test.job(cancelled.id).await.status.state, State::Cancelled);
    test.advance(HOUR_MS);
    assert_eq!(run_pass(&test).await, expired(1));
    assert!(test.engine.jobs().get(cancelled.id).await.is_err());
    test.advance(3 * HOUR_MS);
    assert_eq!(run_pass(&test).await, expired(0));
    assert_eq!(test.job(scheduled.id).await.status.state, State::Scheduled);
    test.close().await;
}

#[tokio::test]
async fn the_holder_of_a_unique_key_stays_until_the_key_is_free() {
    let test = start_engine(u64::MAX).await;
    let unique = |new: &mut sentinel_domain::NewJob| {
        new.unique_key = Some("once".into());
        new.unique_ttl_ms = Some(4 * HOUR_MS);
    };
    let holder = test.enqueue(unique).await;
    test.engine.jobs().cancel(holder.id, "", "test").await.expect("cancel the job");
    wait_evicted(&test, holder.id).await;
    test.advance(3 * HOUR_MS);
    assert_eq!(run_pass(&test).await, expired(0));
    assert_eq!(test.enqueue(unique).await.id, holder.id, "the key still returns its holder");
    test.advance(HOUR_MS);
    assert_eq!(run_pass(&test).await, expired(1));
    assert_ne!(test.enqueue(unique).await.id, holder.id);
    test.close().await;
}

#[tokio::test]
async fn a_job_in_the_store_is_kept() {
    let test = TestEngine::with_settings(|s| {
        s.store_retention_ms = 100 * HOUR_MS;
        s.keep_unsuccessful_ms = HOUR_MS;
    })
    .await;
    let job = test.enqueue(|_| ()).await;
    test.engine.jobs().cancel(job.id, "", "test").await.expect("cancel the job");
    test.wait_projected().await;
    test.advance(2 * HOUR_MS);
    assert_eq!(run_pass(&test).await, expired(0));
    test.close().await;
}

#[tokio::test]
async fn a_queue_keeps_its_newest_terminal_jobs() {
    let test = start_engine(3).await;
    let mut ids = Vec::new();
    for _ in 0..5 {
        let job = test.enqueue(|_| ()).await;
        test.engine.jobs().cancel(job.id, "", "test").await.expect("cancel the job");
        ids.push(job.id);
        test.advance(1);
    }
    for id in &ids {
        wait_evicted(&test, *id).await;
    }
    assert_eq!(run_pass(&test).await, expired(0), "all jobs finished less than ten minutes ago");
    test.advance(600_000);
    assert_eq!(run_pass(&test).await, RetentionPass { expired: 0, surplus: 2 });
    for (at, id) in ids.iter().enumerate() {
        assert_eq!(
            test.engine.jobs().get(*id).await.is_ok(),
            at >= 2,
            "only the oldest two are deleted"
        );
    }
    test.close().await;
}

#[tokio::test]
async fn jobs_can_be_projected_and_retried_during_a_pass() {
    let test = start_engine(u64::MAX).await;
    let mut ids = Vec::new();
    for _ in 0..600 {
        let job = test.enqueue(|new| new.labels = vec![("a".into(), "b".into())]).await;
        test.engine.jobs().cancel(job.id, "", "test").await.expect("cancel the job");
        ids.push(job.id);
    }
    wait_evicted(&test, *ids.last().expect("a last element")).await;
    test.advance(2 * HOUR_MS);
    let retries = async {
        let mut retried = Vec::new();
        for id in ids.iter().step_by(20) {
            // The pass may have deleted the job already.
            if test.engine.jobs().retry(*id, None).await.is_ok() {
                retried.push(*id);
            }
        }
        retried
    };
    let (deleted, retried) = tokio::join!(run_pass(&test), retries);
    test.wait_projected().await;
    for id in &retried {
        let job = test.job(*id).await;
        assert_eq!((job.status.state, job.status.run), (State::Ready, 2));
        let recorded = test.ledger.get(vec![*id]).await.expect("a response");
        assert!(recorded[0].is_some(), "the ledger must have the retried job");
    }
    assert!(deleted.expired as usize + retried.len() >= ids.len(), "{deleted:?}");
    let rest = run_pass(&test).await;
    assert_eq!(rest, expired(0));
    test.close().await;
}
