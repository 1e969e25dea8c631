//! What an attempt can come to: failure, snooze, timeout, panic, and the death of its worker.

use std::time::{Duration, Instant};

use futures_util::TryStreamExt;
use sentinel_client::proto::jobs::v1::{
    BackoffKind, Jitter, JobState, LostPolicy, RetryPolicy, StateReason,
};
use sentinel_client::{NewJob, is_terminal};
use serde_json::json;

use crate::harness::{PATIENCE, World, begun, demo, end_of, enqueue, until};

fn quick(job: NewJob, max_attempts: u32) -> NewJob {
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
async fn a_failing_job_gets_the_attempts_it_asked_for() {
    let world = World::start().await;
    let client = world.client();
    let _worker = world.worker("w1", &[]).await;
    let id = enqueue(&client, quick(demo("fail", json!({"times": 2})), 3)).await;
    let job = end_of(&client, &id).await;
    assert_eq!((job.state(), job.attempt), (JobState::Succeeded, 3));
    let id = enqueue(&client, quick(demo("fail", json!({})), 2)).await;
    let job = end_of(&client, &id).await;
    assert_eq!((job.state(), job.attempt), (JobState::Failed, 2));
    assert_eq!(job.reason(), StateReason::HandlerError);
    let fatal = demo("fail", json!({"retryable": false}));
    let id = enqueue(&client, quick(fatal, 3)).await;
    let job = end_of(&client, &id).await;
    assert_eq!((job.state(), job.attempt), (JobState::Failed, 1));
    assert_eq!(job.reason(), StateReason::NotRetryable);
}

#[tokio::test]
async fn a_panic_fails_the_attempt_and_not_the_worker() {
    let world = World::start().await;
    let client = world.client();
    let mut worker = world.worker("w1", &[]).await;
    let id = enqueue(&client, quick(demo("panic", json!({})), 2)).await;
    let job = end_of(&client, &id).await;
    assert_eq!((job.state(), job.attempt, job.crashes), (JobState::Failed, 2, 0));
    assert!(job.error.unwrap().message.contains("demo.panic"), "the message of the panic");
    let id = enqueue(&client, demo("noop", json!({}))).await;
    assert_eq!(end_of(&client, &id).await.state(), JobState::Succeeded);
    assert_eq!(worker.ended(), None);
}

#[tokio::test]
async fn a_snooze_uses_up_no_attempt_and_keeps_the_checkpoint() {
    let world = World::start().await;
    let client = world.client();
    let _worker = world.worker("w1", &[]).await;
    let job = demo("snooze", json!({"delay_ms": 150, "times": 3})).max_attempts(1);
    let start = Instant::now();
    let id = enqueue(&client, job).await;
    let job = end_of(&client, &id).await;
    assert_eq!((job.state(), job.attempt), (JobState::Succeeded, 1));
    assert_eq!(job.result, "3");
    assert!(start.elapsed() >= Duration::from_millis(450), "{:?}", start.elapsed());
    // Each lease counts its lines anew; none of them takes the place of another's.
    let lines: Vec<_> = client.read_logs(&id, 1, false).await.unwrap().try_collect().await.unwrap();
    let said: Vec<_> = lines.iter().map(|line| (line.seq, line.text.as_str())).collect();
    assert_eq!(said, [(1, "snooze 1 of 3"), (1, "snooze 2 of 3"), (1, "snooze 3 of 3")]);
}

#[tokio::test]
async fn an_attempt_ends_at_its_run_timeout() {
    let world = World::start().await;
    let client = world.client();
    let _worker = world.worker("w1", &[]).await;
    let timeout = Duration::from_millis(300);
    let start = Instant::now();
    let job = demo("sleep", json!({"ms": 60_000})).run_timeout(timeout).max_attempts(1);
    let job = end_of(&client, &enqueue(&client, job).await).await;
    assert_eq!((job.state(), job.reason()), (JobState::Failed, StateReason::Timeout));
    let took = start.elapsed();
    assert!(took >= timeout && took < timeout + Duration::from_secs(3), "took {took:?}");
}

#[tokio::test]
async fn the_next_attempt_resumes_from_the_checkpoint() {
    let world = World::start().await;
    let client = world.client();
    let mut first = world.worker("w1", &[]).await;
    let id = enqueue(&client, demo("progress", json!({"steps": 8, "step_ms": 200}))).await;
    let checkpoint: u64 = until("a second checkpoint", PATIENCE, || async {
        let job = client.get(&id).await.unwrap();
        let step = std::str::from_utf8(&job.checkpoint).unwrap().parse().ok()?;
        (step >= 2).then_some(step)
    })
    .await;
    first.kill().await;
    let _second = world.worker("w2", &[]).await;
    let job = end_of(&client, &id).await;
    assert_eq!((job.state(), job.attempt, job.crashes), (JobState::Succeeded, 2, 1));
    assert_eq!(job.worker, "w2");
    let mut lines = client.read_logs(&id, 2, false).await.unwrap();
    let line = futures_util::StreamExt::next(&mut lines).await.unwrap().unwrap();
    let step: u64 = line.text.strip_prefix("resumes after step ").unwrap().parse().unwrap();
    assert!(step >= checkpoint, "resumed after {step}, the checkpoint was {checkpoint}");
}

#[tokio::test]
async fn a_job_that_kills_its_workers_is_given_up() {
    let world = World::start().await;
    let client = world.client();
    let id = enqueue(&client, demo("crash", json!({})).max_attempts(100)).await;
    for n in 1..=3 {
        // A supervisor starts the process again each time.
        let mut worker = world.idle_worker(&format!("w{n}"), &[]);
        worker.end(PATIENCE).await;
    }
    let job = end_of(&client, &id).await;
    assert_eq!((job.state(), job.reason()), (JobState::Failed, StateReason::Poisoned));
    assert_eq!((job.crashes, job.attempt), (3, 3));
    let _worker = world.worker("w4", &[]).await;
    let id = enqueue(&client, demo("noop", json!({}))).await;
    assert_eq!(end_of(&client, &id).await.state(), JobState::Succeeded);
}

/// A supervisor starts each worker again when it has died.
#[tokio::test]
async fn a_job_that_kills_its_workers_does_not_take_others_along() {
    let world = World::start().await;
    let client = world.client();
    let mut others = Vec::new();
    for n in 0..OTHERS {
        // From short to longer than a recovery.
        let ms = 20 + 60 * n;
        others.push(enqueue(&client, demo("sleep", json!({"ms": ms})).max_attempts(100)).await);
        if n == OTHERS / 2 {
            others.insert(0, enqueue(&client, demo("crash", json!({})).max_attempts(100)).await);
        }
    }
    let poison = others.remove(0);
    let mut fleet: Vec<_> = (0..2).map(|n| world.idle_worker(&format!("w{n}"), &[])).collect();
    let mut hired = fleet.len();
    until("all jobs are final", PATIENCE, || {
        for worker in &mut fleet {
            if worker.ended().is_some() {
                *worker = world.idle_worker(&format!("w{hired}"), &[]);
                hired += 1;
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

/// Jobs beside the one that kills its worker.
const OTHERS: u64 = 12;

#[tokio::test]
async fn work_that_must_not_run_twice_fails_with_its_worker() {
    let world = World::start().await;
    let client = world.client();
    let mut first = world.worker("w1", &[]).await;
    let job = demo("sleep", json!({"ms": 60_000})).on_lost(LostPolicy::Fail);
    let id = enqueue(&client, job).await;
    begun(&client, &id).await;
    first.kill().await;
    let job = end_of(&client, &id).await;
    assert_eq!((job.state(), job.reason()), (JobState::Failed, StateReason::WorkerLost));
}

#[tokio::test]
async fn a_handler_that_never_yields_does_not_cost_the_session() {
    let flags = ["--auto-create-queues", "--session-ttl", "1s", "--ping", "200ms"];
    let world = World::with(&flags).await;
    let client = world.client();
    let _worker = world.worker("w1", &[]).await;
    let id = enqueue(&client, demo("spin", json!({"ms": 2_500}))).await;
    let job = end_of(&client, &id).await;
    assert_eq!((job.state(), job.attempt, job.crashes), (JobState::Succeeded, 1, 0));
}
