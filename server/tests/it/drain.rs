//! Stops that were asked for: what runs goes on or is handed back, and nothing hangs.

use std::time::Duration;

use rustix::process::Signal;
use sentinel_client::proto::jobs::v1::JobState;
use serde_json::json;

use crate::harness::{PATIENCE, World, begun, demo, end_of, enqueue, in_state, sentinel, until};

#[tokio::test]
async fn a_stopped_server_leaves_the_running_job_to_its_worker() {
    let mut world = World::start().await;
    let client = world.client();
    let _worker = world.worker("w1", &[]).await;
    let id = enqueue(&client, demo("sleep", json!({"ms": 5_000}))).await;
    in_state(&client, &id, JobState::Running).await;
    world.server.signal(Signal::TERM);
    let status = world.server.end(Duration::from_secs(10)).await;
    assert!(status.success(), "{status}");
    world.server.restart().await;
    let job = end_of(&client, &id).await;
    assert_eq!((job.state(), job.attempt, job.crashes), (JobState::Succeeded, 1, 0));
}

#[tokio::test]
async fn an_idle_server_stops_soon() {
    let mut world = World::start().await;
    let client = world.client();
    enqueue(&client, demo("noop", json!({}))).await;
    world.server.signal(Signal::INT);
    let status = world.server.end(Duration::from_secs(5)).await;
    assert!(status.success(), "{status}");
}

#[tokio::test]
async fn a_stopped_worker_finishes_what_it_runs_and_takes_no_more() {
    let world = World::start().await;
    let client = world.client();
    let mut worker = world.worker("w1", &[]).await;
    let running = enqueue(&client, demo("sleep", json!({"ms": 1_500}))).await;
    begun(&client, &running).await;
    worker.signal(Signal::TERM);
    until("the worker drains", PATIENCE, || async {
        worker.log().contains("draining").then_some(())
    })
    .await;
    let status = worker.end(Duration::from_secs(10)).await;
    assert!(status.success(), "{status}");
    let job = client.get(&running).await.unwrap();
    assert_eq!((job.state(), job.attempt), (JobState::Succeeded, 1));
    let later = enqueue(&client, demo("noop", json!({}))).await;
    assert_eq!(client.get(&later).await.unwrap().state(), JobState::Ready);
}

#[tokio::test]
async fn a_worker_that_runs_out_of_patience_hands_its_job_back() {
    let world = World::start().await;
    let client = world.client();
    let mut first = world.worker("w1", &["--drain-timeout", "300ms"]).await;
    let id = enqueue(&client, demo("sleep", json!({"ms": 60_000}))).await;
    begun(&client, &id).await;
    let _second = world.worker("w2", &[]).await;
    first.signal(Signal::TERM);
    first.end(Duration::from_secs(10)).await;
    let job = until("the job runs elsewhere", PATIENCE, || async {
        let job = client.get(&id).await.ok()?;
        (job.worker == "w2").then_some(job)
    })
    .await;
    assert_eq!((job.attempt, job.crashes), (1, 0), "neither an attempt nor a crash");
}

#[tokio::test]
async fn a_second_signal_stops_a_worker_at_once() {
    let world = World::start().await;
    let client = world.client();
    let mut worker = world.worker("w1", &[]).await;
    let id = enqueue(&client, demo("stubborn", json!({"ms": 60_000}))).await;
    begun(&client, &id).await;
    worker.signal(Signal::TERM);
    until("the worker drains", PATIENCE, || async {
        worker.log().contains("draining").then_some(())
    })
    .await;
    worker.signal(Signal::TERM);
    let status = worker.end(Duration::from_secs(5)).await;
    assert_eq!(status.code(), Some(130));
}

#[tokio::test]
async fn a_silent_worker_loses_its_jobs_after_the_ttl_and_its_report_counts_for_nothing() {
    let flags = ["--auto-create-queues", "--session-ttl", "1s", "--ping", "200ms"];
    let world = World::with(&flags).await;
    let client = world.client();
    let silent = world.worker("w1", &[]).await;
    let id = enqueue(&client, demo("sleep", json!({"ms": 1_500}))).await;
    begun(&client, &id).await;
    silent.signal(Signal::STOP);
    let _second = world.worker("w2", &[]).await;
    let job = until("the job runs elsewhere", PATIENCE, || async {
        let job = client.get(&id).await.ok()?;
        (job.worker == "w2").then_some(job)
    })
    .await;
    assert_eq!((job.attempt, job.crashes), (2, 1));
    silent.signal(Signal::CONT);
    let job = end_of(&client, &id).await;
    assert_eq!((job.state(), job.attempt, job.worker.as_str()), (JobState::Succeeded, 2, "w2"));
}

#[tokio::test]
async fn one_directory_takes_one_server() {
    let world = World::start().await;
    let dir = world.dir.path().join("data");
    let any = "127.0.0.1:0";
    let mut args = vec!["serve".to_owned(), "--listen".to_owned(), any.to_owned()];
    args.extend(["--ops-listen".to_owned(), any.to_owned()]);
    args.extend(["--data-dir".to_owned(), dir.display().to_string()]);
    let second = sentinel(&args).await;
    assert_ne!(second.code, 0);
    assert!(second.err.contains(&dir.display().to_string()), "{second:?}");
    assert!(second.err.contains("another"), "{second:?}");
    // The first one was not disturbed.
    enqueue(&world.client(), demo("noop", json!({}))).await;
}

#[tokio::test]
async fn a_port_that_is_taken_is_named() {
    let world = World::start().await;
    let dir = world.dir.path().join("other");
    let dir = dir.display().to_string();
    let address = &world.server.address;
    let args = ["serve", "--listen", address, "--ops-listen", "127.0.0.1:0", "--data-dir", &dir];
    let second = sentinel(args).await;
    assert_ne!(second.code, 0);
    assert!(second.err.contains("listen") && second.err.contains(address), "{second:?}");
}
