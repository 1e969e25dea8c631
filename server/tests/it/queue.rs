//! Pausing, draining and updating queues that have jobs.

use sentinel_client::proto::admin::v1::QueueMode;
use sentinel_client::proto::jobs::v1::{Job, JobState};
use sentinel_client::{BatchOptions, Client, Error, NewJob};
use serde_json::json;

use crate::harness::{TestServer, demo_job, enqueue, sentinel, wait_state, wait_terminal};

/// Runs `sentinel queue <args> --json --server <url>` and returns the first JSON value.
async fn queue(server: &TestServer, args: &[&str]) -> serde_json::Value {
    let url = server.url();
    let all = ["queue"].iter().chain(args).copied().chain(["--json", "--server", &url]);
    sentinel(all).await.json().remove(0)
}

fn job_in_other_queue() -> NewJob {
    NewJob::new("other", "demo.noop").json(&json!({})).expect("a JSON value")
}

/// Runs a later job of another queue. The earlier jobs of the paused queue had time to start.
async fn run_in_other_queue(client: &Client) {
    let later = enqueue(client, job_in_other_queue()).await;
    assert_eq!(wait_terminal(client, &later).await.state(), JobState::Succeeded);
}

#[tokio::test]
async fn a_paused_queue_accepts_jobs_and_starts_none() {
    let mut server = TestServer::start().await;
    let client = server.client();
    let _worker = server.start_worker("w1", &["--queues", "default,other"]).await;
    let running = enqueue(&client, demo_job("sleep", json!({"ms": 60_000}))).await;
    wait_state(&client, &running, JobState::Running).await;
    let paused = queue(&server, &["pause", "default"]).await;
    assert_eq!(paused["mode"], "QUEUE_MODE_PAUSED", "{paused}");
    let held = enqueue(&client, demo_job("noop", json!({}))).await;
    run_in_other_queue(&client).await;
    let get = |id: &str| {
        let (client, id) = (client.clone(), id.to_owned());
        async move { client.get(&id).await.expect("a job") }
    };
    assert_eq!(get(&held).await.state(), JobState::Ready);
    assert_eq!(get(&running).await.state(), JobState::Running);

    server.kill().await;
    server.restart().await;
    server.wait_for_sessions("w1", 2).await;
    assert_eq!(queue(&server, &["get", "default"]).await["mode"], "QUEUE_MODE_PAUSED");
    run_in_other_queue(&client).await;
    assert_eq!(get(&held).await.state(), JobState::Ready);

    let resumed = client.resume_queue("default").await.expect("resume the queue");
    assert_eq!(resumed.mode(), QueueMode::Open);
    let finished: Job = wait_terminal(&client, &held).await;
    assert_eq!(finished.state(), JobState::Succeeded);
    client.cancel(&running, "the test is over").await.expect("cancel the job");
}

#[tokio::test]
async fn a_draining_queue_refuses_jobs_and_runs_the_existing_ones() {
    let server = TestServer::start().await;
    let client = server.client();
    let existing = enqueue(&client, demo_job("noop", json!({}))).await;
    let drained = queue(&server, &["drain", "default"]).await;
    assert_eq!(drained["mode"], "QUEUE_MODE_DRAINING", "{drained}");
    let refused = client.enqueue(demo_job("noop", json!({}))).await.expect_err("an error");
    assert!(
        matches!(&refused, Error::Api { reason, .. } if reason == "QUEUE_DRAINING"),
        "{refused}"
    );
    let batch = vec![demo_job("noop", json!({})).into_spec(), job_in_other_queue().into_spec()];
    let items = client.enqueue_batch(batch, BatchOptions::default()).await.expect("a batch");
    assert_eq!(items[0].as_ref().expect_err("an error").reason, "QUEUE_DRAINING");
    assert!(items[1].is_ok(), "{items:?}");
    let _worker = server.start_worker("w1", &[]).await;
    assert_eq!(wait_terminal(&client, &existing).await.state(), JobState::Succeeded);
    client.resume_queue("default").await.expect("resume the queue");
    let next = enqueue(&client, demo_job("noop", json!({}))).await;
    assert_eq!(wait_terminal(&client, &next).await.state(), JobState::Succeeded);
}

#[tokio::test]
async fn queue_settings_are_updated_individually() {
    let server = TestServer::start().await;
    let client = server.client();
    queue(&server, &["create", "mail", "--description", "letters"]).await;
    queue(&server, &["pause", "mail"]).await;
    let changed = queue(&server, &["update", "mail", "--order", "strict"]).await;
    let expected = ("QUEUE_ORDER_STRICT", "letters", "QUEUE_MODE_PAUSED");
    let has = |v: &serde_json::Value, (order, description, mode): (&str, &str, &str)| {
        v["order"] == order && v["description"] == description && v["mode"] == mode
    };
    assert!(has(&changed, expected), "{changed}");
    let changed = queue(&server, &["update", "mail", "--priority-boost", "5m"]).await;
    assert_eq!((&changed["priorityBoost"], has(&changed, expected)), (&json!("300s"), true));
    let update =
        sentinel_client::proto::admin::v1::Queue { name: "mail".into(), ..Default::default() };
    let refused = client.update_queue(update.clone(), &["colour"]).await.expect_err("an error");
    assert!(refused.to_string().contains("update_mask"), "{refused}");
    let all = client.update_queue(update, &[]).await.expect("update all fields");
    assert_eq!((all.description.as_str(), all.mode()), ("", QueueMode::Paused));
    let missing = client.pause_queue("missing").await.expect_err("an error for an unknown queue");
    assert!(
        matches!(&missing, Error::Api { reason, .. } if reason == "QUEUE_NOT_FOUND"),
        "{missing}"
    );
}
