//! Typed jobs against a real server.

use std::time::Duration;

use futures_util::StreamExt;
use sentinel_client::proto::jobs::v1::{JobState, StateReason};
use sentinel_client::worker::{HandlerError, JobContext};
use sentinel_client::{BatchOptions, Job, NewJob, WaitError, WatchEvent};
use sentinel_testing::TestServer;
use serde::{Deserialize, Serialize};

#[derive(Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
struct Divide {
    by: u32,
}

impl Job for Divide {
    const KIND: &'static str = "divide";
    type Result = (u32, String);

    fn configure(&self, job: NewJob) -> NewJob {
        job.label("by", self.by.to_string()).max_attempts(1)
    }
}

async fn divide(job: JobContext, payload: Divide) -> Result<(u32, String), HandlerError> {
    let quotient = 100_u32.checked_div(payload.by);
    let quotient = quotient
        .ok_or_else(|| HandlerError::non_retryable("division by zero").with_code("ZERO"))?;
    Ok((quotient, job.labels()["by"].clone()))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn results_and_failures_are_typed() {
    let server = TestServer::start().await;
    let _worker = server.start_worker(server.worker().job(divide).schema_of::<Divide>());
    let job = server.client().submit(&Divide { by: 8 }).await.unwrap();
    assert_eq!(job.result().await.unwrap(), (12, "8".to_owned()));
    let job = server.client().submit(&Divide { by: 0 }).await.unwrap();
    match job.result().await.unwrap_err() {
        WaitError::Failed { id, reason, error } => {
            assert_eq!((id.as_str(), error.code.as_str()), (job.id(), "ZERO"));
            assert_eq!(reason, StateReason::NotRetryable);
        }
        other => panic!("{other:?}"),
    }
    // A payload of another type under the same kind.
    let other = NewJob::new("default", Divide::KIND).json(&"eight").unwrap();
    let id = server.client().enqueue(other).await.unwrap().job.id;
    match server.client().job::<Divide>(id).result().await.unwrap_err() {
        WaitError::Failed { error, .. } => {
            assert_eq!(error.code, "BAD_PAYLOAD");
            assert!(error.message.starts_with("payload: invalid type"), "{}", error.message);
        }
        other => panic!("{other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn typed_jobs_can_be_batched_watched_cancelled_and_retried() {
    let server = TestServer::start().await;
    let client = server.client();
    let payloads = [1, 2, 4].map(|by| Divide { by });
    let jobs = client.submit_batch(&payloads, BatchOptions::default()).await.unwrap();
    let jobs: Vec<_> = jobs.into_iter().map(Result::unwrap).collect();
    let mut enqueued = server.wait_for_payloads::<Divide>(3).await;
    enqueued.sort_by_key(|payload| payload.by);
    assert_eq!(enqueued, payloads);
    jobs[0].cancel("not needed").await.unwrap();
    assert!(matches!(jobs[0].result().await, Err(WaitError::Cancelled { .. })));
    let mut events = jobs[1].watch();
    let Some(Ok(WatchEvent::Snapshot(snapshot))) = events.next().await else { panic!() };
    assert_eq!(snapshot.jobs[0].id, jobs[1].id());
    let worker = server.start_worker(server.worker().job(divide));
    let mut last = snapshot.jobs[0].state();
    while let Some(event) = events.next().await {
        if let WatchEvent::Change(change) = event.unwrap() {
            last = change.job.unwrap().state();
        }
    }
    assert_eq!(last, JobState::Succeeded);
    assert_eq!(jobs[2].result().await.unwrap().0, 25);
    jobs[0].retry().await.unwrap();
    assert_eq!(jobs[0].result().await.unwrap().0, 100);
    worker.stop().await;
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn advancing_the_clock_makes_delayed_jobs_ready() {
    const DAY: Duration = Duration::from_secs(24 * 3600);
    let server = TestServer::start().await;
    let client = server.client();
    let late = client.submit_with(&Divide { by: 5 }, |job| job.delay(30 * DAY)).await.unwrap();
    assert_eq!(late.get().await.unwrap().state(), JobState::Scheduled);
    let worker = server.start_worker(server.worker().job(divide));
    let now = client.submit(&Divide { by: 10 }).await.unwrap();
    assert_eq!(now.result().await.unwrap().0, 10);
    assert_eq!(late.get().await.unwrap().state(), JobState::Scheduled);
    // The worker keeps its session.
    server.clock().advance(30 * DAY);
    assert_eq!(late.result().await.unwrap().0, 20);
    assert_eq!(late.get().await.unwrap().crashes, 0);
    worker.stop().await;
}
