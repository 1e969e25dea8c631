//! One job from its enqueue to its end, as a caller sees it.

use std::time::{Duration, Instant};

use futures_util::StreamExt;
use sentinel_client::proto::jobs::v1::{CancelOutcome, JobState, JobView, StateReason};
use sentinel_client::{Watch, WatchEvent};
use serde_json::json;

use crate::harness::{PATIENCE, World, demo, end_of, enqueue, in_state, until};

#[tokio::test]
async fn progress_arrives_while_the_job_runs_then_its_result() {
    let world = World::start().await;
    let client = world.client();
    let _worker = world.worker("w1", &[]).await;
    let id = enqueue(&client, demo("progress", json!({"steps": 5, "step_ms": 150}))).await;
    let mut events = client.watch(Watch::jobs([id.clone()]).view(JobView::Full).logs(true));
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
                assert_eq!(states.last(), Some(&JobState::Running), "progress of a running job");
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
async fn a_waiting_job_is_cancelled_and_never_runs() {
    let world = World::start().await;
    let client = world.client();
    let file = world.dir.path().join("effect");
    let id = enqueue(&client, demo("effect", json!({ "file": file }))).await;
    let reply = client.cancel(&id, "not needed").await.unwrap();
    assert_eq!(reply.outcome, CancelOutcome::Cancelled);
    assert_eq!(reply.job.state(), JobState::Cancelled);
    assert_eq!(reply.job.reason(), StateReason::CancelledByCaller);
    let again = client.cancel(&id, "").await.unwrap();
    assert_eq!(again.outcome, CancelOutcome::AlreadyFinal);
    let _worker = world.worker("w1", &[]).await;
    let later = enqueue(&client, demo("noop", json!({}))).await;
    end_of(&client, &later).await;
    assert!(!file.exists(), "the cancelled job ran");
}

#[tokio::test]
async fn a_running_handler_sees_its_cancel_within_two_seconds() {
    let world = World::start().await;
    let client = world.client();
    let _worker = world.worker("w1", &[]).await;
    let id = enqueue(&client, demo("sleep", json!({"ms": 60_000}))).await;
    in_state(&client, &id, JobState::Running).await;
    let asked = Instant::now();
    let reply = client.cancel(&id, "").await.unwrap();
    assert_eq!(reply.outcome, CancelOutcome::Requested);
    assert!(reply.job.cancel_requested);
    let job = end_of(&client, &id).await;
    let took = asked.elapsed();
    println!("cancel to final: {} ms", took.as_millis());
    assert_eq!(job.state(), JobState::Cancelled);
    assert!(took < Duration::from_secs(2), "took {took:?}");
}

#[tokio::test]
async fn a_handler_that_ignores_its_cancel_loses_its_lease_after_the_grace() {
    let world = World::start().await;
    let client = world.client();
    let _worker = world.worker("w1", &[]).await;
    let grace = Duration::from_millis(600);
    let job = demo("stubborn", json!({"ms": 60_000})).cancel_grace(grace);
    let id = enqueue(&client, job).await;
    in_state(&client, &id, JobState::Running).await;
    let asked = Instant::now();
    client.cancel(&id, "").await.unwrap();
    let job = end_of(&client, &id).await;
    let took = asked.elapsed();
    assert_eq!(job.state(), JobState::Cancelled);
    assert_eq!(job.attempt, 1);
    assert!(took >= grace && took < grace + Duration::from_secs(3), "took {took:?}");
}

#[tokio::test]
async fn a_failed_job_is_retried_in_a_new_run() {
    let world = World::start().await;
    let client = world.client();
    let _worker = world.worker("w1", &[]).await;
    let id = enqueue(&client, demo("fail", json!({"message": "no luck"})).max_attempts(1)).await;
    let failed = end_of(&client, &id).await;
    assert_eq!((failed.state(), failed.run, failed.attempt), (JobState::Failed, 1, 1));
    let error = failed.error.unwrap();
    assert_eq!((error.message.as_str(), error.code.as_str()), ("no luck", "DEMO"));
    let retried = client.retry(&id).await.unwrap();
    assert_eq!((retried.run, retried.attempt), (2, 0));
    let again = end_of(&client, &id).await;
    assert_eq!((again.state(), again.run, again.attempt), (JobState::Failed, 2, 1));
    assert!(again.version > failed.version);
}

#[tokio::test]
async fn a_job_that_failed_once_succeeds_when_it_is_retried() {
    let world = World::start().await;
    let client = world.client();
    let worker = world.worker("w1", &[]).await;
    // The file's folder is missing in the first run and there in the second.
    let folder = world.dir.path().join("later");
    let file = folder.join("effect");
    let id = enqueue(&client, demo("effect", json!({ "file": file })).max_attempts(1)).await;
    assert_eq!(end_of(&client, &id).await.state(), JobState::Failed);
    std::fs::create_dir(&folder).unwrap();
    client.retry(&id).await.unwrap();
    let job = end_of(&client, &id).await;
    assert_eq!((job.state(), job.run), (JobState::Succeeded, 2));
    let fence = String::from_utf8(job.result.to_vec()).unwrap();
    assert!(fence.starts_with(&format!("{id}/2/1/")), "{fence}");
    let lines = std::fs::read_to_string(&file).unwrap();
    assert_eq!(lines, format!("{fence}\tw1\tstart\n{fence}\tw1\tend\n"));
    drop(worker);
}

#[tokio::test]
async fn log_lines_are_read_back_while_and_after_the_job_runs() {
    let world = World::start().await;
    let client = world.client();
    let _worker = world.worker("w1", &[]).await;
    let id = enqueue(&client, demo("progress", json!({"steps": 4, "step_ms": 100}))).await;
    let follow = async {
        let lines = client.read_logs(&id, 0, true).await.unwrap();
        lines.map(|line| line.unwrap().text).collect::<Vec<_>>().await
    };
    let followed = tokio::time::timeout(PATIENCE, follow).await.expect("follow ends with the job");
    let wanted: Vec<String> = (1..=4).map(|n| format!("step {n} of 4")).collect();
    assert_eq!(followed, wanted);
    let kept = until("all log lines are kept", PATIENCE, || async {
        let lines = client.read_logs(&id, 1, false).await.unwrap();
        let lines: Vec<_> = lines.map(|line| line.unwrap()).collect().await;
        (lines.len() == 4).then_some(lines)
    })
    .await;
    assert!(kept.iter().map(|line| line.seq).eq(1..=4));
}
