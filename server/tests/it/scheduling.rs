//! Scheduling: priorities, start times, deadlines, dependencies, unique keys and idempotency.

use std::time::{Duration, SystemTime};

use sentinel_client::proto::jobs::v1::{DependencyFailurePolicy, JobSpec, JobState, StateReason};
use sentinel_client::{Client, Unique, UniqueMode};
use serde_json::json;

use crate::harness::{TestServer, demo_job, enqueue, wait_state, wait_terminal};

/// Returns the wall clock time of this machine, which `run_at` needs.
#[expect(clippy::disallowed_methods, reason = "requests contain times of this machine")]
fn now() -> SystemTime {
    SystemTime::now()
}

#[tokio::test]
async fn jobs_start_in_order_of_priority() {
    let server = TestServer::start().await;
    let client = server.client();
    let file = server.dir.path().join("order");
    let mut ids = Vec::new();
    for priority in [1, 9, 0, 5] {
        let job = demo_job("effect", json!({ "file": file })).priority(priority);
        ids.push(enqueue(&client, job).await);
    }
    let _worker = server.start_worker("w1", &["--concurrency", "1"]).await;
    for id in &ids {
        wait_terminal(&client, id).await;
    }
    let lines = std::fs::read_to_string(&file).unwrap();
    let started: Vec<usize> = lines
        .lines()
        .filter(|line| line.ends_with("start"))
        .map(|line| ids.iter().position(|id| line.starts_with(id.as_str())).unwrap())
        .collect();
    assert_eq!(started, [1, 3, 0, 2], "by priority 9, 5, 1, 0");
}

#[tokio::test]
async fn a_scheduled_job_starts_at_its_time() {
    let server = TestServer::start().await;
    let client = server.client();
    let _worker = server.start_worker("w1", &[]).await;
    let due = now() + Duration::from_millis(900);
    let id = enqueue(&client, demo_job("noop", json!({})).run_at(due)).await;
    let waiting = client.get(&id).await.unwrap();
    assert_eq!((waiting.state(), waiting.attempt), (JobState::Scheduled, 0));
    let job = wait_terminal(&client, &id).await;
    let started: SystemTime = job.started_at.unwrap().try_into().unwrap();
    // Times on the wire have millisecond precision.
    assert!(started + Duration::from_millis(2) >= due, "started before its time");
    assert!(started < due + Duration::from_secs(3), "started long after its time");
}

#[tokio::test]
async fn a_job_expires_at_its_start_deadline() {
    let server = TestServer::start().await;
    let client = server.client();
    let deadline = now() + Duration::from_millis(400);
    let id = enqueue(&client, demo_job("noop", json!({})).start_deadline(deadline)).await;
    let job = wait_terminal(&client, &id).await;
    assert_eq!((job.state(), job.reason()), (JobState::Expired, StateReason::StartDeadline));
    assert_eq!(job.attempt, 0);
}

#[tokio::test]
async fn a_chain_of_dependencies_runs_in_order() {
    let server = TestServer::start().await;
    let client = server.client();
    let a = enqueue(&client, demo_job("sleep", json!({"ms": 200}))).await;
    let b = enqueue(&client, demo_job("noop", json!({})).depends_on(&a)).await;
    let c = enqueue(&client, demo_job("noop", json!({})).depends_on(&a).depends_on(&b)).await;
    let blocked = client.get(&c).await.unwrap();
    assert_eq!((blocked.state(), blocked.pending_dependencies), (JobState::Blocked, 2));
    let _worker = server.start_worker("w1", &[]).await;
    let (a, b, c) = (
        wait_terminal(&client, &a).await,
        wait_terminal(&client, &b).await,
        wait_terminal(&client, &c).await,
    );
    for job in [&a, &b, &c] {
        assert_eq!(job.state(), JobState::Succeeded);
    }
    let finished_at = |job: &sentinel_client::proto::jobs::v1::Job| {
        let at = job.finished_at.unwrap();
        (at.seconds, at.nanos)
    };
    assert!(finished_at(&a) <= finished_at(&b) && finished_at(&b) <= finished_at(&c));
}

#[tokio::test]
async fn a_failed_parent_cancels_its_dependents_unless_their_policy_is_run() {
    let server = TestServer::start().await;
    let client = server.client();
    let parent = enqueue(&client, demo_job("fail", json!({})).max_attempts(1)).await;
    let dependent = enqueue(&client, demo_job("noop", json!({})).depends_on(&parent)).await;
    let transitive = enqueue(&client, demo_job("noop", json!({})).depends_on(&dependent)).await;
    let mut with_policy_run: JobSpec = demo_job("noop", json!({})).depends_on(&parent).into();
    with_policy_run.on_dependency_failure = DependencyFailurePolicy::Run.into();
    let with_policy_run = enqueue(&client, with_policy_run).await;
    let _worker = server.start_worker("w1", &[]).await;
    for id in [&dependent, &transitive] {
        let job = wait_terminal(&client, id).await;
        assert_eq!(job.state(), JobState::Cancelled);
        assert_eq!(job.reason(), StateReason::DependencyFailed);
        assert_eq!(job.attempt, 0);
    }
    assert_eq!(wait_terminal(&client, &with_policy_run).await.state(), JobState::Succeeded);
    // A dependency on a parent that has already failed has an immediate effect.
    let later = enqueue(&client, demo_job("noop", json!({})).depends_on(&parent)).await;
    assert_eq!(wait_terminal(&client, &later).await.state(), JobState::Cancelled);
}

/// Enqueues a job with a unique key; returns its id and whether it was deduplicated, or the reason.
async fn enqueue_unique(
    client: &Client,
    mode: UniqueMode,
    delay_ms: u64,
) -> Result<(String, bool), String> {
    let unique = Unique { key: "k".to_owned(), mode: mode.into(), ..Unique::default() };
    let job = demo_job("sleep", json!({"ms": 60_000})).unique(unique);
    let job = if delay_ms > 0 { job.delay(Duration::from_millis(delay_ms)) } else { job };
    match client.enqueue(job).await {
        Ok(enqueued) => Ok((enqueued.job.id, enqueued.deduplicated)),
        Err(error) => Err(error.reason().unwrap_or_default().to_owned()),
    }
}

#[tokio::test]
async fn unique_modes_handle_a_held_key() {
    let server = TestServer::start().await;
    let client = server.client();
    let (first, existed) = enqueue_unique(&client, UniqueMode::ReturnExisting, 0).await.unwrap();
    assert!(!existed);
    let again = enqueue_unique(&client, UniqueMode::ReturnExisting, 0).await.unwrap();
    assert_eq!(again, (first.clone(), true));
    let refused = enqueue_unique(&client, UniqueMode::Reject, 0).await;
    assert_eq!(refused, Err("UNIQUE_KEY_HELD".to_owned()));
    let (second, existed) = enqueue_unique(&client, UniqueMode::ReplacePending, 0).await.unwrap();
    assert!(second != first && !existed);
    let replaced = client.get(&first).await.unwrap();
    assert_eq!((replaced.state(), replaced.reason()), (JobState::Cancelled, StateReason::Replaced));
    let (third, _) = enqueue_unique(&client, UniqueMode::Debounce, 60_000).await.unwrap();
    assert_eq!(client.get(&second).await.unwrap().state(), JobState::Cancelled);
    assert_eq!(client.get(&third).await.unwrap().state(), JobState::Scheduled);
    client.cancel(&third, "").await.unwrap();
    // The key is free again. A running holder is not replaced.
    let _worker = server.start_worker("w1", &[]).await;
    let (fourth, existed) = enqueue_unique(&client, UniqueMode::Reject, 0).await.unwrap();
    assert!(!existed);
    wait_state(&client, &fourth, JobState::Running).await;
    let held = enqueue_unique(&client, UniqueMode::ReplacePending, 0).await.unwrap();
    assert_eq!(held, (fourth, true));
}

#[tokio::test]
async fn a_request_id_returns_its_first_job_also_after_a_restart() {
    let mut server = TestServer::start().await;
    let client = server.client();
    let job = |ms: u64| demo_job("sleep", json!({ "ms": ms })).request_id("r1");
    let first = client.enqueue(job(1)).await.unwrap();
    let again = client.enqueue(job(1)).await.unwrap();
    assert_eq!((&again.job.id, again.deduplicated), (&first.job.id, true));
    let other = client.enqueue(job(2)).await.unwrap_err();
    assert_eq!(other.reason(), Some("REQUEST_ID_REUSED"));
    assert_eq!(other.code(), Some(tonic::Code::FailedPrecondition));
    server.kill().await;
    server.restart().await;
    let again = client.enqueue(job(1)).await.unwrap();
    assert_eq!((&again.job.id, again.deduplicated), (&first.job.id, true));
}
