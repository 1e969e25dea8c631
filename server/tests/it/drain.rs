//! Graceful shutdown of servers and workers: running jobs continue or are released, and nothing
//! hangs.

use std::time::Duration;

use rustix::process::Signal;
use sentinel_client::proto::jobs::v1::JobState;
use serde_json::json;

use crate::harness::{
    TIMEOUT, TestServer, demo_job, enqueue, sentinel, wait_handler_started, wait_state,
    wait_terminal, wait_until,
};

#[tokio::test]
async fn a_running_job_continues_while_its_server_restarts() {
    let mut server = TestServer::start().await;
    let client = server.client();
    let _worker = server.start_worker("w1", &[]).await;
    let id = enqueue(&client, demo_job("sleep", json!({"ms": 5_000}))).await;
    wait_state(&client, &id, JobState::Running).await;
    server.signal(Signal::TERM);
    let status = server.wait_exit(Duration::from_secs(10)).await;
    assert!(status.success(), "{status}");
    server.restart().await;
    let job = wait_terminal(&client, &id).await;
    assert_eq!((job.state(), job.attempt, job.crashes), (JobState::Succeeded, 1, 0));
}

#[tokio::test]
async fn an_idle_server_stops_within_five_seconds() {
    let mut server = TestServer::start().await;
    let client = server.client();
    enqueue(&client, demo_job("noop", json!({}))).await;
    server.signal(Signal::INT);
    let status = server.wait_exit(Duration::from_secs(5)).await;
    assert!(status.success(), "{status}");
}

#[tokio::test]
async fn a_draining_worker_finishes_its_jobs_and_accepts_no_more() {
    let server = TestServer::start().await;
    let client = server.client();
    let mut worker = server.start_worker("w1", &[]).await;
    let running = enqueue(&client, demo_job("sleep", json!({"ms": 1_500}))).await;
    wait_handler_started(&client, &running).await;
    worker.signal(Signal::TERM);
    wait_until("the worker drains", TIMEOUT, || async {
        worker.log().contains("draining").then_some(())
    })
    .await;
    let status = worker.wait_exit(Duration::from_secs(10)).await;
    assert!(status.success(), "{status}");
    let job = client.get(&running).await.unwrap();
    assert_eq!((job.state(), job.attempt), (JobState::Succeeded, 1));
    let later = enqueue(&client, demo_job("noop", json!({}))).await;
    assert_eq!(client.get(&later).await.unwrap().state(), JobState::Ready);
}

#[tokio::test]
async fn a_worker_releases_its_job_at_the_drain_timeout() {
    let server = TestServer::start().await;
    let client = server.client();
    let mut first = server.start_worker("w1", &["--drain-timeout", "300ms"]).await;
    let id = enqueue(&client, demo_job("sleep", json!({"ms": 60_000}))).await;
    wait_handler_started(&client, &id).await;
    let _second = server.start_worker("w2", &[]).await;
    first.signal(Signal::TERM);
    first.wait_exit(Duration::from_secs(10)).await;
    let job = wait_until("the job runs on the other worker", TIMEOUT, || async {
        let job = client.get(&id).await.ok()?;
        (job.worker == "w2").then_some(job)
    })
    .await;
    assert_eq!((job.attempt, job.crashes), (1, 0), "a release is neither an attempt nor a crash");
}

#[tokio::test]
async fn a_second_signal_stops_a_worker_immediately() {
    let server = TestServer::start().await;
    let client = server.client();
    let mut worker = server.start_worker("w1", &[]).await;
    let id = enqueue(&client, demo_job("stubborn", json!({"ms": 60_000}))).await;
    wait_handler_started(&client, &id).await;
    worker.signal(Signal::TERM);
    wait_until("the worker drains", TIMEOUT, || async {
        worker.log().contains("draining").then_some(())
    })
    .await;
    worker.signal(Signal::TERM);
    let status = worker.wait_exit(Duration::from_secs(5)).await;
    assert_eq!(status.code(), Some(130));
}

#[tokio::test]
async fn a_silent_worker_loses_its_jobs_after_the_session_ttl_and_its_report_is_fenced() {
    let flags = ["--auto-create-queues", "--session-ttl", "1s", "--ping-interval", "200ms"];
    let server = TestServer::with_flags(&flags).await;
    let client = server.client();
    let silent = server.start_worker("w1", &[]).await;
    let id = enqueue(&client, demo_job("sleep", json!({"ms": 1_500}))).await;
    wait_handler_started(&client, &id).await;
    silent.signal(Signal::STOP);
    let _second = server.start_worker("w2", &[]).await;
    let job = wait_until("the job runs on the other worker", TIMEOUT, || async {
        let job = client.get(&id).await.ok()?;
        (job.worker == "w2").then_some(job)
    })
    .await;
    assert_eq!((job.attempt, job.crashes), (2, 1));
    silent.signal(Signal::CONT);
    let job = wait_terminal(&client, &id).await;
    assert_eq!((job.state(), job.attempt, job.worker.as_str()), (JobState::Succeeded, 2, "w2"));
}

#[tokio::test]
async fn a_data_directory_is_used_by_one_server_at_a_time() {
    let server = TestServer::start().await;
    let dir = server.dir.path().join("data");
    let any = "127.0.0.1:0";
    let mut args = vec!["serve".to_owned(), "--listen".to_owned(), any.to_owned()];
    args.extend(["--ops-listen".to_owned(), any.to_owned()]);
    args.extend(["--data-dir".to_owned(), dir.display().to_string()]);
    let second = sentinel(&args).await;
    assert_ne!(second.code, 0);
    assert!(second.stderr.contains(&dir.display().to_string()), "{second:?}");
    assert!(second.stderr.contains("another"), "{second:?}");
    // The first server still serves.
    enqueue(&server.client(), demo_job("noop", json!({}))).await;
}

#[tokio::test]
async fn an_error_names_the_port_that_is_in_use() {
    let server = TestServer::start().await;
    let dir = server.dir.path().join("other");
    let dir = dir.display().to_string();
    let address = &server.address;
    let args = ["serve", "--listen", address, "--ops-listen", "127.0.0.1:0", "--data-dir", &dir];
    let second = sentinel(args).await;
    assert_ne!(second.code, 0);
    assert!(second.stderr.contains("listen") && second.stderr.contains(address), "{second:?}");
}
