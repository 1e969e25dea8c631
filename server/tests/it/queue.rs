//! Queues that are paused, drained and changed while there is work.

use sentinel_client::proto::admin::v1::QueueMode;
use sentinel_client::proto::jobs::v1::{Job, JobState};
use sentinel_client::{BatchOptions, Client, Error, NewJob};
use serde_json::json;

use crate::harness::{World, demo, end_of, enqueue, in_state, sentinel};

/// `sentinel queue <args> --json --server <world>`.
async fn queue(world: &World, args: &[&str]) -> serde_json::Value {
    let url = world.server.url();
    let all = ["queue"].iter().chain(args).copied().chain(["--json", "--server", &url]);
    sentinel(all).await.json().remove(0)
}

fn elsewhere() -> NewJob {
    NewJob::new("other", "demo.noop").json(&json!({})).expect("a JSON value")
}

/// Runs a job of another queue that was enqueued after those that must not start.
async fn another_runs(client: &Client) {
    let later = enqueue(client, elsewhere()).await;
    assert_eq!(end_of(client, &later).await.state(), JobState::Succeeded);
}

#[tokio::test]
async fn a_paused_queue_takes_jobs_and_starts_none() {
    let mut world = World::start().await;
    let client = world.client();
    let _worker = world.worker("w1", &["--queues", "default,other"]).await;
    let running = enqueue(&client, demo("sleep", json!({"ms": 60_000}))).await;
    in_state(&client, &running, JobState::Running).await;
    let paused = queue(&world, &["pause", "default"]).await;
    assert_eq!(paused["mode"], "QUEUE_MODE_PAUSED", "{paused}");
    let held = enqueue(&client, demo("noop", json!({}))).await;
    another_runs(&client).await;
    let of = |id: &str| {
        let (client, id) = (client.clone(), id.to_owned());
        async move { client.get(&id).await.expect("a job") }
    };
    assert_eq!(of(&held).await.state(), JobState::Ready);
    assert_eq!(of(&running).await.state(), JobState::Running);

    world.server.kill().await;
    world.server.restart().await;
    world.joined("w1", 2).await;
    assert_eq!(queue(&world, &["get", "default"]).await["mode"], "QUEUE_MODE_PAUSED");
    another_runs(&client).await;
    assert_eq!(of(&held).await.state(), JobState::Ready);

    let resumed = client.resume_queue("default").await.expect("resumes");
    assert_eq!(resumed.mode(), QueueMode::Open);
    let ended: Job = end_of(&client, &held).await;
    assert_eq!(ended.state(), JobState::Succeeded);
    client.cancel(&running, "the test is over").await.expect("cancels");
}

#[tokio::test]
async fn a_draining_queue_takes_no_jobs_and_runs_what_it_has() {
    let world = World::start().await;
    let client = world.client();
    let there = enqueue(&client, demo("noop", json!({}))).await;
    let drained = queue(&world, &["drain", "default"]).await;
    assert_eq!(drained["mode"], "QUEUE_MODE_DRAINING", "{drained}");
    let refused = client.enqueue(demo("noop", json!({}))).await.expect_err("is refused");
    assert!(
        matches!(&refused, Error::Api { reason, .. } if reason == "QUEUE_DRAINING"),
        "{refused}"
    );
    let batch = vec![demo("noop", json!({})).into_spec(), elsewhere().into_spec()];
    let items = client.enqueue_batch(batch, BatchOptions::default()).await.expect("a batch");
    assert_eq!(items[0].as_ref().expect_err("is refused").reason, "QUEUE_DRAINING");
    assert!(items[1].is_ok(), "{items:?}");
    let _worker = world.worker("w1", &[]).await;
    assert_eq!(end_of(&client, &there).await.state(), JobState::Succeeded);
    client.resume_queue("default").await.expect("resumes");
    let next = enqueue(&client, demo("noop", json!({}))).await;
    assert_eq!(end_of(&client, &next).await.state(), JobState::Succeeded);
}

#[tokio::test]
async fn settings_change_one_by_one() {
    let world = World::start().await;
    let client = world.client();
    queue(&world, &["create", "mail", "--description", "letters"]).await;
    queue(&world, &["pause", "mail"]).await;
    let changed = queue(&world, &["update", "mail", "--order", "strict"]).await;
    let expected = ("QUEUE_ORDER_STRICT", "letters", "QUEUE_MODE_PAUSED");
    let is = |v: &serde_json::Value, (order, description, mode): (&str, &str, &str)| {
        v["order"] == order && v["description"] == description && v["mode"] == mode
    };
    assert!(is(&changed, expected), "{changed}");
    let changed = queue(&world, &["update", "mail", "--priority-boost", "5m"]).await;
    assert_eq!((&changed["priorityBoost"], is(&changed, expected)), (&json!("300s"), true));
    let odd =
        sentinel_client::proto::admin::v1::Queue { name: "mail".into(), ..Default::default() };
    let refused = client.update_queue(odd.clone(), &["colour"]).await.expect_err("is refused");
    assert!(refused.to_string().contains("update_mask"), "{refused}");
    let all = client.update_queue(odd, &[]).await.expect("all at once");
    assert_eq!((all.description.as_str(), all.mode()), ("", QueueMode::Paused));
    let nobody = client.pause_queue("nobody").await.expect_err("is not there");
    assert!(
        matches!(&nobody, Error::Api { reason, .. } if reason == "QUEUE_NOT_FOUND"),
        "{nobody}"
    );
}
