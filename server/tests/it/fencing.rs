//! The fencing example of each SDK: a worker is frozen beyond the end of its lease and resumes
//! after another worker has finished the job. The store of the side effect refuses its write.

use rustix::process::Signal;
use sentinel_client::NewJob;
use sentinel_client::proto::jobs::v1::{AttemptOutcome, JobState, ListAttemptsRequest};
use serde_json::json;
use tokio::process::Command;

use crate::harness::{
    Process, TIMEOUT, TestServer, binary, enqueue, wait_handler_started, wait_terminal, wait_until,
};
use crate::languages::program::{Language, built, python, root};

async fn start_worker(language: Language, server: &TestServer, instance: &str) -> Process {
    let dir = server.dir.path();
    let store = dir.join("prices");
    std::fs::create_dir_all(&store).expect("a directory");
    let mut command = match language {
        Language::Rust => Command::new(binary("examples/side_effects")),
        Language::Node => {
            let mut node = Command::new("node");
            let package = built("client-sdk/node/dist/src/index.js", "node");
            // The example imports the package by its public name.
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
    command.arg(server.url()).arg(store).arg(instance);
    let process = Process::start(command, &dir.join(format!("worker-{instance}.log")));
    server.wait_for_sessions(instance, 1).await;
    process
}

fn set_price(takes_ms: u64) -> NewJob {
    let payload = json!({"item": "tea", "cents": 350, "takes_ms": takes_ms});
    NewJob::new("default", "example.set_price").json(&payload).expect("a JSON value")
}

async fn stale_fence_is_refused(language: Language) {
    let server = TestServer::with_flags(&["--auto-create-queues", "--session-ttl", "6s"]).await;
    let client = server.client();
    let frozen = start_worker(language, &server, "a").await;
    let id = enqueue(&client, set_price(3_000)).await;
    // The session sends the receipt of an assignment before the progress of its job. Without the
    // receipt, the server would release the assignment and the attempt would not count.
    wait_handler_started(&client, &id).await;
    assert!(frozen.log().contains(&format!("started {id}/1/1/1")), "{}", frozen.log());
    frozen.signal(Signal::STOP);
    let mut other = start_worker(language, &server, "b").await;
    let finished = wait_terminal(&client, &id).await;
    assert_eq!(
        (finished.state(), finished.attempt, finished.worker.as_str()),
        (JobState::Succeeded, 2, "b")
    );
    assert!(other.log().contains(&format!("set {id}/1/2/2")), "{}", other.log());
    assert!(!frozen.log().contains("set"), "{}", frozen.log());

    frozen.signal(Signal::CONT);
    wait_until("the store refuses the first worker", TIMEOUT, || async {
        frozen.log().contains(&format!("refused {id}/1/1/1")).then_some(())
    })
    .await;
    // The worker reports the lost attempt before it accepts another job.
    other.kill().await;
    let next = wait_terminal(&client, &enqueue(&client, set_price(0)).await).await;
    assert_eq!((next.state(), next.worker.as_str()), (JobState::Succeeded, "a"));

    let row = std::fs::read_to_string(server.dir.path().join("prices").join(&id)).expect("a row");
    assert_eq!(row, "2 tea 350");
    assert_eq!(
        client.get(&id).await.expect("an existing job"),
        finished,
        "the stale attempt must not change the job"
    );
    let request = ListAttemptsRequest { id, ..Default::default() };
    let attempts = client.list_attempts_page(request).await.expect("attempts").attempts;
    let outcomes: Vec<AttemptOutcome> = attempts.iter().map(|attempt| attempt.outcome()).collect();
    assert_eq!(outcomes, [AttemptOutcome::Succeeded, AttemptOutcome::Lost]);
}

#[tokio::test]
async fn a_rust_worker_frozen_beyond_its_lease_changes_nothing() {
    stale_fence_is_refused(Language::Rust).await;
}

#[tokio::test]
async fn a_node_worker_frozen_beyond_its_lease_changes_nothing() {
    stale_fence_is_refused(Language::Node).await;
}

#[tokio::test]
async fn a_python_worker_frozen_beyond_its_lease_changes_nothing() {
    stale_fence_is_refused(Language::Python).await;
}
