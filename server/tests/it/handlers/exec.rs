//! `process.exec`: runs programs, maps their exit codes and leaves no processes or files behind.

use std::path::Path;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use sentinel_client::proto::jobs::v1::{Job, JobState, LostPolicy};
use sentinel_client::{Client, NewJob};
use serde_json::{Value, json};

use super::{failure, failure_of, job, log_of, log_with, result_of};
use crate::harness::{
    TIMEOUT, TestServer, WorkerProcess, demo_job, enqueue, wait_terminal, wait_until,
};

/// Returns a job that runs a shell script with the allowed program `sh`.
fn script(text: &str, more: Value) -> NewJob {
    let mut payload = json!({"program": "sh", "args": ["-c", text, "sh", "one two", "*"]});
    let payload_fields = payload.as_object_mut().expect("an object");
    payload_fields.extend(more.as_object().expect("an object").clone());
    job("process.exec", &payload, 2)
}

/// Two processes that ignore SIGTERM, one of them in its own process session.
const STUBBORN: &str = r#"trap "" TERM
setsid sh -c 'trap "" TERM; sleep 1000; :' &
sh -c 'sleep 1000; :' &
echo ready; wait; wait; wait"#;
/// The number of its shell and sleep processes.
const STUBBORN_PROCESSES: usize = 5;

async fn start() -> (TestServer, WorkerProcess, Client) {
    let server = TestServer::start().await;
    let flags = ["--allow-program", "sh=/bin/sh", "--allow-env", "MODE"];
    let worker = server.start_worker("w1", &flags).await;
    let client = server.client();
    (server, worker, client)
}

/// Returns the processes that this job started, identified by their environment.
fn processes_of(id: &str) -> Vec<i32> {
    let variable_of_job = format!("SENTINEL_JOB={id}");
    let belongs_to_job = |pid: &i32| {
        let environment = std::fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
        environment.split(|byte| *byte == 0).any(|variable| variable == variable_of_job.as_bytes())
    };
    let processes = std::fs::read_dir("/proc").expect("/proc");
    let pids = processes.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
    pids.filter(belongs_to_job).collect()
}

async fn wait_processes(id: &str, processes: usize) {
    wait_until(&format!("{processes} processes run"), TIMEOUT, || async {
        (processes_of(id).len() >= processes).then_some(())
    })
    .await;
}

async fn wait_no_processes(id: &str) {
    wait_until("no process is left", TIMEOUT, || async {
        processes_of(id).is_empty().then_some(())
    })
    .await;
}

async fn wait_dir_removed(dir: &str) {
    assert!(dir.contains("sentinel-exec-"), "{dir}");
    wait_until("the working directory is removed", TIMEOUT, || async {
        (!Path::new(dir).exists()).then_some(())
    })
    .await;
}

/// Returns the first line of the log.
async fn first_log_line(client: &Client, id: &str) -> String {
    wait_until("the program logs a line", TIMEOUT, || async {
        log_of(client, id).await.remove(&1)?.into_iter().next()
    })
    .await
}

#[tokio::test]
async fn a_program_gets_its_input_and_its_output_is_stored() {
    let (_server, _worker, client) = start().await;
    let text = r#"cat; echo "$1|$2|$MODE|$SENTINEL_ATTEMPT"; pwd; touch here; ls; echo oops >&2"#;
    let id = enqueue(&client, script(text, json!({"stdin": "in\n", "env": {"MODE": "m"}}))).await;
    let job = wait_terminal(&client, &id).await;
    assert_eq!(job.state(), JobState::Succeeded, "{:?}", job.error);
    let result: Value = serde_json::from_slice(&job.result).expect("JSON");
    assert_eq!((&result["exit_code"], &result["truncated"]), (&json!(0), &json!(false)));
    let mut lines: Vec<&str> = result["stdout"].as_str().expect("text").lines().collect();
    assert_eq!(lines[..2], ["in", &format!("one two|*|m|{id}/1/1")]);
    assert_eq!(lines[3..], ["here"]);
    wait_dir_removed(lines[2]).await;
    lines.push("oops");
    log_with(&client, &id, &lines).await;
    // No other variables of the worker's environment.
    let result = result_of(&client, script("env | cut -d= -f1 | sort", json!({}))).await;
    let expected = "HOME\nLANG\nPATH\nPWD\nSENTINEL_ATTEMPT\nSENTINEL_FENCE\nSENTINEL_JOB\nTMPDIR";
    assert_eq!(result["stdout"].as_str().map(str::trim), Some(expected));
    // Large input and output: the output is read to its end and truncated.
    let big = "x".repeat(500_000);
    let result = result_of(&client, script("cat; cat", json!({"stdin": big}))).await;
    assert_eq!(
        (&result["truncated"], result["stdout"].as_str().map(str::len)),
        (&json!(true), Some(65_536))
    );
}

#[tokio::test]
async fn the_exit_code_determines_whether_to_retry() {
    let (_server, _worker, client) = start().await;
    for (text, code, attempts) in [
        ("echo why >&2; exit 3", "EXIT_3", 2),
        ("exit 64", "EXIT_64", 1),
        ("exec /does/not/exist", "EXIT_127", 1),
        ("kill -9 $$", "SIGNAL_9", 2),
    ] {
        let (error, attempts_made) = failure_of(&client, script(text, json!({}))).await;
        assert_eq!((error.code.as_str(), attempts_made), (code, attempts), "{}", error.message);
        assert!(attempts == 1 || code != "EXIT_3" || error.message.contains("exit code 3: why"));
    }
    let listed = script("exit 64", json!({"retry_codes": [64]}));
    assert_eq!(failure_of(&client, listed).await.1, 2);
    let slow = json!({"timeout_ms": 200, "grace_ms": 100});
    let (error, attempts_made) = failure_of(&client, script("sleep 1000", slow)).await;
    assert_eq!((error.code.as_str(), attempts_made), ("EXEC_TIMEOUT", 2), "{}", error.message);
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
        let (error, attempts_made) = failure_of(&client, job("process.exec", &payload, 2)).await;
        assert_eq!((error.code.as_str(), attempts_made), ("BAD_PAYLOAD", 1));
        assert_eq!(error.message, text);
    }
}

#[tokio::test]
async fn a_cancel_stops_the_process_group_and_detached_processes() {
    let (_server, _worker, client) = start().await;
    let text = format!("pwd; {STUBBORN}");
    let job = script(&text, json!({"grace_ms": 300})).cancel_grace(Duration::from_secs(3600));
    let id = enqueue(&client, job).await;
    wait_processes(&id, STUBBORN_PROCESSES).await;
    let dir = first_log_line(&client, &id).await;
    client.cancel(&id, "").await.expect("cancel the job");
    assert_eq!(wait_terminal(&client, &id).await.state(), JobState::Cancelled);
    // Immediately: the worker reports after all processes have exited.
    assert_eq!(processes_of(&id), [0_i32; 0]);
    wait_dir_removed(&dir).await;
    // A program that handles SIGTERM can finish within its grace period.
    let graceful = "trap 'echo bye; exit 0' TERM; echo ready; while :; do sleep 0.05; done";
    let job = script(graceful, json!({"grace_ms": 60_000})).cancel_grace(Duration::from_secs(3600));
    let id = enqueue(&client, job).await;
    assert_eq!(first_log_line(&client, &id).await, "ready");
    client.cancel(&id, "").await.expect("cancel the job");
    assert_eq!(wait_terminal(&client, &id).await.state(), JobState::Succeeded);
    log_with(&client, &id, &["bye"]).await;
}

#[tokio::test]
async fn a_finished_program_leaves_no_processes() {
    let (_server, _worker, client) = start().await;
    let text = "setsid sleep 1000 & sleep 1000 & setsid sh -c 'sleep 1000 & exit' ; echo done";
    let id = enqueue(&client, script(text, json!({}))).await;
    assert_eq!(wait_terminal(&client, &id).await.state(), JobState::Succeeded);
    assert_eq!(processes_of(&id), [0_i32; 0]);
}

#[tokio::test]
async fn a_killed_worker_leaves_no_orphans() {
    let (server, mut worker, client) = start().await;
    let text = format!("pwd; {STUBBORN}");
    let id = enqueue(&client, script(&text, json!({})).on_lost(LostPolicy::Fail)).await;
    wait_processes(&id, STUBBORN_PROCESSES).await;
    let dir = first_log_line(&client, &id).await;
    worker.kill().await;
    wait_no_processes(&id).await;
    wait_dir_removed(&dir).await;
    let job: Job = wait_terminal(&client, &id).await;
    assert_eq!(job.state(), JobState::Failed);
    // A new worker starts without leftovers of the killed one.
    let _worker = server.start_worker("w2", &["--allow-program", "sh=/bin/sh"]).await;
    let id = enqueue(&client, demo_job("noop", json!({}))).await;
    assert_eq!(wait_terminal(&client, &id).await.state(), JobState::Succeeded);
}

#[tokio::test]
async fn killing_the_supervisor_kills_its_program() {
    let (_server, _worker, client) = start().await;
    let job = script("exec sleep 1000", json!({})).max_attempts(1);
    let id = enqueue(&client, job).await;
    let supervisor_pid = wait_until("the program runs", TIMEOUT, || async {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", processes_of(&id).first()?));
        let (name, rest) =
            stat.ok()?.rsplit_once(')').map(|(a, b)| (a.to_owned(), b.to_owned()))?;
        // Wait for `sleep`, whose parent is the supervisor; the supervisor first starts another
        // program.
        name.ends_with("(sleep").then(|| rest.split_whitespace().nth(1)?.parse().ok())?
    })
    .await;
    kill_process(Pid::from_raw(supervisor_pid).expect("a process"), Signal::KILL)
        .expect("kill the supervisor");
    wait_no_processes(&id).await;
    let (error, _) = failure(wait_terminal(&client, &id).await);
    assert_eq!(error.code, "EXEC_FAILED", "{}", error.message);
}
