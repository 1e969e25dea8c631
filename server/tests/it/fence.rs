//! The example of each SDK: a worker that was frozen past its lease comes back to a job that another
//! one has done, and the store of the side effect refuses it.

use rustix::process::Signal;
use sentinel_client::NewJob;
use sentinel_client::proto::jobs::v1::{AttemptOutcome, JobState, ListAttemptsRequest};
use serde_json::json;
use tokio::process::Command;

use crate::harness::{PATIENCE, Process, World, binary, end_of, enqueue, until};
use crate::languages::program::{Language, built, python, root};

async fn worker(language: Language, world: &World, instance: &str) -> Process {
    let dir = world.dir.path();
    let store = dir.join("prices");
    std::fs::create_dir_all(&store).expect("a folder");
    let mut command = match language {
        Language::Rust => Command::new(binary("examples/side_effects")),
        Language::Node => {
            let mut node = Command::new("node");
            let package = built("client-sdk/node/dist/src/index.js", "node");
            // It finds its own package by the name that users import.
            assert!(package.exists());
            node.arg(root().join("client-sdk/node/examples/side-effects.mjs"));
            node
        }
        Language::Python => {
            let mut python = python();
            python.arg(root().join("client-sdk/python/examples/side_effects.py"));
            python
        }
    };
    command.arg(world.server.url()).arg(store).arg(instance);
    let process = Process::start(command, &dir.join(format!("worker-{instance}.log")));
    world.joined(instance, 1).await;
    process
}

fn set_price(takes_ms: u64) -> NewJob {
    let payload = json!({"item": "tea", "cents": 350, "takes_ms": takes_ms});
    NewJob::new("default", "example.set_price").json(&payload).expect("a JSON value")
}

async fn a_stale_fence_is_refused(language: Language) {
    let world = World::with(&["--auto-create-queues", "--session-ttl", "6s"]).await;
    let client = world.client();
    let frozen = worker(language, &world, "a").await;
    let id = enqueue(&client, set_price(3_000)).await;
    until("the handler has begun", PATIENCE, || async {
        frozen.log().contains(&format!("begins {id}/1/1/1")).then_some(())
    })
    .await;
    frozen.signal(Signal::STOP);
    let mut other = worker(language, &world, "b").await;
    let end = end_of(&client, &id).await;
    assert_eq!((end.state(), end.attempt, end.worker.as_str()), (JobState::Succeeded, 2, "b"));
    assert!(other.log().contains(&format!("set {id}/1/2/2")), "{}", other.log());
    assert!(!frozen.log().contains("set"), "{}", frozen.log());

    frozen.signal(Signal::CONT);
    until("the store refuses the first worker", PATIENCE, || async {
        frozen.log().contains(&format!("refused {id}/1/1/1")).then_some(())
    })
    .await;
    // What it says of the lost attempt is said before it takes another job.
    other.kill().await;
    let next = end_of(&client, &enqueue(&client, set_price(0)).await).await;
    assert_eq!((next.state(), next.worker.as_str()), (JobState::Succeeded, "a"));

    let row = std::fs::read_to_string(world.dir.path().join("prices").join(&id)).expect("a row");
    assert_eq!(row, "2 tea 350");
    assert_eq!(client.get(&id).await.expect("the job"), end, "the record is as it was");
    let request = ListAttemptsRequest { id, ..Default::default() };
    let attempts = client.list_attempts(request).await.expect("attempts").attempts;
    let outcomes: Vec<AttemptOutcome> = attempts.iter().map(|attempt| attempt.outcome()).collect();
    assert_eq!(outcomes, [AttemptOutcome::Succeeded, AttemptOutcome::Lost]);
}

#[tokio::test]
async fn a_rust_worker_that_was_frozen_past_its_lease_changes_nothing() {
    a_stale_fence_is_refused(Language::Rust).await;
}

#[tokio::test]
async fn a_node_worker_that_was_frozen_past_its_lease_changes_nothing() {
    a_stale_fence_is_refused(Language::Node).await;
}

#[tokio::test]
async fn a_python_worker_that_was_frozen_past_its_lease_changes_nothing() {
    a_stale_fence_is_refused(Language::Python).await;
}
