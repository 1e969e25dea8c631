//! Which job goes first, which waits for another, and which takes another's place.

use std::time::{Duration, SystemTime};

use sentinel_client::proto::jobs::v1::{DependencyFailurePolicy, JobSpec, JobState, StateReason};
use sentinel_client::{Client, Unique, UniqueMode};
use serde_json::json;

use crate::harness::{World, demo, end_of, enqueue, in_state};

/// This machine's clock, as `run_at` needs it.
#[expect(clippy::disallowed_methods, reason = "what is sent are times of this machine")]
fn now() -> SystemTime {
    SystemTime::now()
}

#[tokio::test]
async fn the_more_urgent_job_starts_first() {
    let world = World::start().await;
    let client = world.client();
    let file = world.dir.path().join("order");
    let mut ids = Vec::new();
    for priority in [1, 9, 0, 5] {
        let job = demo("effect", json!({ "file": file })).priority(priority);
        ids.push(enqueue(&client, job).await);
    }
    let _worker = world.worker("w1", &["--concurrency", "1"]).await;
    for id in &ids {
        end_of(&client, id).await;
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
async fn a_job_starts_at_its_time_and_not_before() {
    let world = World::start().await;
    let client = world.client();
    let _worker = world.worker("w1", &[]).await;
    let due = now() + Duration::from_millis(900);
    let id = enqueue(&client, demo("noop", json!({})).run_at(due)).await;
    let waiting = client.get(&id).await.unwrap();
    assert_eq!((waiting.state(), waiting.attempt), (JobState::Scheduled, 0));
    let job = end_of(&client, &id).await;
    let started: SystemTime = job.started_at.unwrap().try_into().unwrap();
    // Times on the wire have milliseconds.
    assert!(started + Duration::from_millis(2) >= due, "started before its time");
    assert!(started < due + Duration::from_secs(3), "started long after its time");
}

#[tokio::test]
async fn a_job_that_could_not_start_in_time_expires() {
    let world = World::start().await;
    let client = world.client();
    let deadline = now() + Duration::from_millis(400);
    let id = enqueue(&client, demo("noop", json!({})).start_deadline(deadline)).await;
    let job = end_of(&client, &id).await;
    assert_eq!((job.state(), job.reason()), (JobState::Expired, StateReason::StartDeadline));
    assert_eq!(job.attempt, 0);
}

#[tokio::test]
async fn a_chain_runs_in_order() {
    let world = World::start().await;
    let client = world.client();
    let a = enqueue(&client, demo("sleep", json!({"ms": 200}))).await;
    let b = enqueue(&client, demo("noop", json!({})).depends_on(&a)).await;
    let c = enqueue(&client, demo("noop", json!({})).depends_on(&a).depends_on(&b)).await;
    let blocked = client.get(&c).await.unwrap();
    assert_eq!((blocked.state(), blocked.pending_dependencies), (JobState::Blocked, 2));
    let _worker = world.worker("w1", &[]).await;
    let (a, b, c) =
        (end_of(&client, &a).await, end_of(&client, &b).await, end_of(&client, &c).await);
    for job in [&a, &b, &c] {
        assert_eq!(job.state(), JobState::Succeeded);
    }
    let ends = |job: &sentinel_client::proto::jobs::v1::Job| {
        let at = job.finished_at.unwrap();
        (at.seconds, at.nanos)
    };
    assert!(ends(&a) <= ends(&b) && ends(&b) <= ends(&c));
}

#[tokio::test]
async fn a_failed_parent_cancels_its_children_unless_they_said_otherwise() {
    let world = World::start().await;
    let client = world.client();
    let parent = enqueue(&client, demo("fail", json!({})).max_attempts(1)).await;
    let child = enqueue(&client, demo("noop", json!({})).depends_on(&parent)).await;
    let grandchild = enqueue(&client, demo("noop", json!({})).depends_on(&child)).await;
    let mut anyway: JobSpec = demo("noop", json!({})).depends_on(&parent).into();
    anyway.on_dependency_failure = DependencyFailurePolicy::Run.into();
    let anyway = enqueue(&client, anyway).await;
    let _worker = world.worker("w1", &[]).await;
    for id in [&child, &grandchild] {
        let job = end_of(&client, id).await;
        assert_eq!(job.state(), JobState::Cancelled);
        assert_eq!(job.reason(), StateReason::DependencyFailed);
        assert_eq!(job.attempt, 0);
    }
    assert_eq!(end_of(&client, &anyway).await.state(), JobState::Succeeded);
    // A parent that is final already counts at once.
    let late = enqueue(&client, demo("noop", json!({})).depends_on(&parent)).await;
    assert_eq!(end_of(&client, &late).await.state(), JobState::Cancelled);
}

async fn unique(
    client: &Client,
    mode: UniqueMode,
    delay_ms: u64,
) -> Result<(String, bool), String> {
    let unique = Unique { key: "k".to_owned(), mode: mode.into(), ..Unique::default() };
    let job = demo("sleep", json!({"ms": 60_000})).unique(unique);
    let job = if delay_ms > 0 { job.delay(Duration::from_millis(delay_ms)) } else { job };
    match client.enqueue(job).await {
        Ok(enqueued) => Ok((enqueued.job.id, enqueued.deduplicated)),
        Err(error) => Err(error.reason().unwrap_or_default().to_owned()),
    }
}

#[tokio::test]
async fn a_unique_key_is_held_as_its_mode_says() {
    let world = World::start().await;
    let client = world.client();
    let (first, existed) = unique(&client, UniqueMode::ReturnExisting, 0).await.unwrap();
    assert!(!existed);
    let again = unique(&client, UniqueMode::ReturnExisting, 0).await.unwrap();
    assert_eq!(again, (first.clone(), true));
    let refused = unique(&client, UniqueMode::Reject, 0).await;
    assert_eq!(refused, Err("UNIQUE_KEY_HELD".to_owned()));
    let (second, existed) = unique(&client, UniqueMode::ReplacePending, 0).await.unwrap();
    assert!(second != first && !existed);
    let replaced = client.get(&first).await.unwrap();
    assert_eq!((replaced.state(), replaced.reason()), (JobState::Cancelled, StateReason::Replaced));
    let (third, _) = unique(&client, UniqueMode::Debounce, 60_000).await.unwrap();
    assert_eq!(client.get(&second).await.unwrap().state(), JobState::Cancelled);
    assert_eq!(client.get(&third).await.unwrap().state(), JobState::Scheduled);
    client.cancel(&third, "").await.unwrap();
    // Free again; a holder that runs is not replaced.
    let _worker = world.worker("w1", &[]).await;
    let (fourth, existed) = unique(&client, UniqueMode::Reject, 0).await.unwrap();
    assert!(!existed);
    in_state(&client, &fourth, JobState::Running).await;
    let held = unique(&client, UniqueMode::ReplacePending, 0).await.unwrap();
    assert_eq!(held, (fourth, true));
}

#[tokio::test]
async fn a_request_id_answers_its_first_job_again_also_after_a_restart() {
    let mut world = World::start().await;
    let client = world.client();
    let job = |ms: u64| demo("sleep", json!({ "ms": ms })).request_id("r1");
    let first = client.enqueue(job(1)).await.unwrap();
    let again = client.enqueue(job(1)).await.unwrap();
    assert_eq!((&again.job.id, again.deduplicated), (&first.job.id, true));
    let other = client.enqueue(job(2)).await.unwrap_err();
    assert_eq!(other.reason(), Some("REQUEST_ID_REUSED"));
    assert_eq!(other.code(), Some(tonic::Code::FailedPrecondition));
    world.server.kill().await;
    world.server.restart().await;
    let again = client.enqueue(job(1)).await.unwrap();
    assert_eq!((&again.job.id, again.deduplicated), (&first.job.id, true));
}
