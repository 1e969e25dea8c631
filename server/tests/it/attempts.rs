//! The outcomes of an attempt: failure, snooze, timeout, panic and the loss of its worker.

use std::time::{Duration, Instant};

use futures_util::TryStreamExt;
use sentinel_client::proto::jobs::v1::{
    BackoffKind, Jitter, JobState, LostPolicy, RetryPolicy, StateReason,
};
use sentinel_client::{NewJob, is_terminal};
use serde_json::json;

use crate::harness::{
    TIMEOUT, TestServer, demo_job, enqueue, wait_handler_started, wait_terminal, wait_until,
};

/// Sets a retry policy with a short backoff.
fn with_short_backoff(job: NewJob, max_attempts: u32) -> NewJob {
    let pause = prost_types::Duration { seconds: 0, nanos: 20_000_000 };
    job.retry(RetryPolicy {
        max_attempts,
        backoff: BackoffKind::Fixed.into(),
        base: Some(pause),
        cap: None,
        jitter: Jitter::None.into(),
    })
}

#[tokio::test]
async fn a_failing_job_gets_its_configured_number_of_attempts() {
    let server = TestServer::start().await;
    let client = server.client();
    let _worker = server.start_worker("w1", &[]).await;
    let id = enqueue(&client, with_short_backoff(demo_job("fail", json!({"times": 2})), 3)).await;
    let job = wait_terminal(&client, &id).await;
    assert_eq!((job.state(), job.attempt), (JobState::Succeeded, 3));
    let id = enqueue(&client, with_short_backoff(demo_job("fail", json!({})), 2)).await;
    let job = wait_terminal(&client, &id).await;
    assert_eq!((job.state(), job.attempt), (JobState::Failed, 2));
    assert_eq!(job.reason(), StateReason::HandlerError);
    let fatal = demo_job("fail", json!({"retryable": false}));
    let id = enqueue(&client, with_short_backoff(fatal, 3)).await;
    let job = wait_terminal(&client, &id).await;
    assert_eq!((job.state(), job.attempt), (JobState::Failed, 1));
    assert_eq!(job.reason(), StateReason::NotRetryable);
}

#[tokio::test]
async fn a_panic_fails_the_attempt_and_not_the_worker() {
    let server = TestServer::start().await;
    let client = server.client();
    let mut worker = server.start_worker("w1", &[]).await;
    let id = enqueue(&client, with_short_backoff(demo_job("panic", json!({})), 2)).await;
    let job = wait_terminal(&client, &id).await;
    assert_eq!((job.state(), job.attempt, job.crashes), (JobState::Failed, 2, 0));
    assert!(job.error.unwrap().message.contains("demo.panic"), "the panic message");
    let id = enqueue(&client, demo_job("noop", json!({}))).await;
    assert_eq!(wait_terminal(&client, &id).await.state(), JobState::Succeeded);
    assert_eq!(worker.exit_status(), None);
}

#[tokio::test]
async fn a_snooze_does_not_count_as_an_attempt_and_keeps_the_checkpoint() {
    let server = TestServer::start().await;
    let client = server.client();
    let _worker = server.start_worker("w1", &[]).await;
    let job = demo_job("snooze", json!({"delay_ms": 150, "times": 3})).max_attempts(1);
    let start = Instant::now();
    let id = enqueue(&client, job).await;
    let job = wait_terminal(&client, &id).await;
    assert_eq!((job.state(), job.attempt), (JobState::Succeeded, 1));
    assert_eq!(job.result, "3");
    assert!(start.elapsed() >= Duration::from_millis(450), "{:?}", start.elapsed());
    // Each lease numbers its lines from 1; a line does not replace one of another lease.
    let lines: Vec<_> = client.read_logs(&id, 1, false).await.unwrap().try_collect().await.unwrap();
    let logged: Vec<_> = lines.iter().map(|line| (line.seq, line.text.as_str())).collect();
    assert_eq!(logged, [(1, "snooze 1 of 3"), (1, "snooze 2 of 3"), (1, "snooze 3 of 3")]);
}

#[tokio::test]
async fn an_attempt_fails_at_its_run_timeout() {
    let server = TestServer::start().await;
    let client = server.client();
    let _worker = server.start_worker("w1", &[]).await;
    let timeout = Duration::from_millis(300);
    let start = Instant::now();
    let job = demo_job("sleep", json!({"ms": 60_000})).run_timeout(timeout).max_attempts(1);
    let job = wait_terminal(&client, &enqueue(&client, job).await).await;
    assert_eq!((job.state(), job.reason()), (JobState::Failed, StateReason::Timeout));
    let took = start.elapsed();
    assert!(took >= timeout && took < timeout + Duration::from_secs(3), "took {took:?}");
}

#[tokio::test]
async fn the_next_attempt_resumes_from_the_checkpoint() {
    let server = TestServer::start().await;
    let client = server.client();
    let mut first = server.start_worker("w1", &[]).await;
    let id = enqueue(&client, demo_job("progress", json!({"steps": 8, "step_ms": 200}))).await;
    let checkpoint: u64 = wait_until("a second checkpoint", TIMEOUT, || async {
        let job = client.get(&id).await.unwrap();
        let step = std::str::from_utf8(&job.checkpoint).unwrap().parse().ok()?;
        (step >= 2).then_some(step)
    })
    .await;
    first.kill().await;
    let _second = server.start_worker("w2", &[]).await;
    let job = wait_terminal(&client, &id).await;
    assert_eq!((job.state(), job.attempt, job.crashes), (JobState::Succeeded, 2, 1));
    assert_eq!(job.worker, "w2");
    let mut lines = client.read_logs(&id, 2, false).await.unwrap();
    let line = futures_util::StreamExt::next(&mut lines).await.unwrap().unwrap();
    let step: u64 = line.text.strip_prefix("resuming after step ").unwrap().parse().unwrap();
    assert!(step >= checkpoint, "resumed after {step}, the checkpoint was {checkpoint}");
}

#[tokio::test]
async fn a_job_that_kills_its_workers_is_poisoned_after_three_crashes() {
    let server = TestServer::start().await;
    let client = server.client();
    let id = enqueue(&client, demo_job("crash", json!({})).max_attempts(100)).await;
    for n in 1..=3 {
        // As a supervisor would restart the process.
        let mut worker = server.spawn_worker(&format!("w{n}"), &[]);
        worker.wait_exit(TIMEOUT).await;
    }
    let job = wait_terminal(&client, &id).await;
    assert_eq!((job.state(), job.reason()), (JobState::Failed, StateReason::Poisoned));
    assert_eq!((job.crashes, job.attempt), (3, 3));
    let _worker = server.start_worker("w4", &[]).await;
    let id = enqueue(&client, demo_job("noop", json!({}))).await;
    assert_eq!(wait_terminal(&client, &id).await.state(), JobState::Succeeded);
}

#[tokio::test]
async fn a_job_that_kills_its_workers_does_not_fail_other_jobs() {
    let server = TestServer::start().await;
    let client = server.client();
    let mut others = Vec::new();
    for n in 0..OTHERS {
        // From short to longer than the recovery of a lost worker.
        let ms = 20 + 60 * n;
        others.push(enqueue(&client, demo_job("sleep", json!({"ms": ms})).max_attempts(100)).await);
        if n == OTHERS / 2 {
            others
                .insert(0, enqueue(&client, demo_job("crash", json!({})).max_attempts(100)).await);
        }
    }
    let poison = others.remove(0);
    let mut workers: Vec<_> = (0..2).map(|n| server.spawn_worker(&format!("w{n}"), &[])).collect();
    let mut started = workers.len();
    wait_until("all jobs are terminal", TIMEOUT, || {
        for worker in &mut workers {
            if worker.exit_status().is_some() {
                *worker = server.spawn_worker(&format!("w{started}"), &[]);
                started += 1;
            }
        }
        let (client, all) = (&client, others.iter().chain([&poison]));
        async move {
            for id in all {
                client.get(id).await.ok().filter(|job| is_terminal(job.state()))?;
            }
            Some(())
        }
    })
    .await;
    let job = client.get(&poison).await.unwrap();
    assert_eq!((job.state(), job.reason()), (JobState::Failed, StateReason::Poisoned));
    assert_eq!((job.crashes, job.attempt), (3, 3));
    let mut ends = Vec::new();
    for id in &others {
        let job = client.get(id).await.unwrap();
        ends.push((job.state(), job.crashes));
    }
    println!("{ends:?}");
    assert!(ends.iter().all(|(state, _)| *state == JobState::Succeeded), "{ends:?}");
}

/// The number of jobs beside the one that kills its worker.
const OTHERS: u64 = 12;

#[tokio::test]
async fn a_job_with_lost_policy_fail_fails_with_its_worker() {
    let server = TestServer::start().await;
    let client = server.client();
    let mut first = server.start_worker("w1", &[]).await;
    let job = demo_job("sleep", json!({"ms": 60_000})).on_lost(LostPolicy::Fail);
    let id = enqueue(&client, job).await;
    wait_handler_started(&client, &id).await;
    first.kill().await;
    let job = wait_terminal(&client, &id).await;
    assert_eq!((job.state(), job.reason()), (JobState::Failed, StateReason::WorkerLost));
}

#[tokio::test]
async fn a_handler_that_never_yields_keeps_its_session() {
    let flags = ["--auto-create-queues", "--session-ttl", "1s", "--ping-interval", "200ms"];
    let server = TestServer::with_flags(&flags).await;
    let client = server.client();
    let _worker = server.start_worker("w1", &[]).await;
    let id = enqueue(&client, demo_job("spin", json!({"ms": 2_500}))).await;
    let job = wait_terminal(&client, &id).await;
    assert_eq!((job.state(), job.attempt, job.crashes), (JobState::Succeeded, 1, 0));
}
