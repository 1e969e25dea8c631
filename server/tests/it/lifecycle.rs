//! The life cycle of a job as a client sees it.

use std::time::{Duration, Instant};

use futures_util::StreamExt;
use sentinel_client::proto::jobs::v1::{CancelOutcome, JobState, JobView, StateReason};
use sentinel_client::{WatchEvent, WatchOptions};
use serde_json::json;

use crate::harness::{
    TIMEOUT, TestServer, demo_job, enqueue, wait_state, wait_terminal, wait_until,
};

#[tokio::test]
async fn a_watch_shows_progress_and_then_the_result() {
    let server = TestServer::start().await;
    let client = server.client();
    let _worker = server.start_worker("w1", &[]).await;
    let id = enqueue(&client, demo_job("progress", json!({"steps": 5, "step_ms": 150}))).await;
    let mut events = client.watch(WatchOptions::jobs([id.clone()]).view(JobView::Full).logs(true));
    let (mut done, mut states, mut lines, mut result) = (vec![], vec![], 0, None);
    while let Some(event) = events.next().await {
        match event.unwrap() {
            WatchEvent::Snapshot(snapshot) => states.push(snapshot.jobs[0].state()),
            WatchEvent::Change(change) => {
                let job = change.job.unwrap();
                states.push(job.state());
                result = Some(job.result);
            }
            WatchEvent::Progress(progress) => {
                assert_eq!(
                    states.last(),
                    Some(&JobState::Running),
                    "progress must belong to a running job"
                );
                let progress = progress.progress.unwrap();
                assert_eq!(
                    (progress.total, progress.message),
                    (5, format!("step {}", progress.done))
                );
                done.push(progress.done);
            }
            WatchEvent::Log(log) => lines += log.lines.len(),
            event => panic!("unexpected {event:?}"),
        }
    }
    assert_eq!(states.last(), Some(&JobState::Succeeded), "{states:?}");
    assert!(done.len() >= 3 && done.is_sorted(), "live progress: {done:?}");
    assert!(lines >= 3, "live log lines: {lines}");
    assert_eq!(result.unwrap(), "5");
}

#[tokio::test]
async fn a_cancelled_waiting_job_never_runs() {
    let server = TestServer::start().await;
    let client = server.client();
    let file = server.dir.path().join("effect");
    let id = enqueue(&client, demo_job("effect", json!({ "file": file }))).await;
    let reply = client.cancel(&id, "not needed").await.unwrap();
    assert_eq!(reply.outcome, CancelOutcome::Cancelled);
    assert_eq!(reply.job.state(), JobState::Cancelled);
    assert_eq!(reply.job.reason(), StateReason::CancelledByCaller);
    let again = client.cancel(&id, "").await.unwrap();
    assert_eq!(again.outcome, CancelOutcome::AlreadyTerminal);
    let _worker = server.start_worker("w1", &[]).await;
    let later = enqueue(&client, demo_job("noop", json!({}))).await;
    wait_terminal(&client, &later).await;
    assert!(!file.exists(), "the cancelled job must not run");
}

#[tokio::test]
async fn a_cancelled_running_job_is_terminal_within_two_seconds() {
    let server = TestServer::start().await;
    let client = server.client();
    let _worker = server.start_worker("w1", &[]).await;
    let id = enqueue(&client, demo_job("sleep", json!({"ms": 60_000}))).await;
    wait_state(&client, &id, JobState::Running).await;
    let start = Instant::now();
    let reply = client.cancel(&id, "").await.unwrap();
    assert_eq!(reply.outcome, CancelOutcome::Requested);
    assert!(reply.job.cancel_requested);
    let job = wait_terminal(&client, &id).await;
    let took = start.elapsed();
    println!("cancel to terminal state: {} ms", took.as_millis());
    assert_eq!(job.state(), JobState::Cancelled);
    assert!(took < Duration::from_secs(2), "took {took:?}");
}

#[tokio::test]
async fn a_handler_that_ignores_its_cancel_loses_its_lease_after_the_grace_period() {
    let server = TestServer::start().await;
    let client = server.client();
    let _worker = server.start_worker("w1", &[]).await;
    let grace = Duration::from_millis(600);
    let job = demo_job("stubborn", json!({"ms": 60_000})).cancel_grace(grace);
    let id = enqueue(&client, job).await;
    wait_state(&client, &id, JobState::Running).await;
    let start = Instant::now();
    client.cancel(&id, "").await.unwrap();
    let job = wait_terminal(&client, &id).await;
    let took = start.elapsed();
    assert_eq!(job.state(), JobState::Cancelled);
    assert_eq!(job.attempt, 1);
    assert!(took >= grace && took < grace + Duration::from_secs(3), "took {took:?}");
}

#[tokio::test]
async fn a_retry_starts_a_new_run() {
    let server = TestServer::start().await;
    let client = server.client();
    let _worker = server.start_worker("w1", &[]).await;
    let id =
        enqueue(&client, demo_job("fail", json!({"message": "no luck"})).max_attempts(1)).await;
    let failed = wait_terminal(&client, &id).await;
    assert_eq!((failed.state(), failed.run, failed.attempt), (JobState::Failed, 1, 1));
    let error = failed.error.unwrap();
    assert_eq!((error.message.as_str(), error.code.as_str()), ("no luck", "DEMO"));
    let retried = client.retry(&id).await.unwrap();
    assert_eq!((retried.run, retried.attempt), (2, 0));
    let again = wait_terminal(&client, &id).await;
    assert_eq!((again.state(), again.run, again.attempt), (JobState::Failed, 2, 1));
    assert!(again.version > failed.version);
}

#[tokio::test]
async fn a_retried_job_can_succeed() {
    let server = TestServer::start().await;
    let client = server.client();
    let worker = server.start_worker("w1", &[]).await;
    // The directory is missing in the first run and exists in the second.
    let dir = server.dir.path().join("dir");
    let file = dir.join("effect");
    let id = enqueue(&client, demo_job("effect", json!({ "file": file })).max_attempts(1)).await;
    assert_eq!(wait_terminal(&client, &id).await.state(), JobState::Failed);
    std::fs::create_dir(&dir).unwrap();
    client.retry(&id).await.unwrap();
    let job = wait_terminal(&client, &id).await;
    assert_eq!((job.state(), job.run), (JobState::Succeeded, 2));
    let fence = String::from_utf8(job.result.to_vec()).unwrap();
    assert!(fence.starts_with(&format!("{id}/2/1/")), "{fence}");
    let lines = std::fs::read_to_string(&file).unwrap();
    assert_eq!(lines, format!("{fence}\tw1\tstart\n{fence}\tw1\tend\n"));
    drop(worker);
}

#[tokio::test]
async fn logs_are_readable_while_the_job_runs_and_afterwards() {
    let server = TestServer::start().await;
    let client = server.client();
    let _worker = server.start_worker("w1", &[]).await;
    let id = enqueue(&client, demo_job("progress", json!({"steps": 4, "step_ms": 100}))).await;
    let follow = async {
        let lines = client.read_logs(&id, 0, true).await.unwrap();
        lines.map(|line| line.unwrap().text).collect::<Vec<_>>().await
    };
    let followed =
        tokio::time::timeout(TIMEOUT, follow).await.expect("the log stream closes in time");
    let wanted: Vec<String> = (1..=4).map(|n| format!("step {n} of 4")).collect();
    assert_eq!(followed, wanted);
    let kept = wait_until("all log lines are stored", TIMEOUT, || async {
        let lines = client.read_logs(&id, 1, false).await.unwrap();
        let lines: Vec<_> = lines.map(|line| line.unwrap()).collect().await;
        (lines.len() == 4).then_some(lines)
    })
    .await;
    assert!(kept.iter().map(|line| line.seq).eq(1..=4));
}
