//! `process.exec`: programs, their ends, and that nothing of them stays behind.

use std::path::Path;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use sentinel_client::proto::jobs::v1::{Job, JobState, LostPolicy};
use sentinel_client::{Client, NewJob};
use serde_json::{Value, json};

use super::{failure, failure_of, job, log_of, log_with, result_of};
use crate::harness::{PATIENCE, Worker, World, demo, end_of, enqueue, until};

/// A shell script as the argument of the program that these workers allow.
fn script(text: &str, more: Value) -> NewJob {
    let mut payload = json!({"program": "sh", "args": ["-c", text, "sh", "one two", "*"]});
    let payload_fields = payload.as_object_mut().expect("an object");
    payload_fields.extend(more.as_object().expect("an object").clone());
    job("process.exec", &payload, 2)
}

/// Two processes that ignore SIGTERM, one of them in a session of its own.
const STUBBORN: &str = r#"trap "" TERM
setsid sh -c 'trap "" TERM; sleep 1000; :' &
sh -c 'sleep 1000; :' &
echo ready; wait; wait; wait"#;
/// Shells and sleeps of it.
const STUBBORN_PROCESSES: usize = 5;

async fn world() -> (World, Worker, Client) {
    let world = World::start().await;
    let flags = ["--allow-program", "sh=/bin/sh", "--allow-env", "MODE"];
    let worker = world.worker("w1", &flags).await;
    let client = world.client();
    (world, worker, client)
}

/// Processes that began as part of this job, wherever they are now.
fn processes_of(id: &str) -> Vec<i32> {
    let mark = format!("SENTINEL_JOB={id}");
    let has_mark = |pid: &i32| {
        let environment = std::fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
        environment.split(|byte| *byte == 0).any(|variable| variable == mark.as_bytes())
    };
    let processes = std::fs::read_dir("/proc").expect("/proc");
    let pids = processes.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
    pids.filter(has_mark).collect()
}

async fn runs(id: &str, processes: usize) {
    until(&format!("{processes} processes run"), PATIENCE, || async {
        (processes_of(id).len() >= processes).then_some(())
    })
    .await;
}

async fn is_gone(id: &str) {
    until("no process is left", PATIENCE, || async { processes_of(id).is_empty().then_some(()) })
        .await;
}

async fn folder_is_gone(folder: &str) {
    assert!(folder.contains("sentinel-exec-"), "{folder}");
    until("the folder is removed", PATIENCE, || async {
        (!Path::new(folder).exists()).then_some(())
    })
    .await;
}

/// The first line that the program logged: its folder.
async fn folder_of(client: &Client, id: &str) -> String {
    until("the program tells its folder", PATIENCE, || async {
        log_of(client, id).await.remove(&1)?.into_iter().next()
    })
    .await
}

#[tokio::test]
async fn a_program_gets_its_input_and_its_output_is_kept() {
    let (_world, _worker, client) = world().await;
    let text = r#"cat; echo "$1|$2|$MODE|$SENTINEL_ATTEMPT"; pwd; touch here; ls; echo oops >&2"#;
    let id = enqueue(&client, script(text, json!({"stdin": "in\n", "env": {"MODE": "m"}}))).await;
    let job = end_of(&client, &id).await;
    assert_eq!(job.state(), JobState::Succeeded, "{:?}", job.error);
    let result: Value = serde_json::from_slice(&job.result).expect("JSON");
    assert_eq!((&result["exit_code"], &result["truncated"]), (&json!(0), &json!(false)));
    let mut lines: Vec<&str> = result["stdout"].as_str().expect("text").lines().collect();
    assert_eq!(lines[..2], ["in", &format!("one two|*|m|{id}/1/1")]);
    assert_eq!(lines[3..], ["here"]);
    folder_is_gone(lines[2]).await;
    lines.push("oops");
    log_with(&client, &id, &lines).await;
    // Nothing of the worker's own surroundings.
    let result = result_of(&client, script("env | cut -d= -f1 | sort", json!({}))).await;
    let expected = "HOME\nLANG\nPATH\nPWD\nSENTINEL_ATTEMPT\nSENTINEL_FENCE\nSENTINEL_JOB\nTMPDIR";
    assert_eq!(result["stdout"].as_str().map(str::trim), Some(expected));
    // Input and output of any size, and the output is read to its end.
    let big = "x".repeat(500_000);
    let result = result_of(&client, script("cat; cat", json!({"stdin": big}))).await;
    assert_eq!(
        (&result["truncated"], result["stdout"].as_str().map(str::len)),
        (&json!(true), Some(65_536))
    );
}

#[tokio::test]
async fn the_exit_code_decides_about_the_next_attempt() {
    let (_world, _worker, client) = world().await;
    for (text, code, attempts) in [
        ("echo why >&2; exit 3", "EXIT_3", 2),
        ("exit 64", "EXIT_64", 1),
        ("exec /does/not/exist", "EXIT_127", 1),
        ("kill -9 $$", "SIGNAL_9", 2),
    ] {
        let (error, made) = failure_of(&client, script(text, json!({}))).await;
        assert_eq!((error.code.as_str(), made), (code, attempts), "{}", error.message);
        assert!(attempts == 1 || code != "EXIT_3" || error.message.contains("exit code 3: why"));
    }
    let listed = script("exit 64", json!({"retry_codes": [64]}));
    assert_eq!(failure_of(&client, listed).await.1, 2);
    let slow = json!({"timeout_ms": 200, "grace_ms": 100});
    let (error, made) = failure_of(&client, script("sleep 1000", slow)).await;
    assert_eq!((error.code.as_str(), made), ("EXEC_TIMEOUT", 2), "{}", error.message);
    for (payload, text) in [
        (
            json!({"program": "rm"}),
            "payload.program: expected a program of this worker (sh), found \"rm\"",
        ),
        (
            json!({"program": "sh", "grace_ms": -1}),
            "payload.grace_ms: expected a whole number 0..60000, found -1",
        ),
    ] {
        let (error, made) = failure_of(&client, job("process.exec", &payload, 2)).await;
        assert_eq!((error.code.as_str(), made), ("BAD_PAYLOAD", 1));
        assert_eq!(error.message, text);
    }
}

#[tokio::test]
async fn a_cancel_ends_the_group_and_what_left_it() {
    let (_world, _worker, client) = world().await;
    let text = format!("pwd; {STUBBORN}");
    let job = script(&text, json!({"grace_ms": 300})).cancel_grace(Duration::from_secs(3600));
    let id = enqueue(&client, job).await;
    runs(&id, STUBBORN_PROCESSES).await;
    let folder = folder_of(&client, &id).await;
    client.cancel(&id, "").await.expect("cancel");
    assert_eq!(end_of(&client, &id).await.state(), JobState::Cancelled);
    // Not only soon: the report is made after the end of all of them.
    assert_eq!(processes_of(&id), [0_i32; 0]);
    folder_is_gone(&folder).await;
    // A program that listens gets to the end of its grace and no further.
    let polite = "trap 'echo bye; exit 0' TERM; echo ready; while :; do sleep 0.05; done";
    let job = script(polite, json!({"grace_ms": 60_000})).cancel_grace(Duration::from_secs(3600));
    let id = enqueue(&client, job).await;
    assert_eq!(folder_of(&client, &id).await, "ready");
    client.cancel(&id, "").await.expect("cancel");
    assert_eq!(end_of(&client, &id).await.state(), JobState::Succeeded);
    log_with(&client, &id, &["bye"]).await;
}

#[tokio::test]
async fn a_program_that_ends_leaves_nothing_behind() {
    let (_world, _worker, client) = world().await;
    let text = "setsid sleep 1000 & sleep 1000 & setsid sh -c 'sleep 1000 & exit' ; echo done";
    let id = enqueue(&client, script(text, json!({}))).await;
    assert_eq!(end_of(&client, &id).await.state(), JobState::Succeeded);
    assert_eq!(processes_of(&id), [0_i32; 0]);
}

#[tokio::test]
async fn a_killed_worker_leaves_no_orphan() {
    let (world, mut worker, client) = world().await;
    let text = format!("pwd; {STUBBORN}");
    let id = enqueue(&client, script(&text, json!({})).on_lost(LostPolicy::Fail)).await;
    runs(&id, STUBBORN_PROCESSES).await;
    let folder = folder_of(&client, &id).await;
    worker.kill().await;
    is_gone(&id).await;
    folder_is_gone(&folder).await;
    let lost: Job = end_of(&client, &id).await;
    assert_eq!(lost.state(), JobState::Failed);
    // A worker that comes back has no trace of it to stumble over.
    let _worker = world.worker("w2", &["--allow-program", "sh=/bin/sh"]).await;
    let id = enqueue(&client, demo("noop", json!({}))).await;
    assert_eq!(end_of(&client, &id).await.state(), JobState::Succeeded);
}

#[tokio::test]
async fn a_killed_guard_takes_its_program_along() {
    let (_world, _worker, client) = world().await;
    let job = script("exec sleep 1000", json!({})).max_attempts(1);
    let id = enqueue(&client, job).await;
    let guard = until("the program runs", PATIENCE, || async {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", processes_of(&id).first()?));
        let (name, rest) =
            stat.ok()?.rsplit_once(')').map(|(a, b)| (a.to_owned(), b.to_owned()))?;
        // Its parent is the guard from the start; before it, the guard's child is another program.
        name.ends_with("(sleep").then(|| rest.split_whitespace().nth(1)?.parse().ok())?
    })
    .await;
    kill_process(Pid::from_raw(guard).expect("a process"), Signal::KILL).expect("a guard");
    is_gone(&id).await;
    let (error, _) = failure(end_of(&client, &id).await);
    assert_eq!(error.code, "EXEC_FAILED", "{}", error.message);
}
