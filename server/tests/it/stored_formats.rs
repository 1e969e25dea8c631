//! The current binary opens data of every released format: every job is unchanged and can finish.
//!
//! A fixture is `server/tests/fixtures/v<N>`: the files of a data directory with jobs in every
//! state, the manifest of a backup, and `expected.json`, the output of `sentinel job get --json`
//! for each job. When a format changes, increment `FORMATS` and run this test once with
//! `SENTINEL_UPDATE=1` on the last commit that writes the old format. Existing fixtures are never
//! overwritten.

use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::process::Signal;
use sentinel_client::proto::jobs::v1::{JobFilter, JobSpec, JobState, JobView, Unique};
use sentinel_client::{Client, NewJob, is_terminal};
use serde_json::{Value, json};

use crate::harness::{
    TIMEOUT, TestServer, demo_job, enqueue, sentinel, wait_state, wait_terminal, wait_until,
};

/// The number of released formats, each with a fixture.
const FORMATS: u32 = 1;

/// A long session TTL keeps the lease of a running job during the test.
const FLAGS: [&str; 3] = ["--auto-create-queues", "--session-ttl", "10m"];

fn fixture(format: u32) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/fixtures/v{format}"))
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).expect("a directory");
    for entry in std::fs::read_dir(from).expect("a fixture") {
        let entry = entry.expect("read a directory entry");
        let to = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy(&entry.path(), &to);
        } else {
            std::fs::copy(entry.path(), to).expect("copy a file");
        }
    }
}

async fn get_job(server: &TestServer, id: &str) -> Value {
    let output = sentinel(["job", "get", id, "--json", "--server", &server.url()]).await;
    assert_eq!(output.code, 0, "{id}: {}", output.stderr);
    let mut job: Value = serde_json::from_str(&output.stdout).expect("a job");
    if job["state"] == "JOB_STATE_RUNNING" {
        // The last second of progress may be lost.
        job.as_object_mut().expect("an object").remove("progress");
    }
    job
}

/// Creates the jobs of one part of a fixture, in every state except RUNNING; returns their ids.
pub(crate) async fn populate(client: &Client, file: &Path, part: &str) -> Vec<String> {
    let labelled = |job: NewJob| job.label("part", part).label("shop", "s1");
    let mut ids = vec![
        enqueue(client, labelled(demo_job("echo", json!({"part": part})))).await,
        enqueue(client, labelled(demo_job("echo", json!({"large": "x".repeat(1_100)})))).await,
        enqueue(client, demo_job("progress", json!({"steps": 3, "step_ms": 1}))).await,
        enqueue(client, demo_job("fail", json!({"times": 1})).max_attempts(1)).await,
        enqueue(client, demo_job("fail", json!({"retryable": false, "message": part}))).await,
        enqueue(client, demo_job("effect", json!({"file": file, "ms": 1}))).await,
    ];
    for id in &ids {
        wait_terminal(client, id).await;
    }
    let retried = ids[3].clone();
    client.retry(&retried).await.expect("retry the job");
    wait_terminal(client, &retried).await;
    let far = Duration::from_secs(365 * 86_400);
    let scheduled = enqueue(client, labelled(demo_job("noop", json!({})).delay(far))).await;
    let mut unique: JobSpec = demo_job("noop", json!({})).into();
    let ttl = prost_types::Duration { seconds: 86_400, nanos: 0 };
    unique.unique = Some(Unique { key: part.to_owned(), ttl: Some(ttl), ..Unique::default() });
    unique.queue = "idle".to_owned();
    let cancelled = client.enqueue(unique).await.expect("enqueue a job").job.id;
    client.cancel(&cancelled, "not needed").await.expect("cancel the job");
    let mut late: JobSpec = demo_job("noop", json!({})).into();
    late.queue = "idle".to_owned();
    let ready = client.enqueue(late.clone()).await.expect("enqueue a job").job.id;
    let soon = Duration::from_millis(200);
    #[expect(clippy::disallowed_methods, reason = "a deadline is a wall clock time")]
    let deadline = std::time::SystemTime::now() + soon;
    late.start_deadline = Some(deadline.into());
    let expired = client.enqueue(late).await.expect("enqueue a job").job.id;
    wait_state(client, &expired, JobState::Expired).await;
    let blocked = enqueue(client, demo_job("noop", json!({})).depends_on(&scheduled)).await;
    ids.extend([scheduled, cancelled, ready, expired, blocked]);
    ids
}

/// Takes a backup and returns its manifest.
async fn backup(server: &TestServer, dest: &Path) -> Value {
    let data = server.data_dir();
    let args =
        ["backup", "--data-dir", data.to_str().expect("UTF-8"), dest.to_str().expect("UTF-8")];
    let output = sentinel(args).await;
    assert_eq!(output.code, 0, "{}", output.stderr);
    let text = std::fs::read(dest.join("backup.json")).expect("a manifest");
    serde_json::from_slice(&text).expect("a manifest")
}

/// Writes a fixture whose journal is newer than its ledger, so that startup has to replay it.
async fn write_fixture(dir: &Path) {
    let server = TestServer::with_flags(&FLAGS).await;
    let client = server.client();
    let file = server.dir.path().join("effects");
    let worker = server.start_worker("w1", &["--concurrency", "8"]).await;
    let mut ids = populate(&client, &file, "ledger").await;
    let (first, second) = (server.dir.path().join("first"), server.dir.path().join("second"));
    let older = backup(&server, &first).await;
    ids.extend(populate(&client, &file, "journal").await);
    let running = enqueue(&client, demo_job("progress", json!({"steps": 99, "step_ms": 50}))).await;
    wait_until("the job has a checkpoint", TIMEOUT, || async {
        client.get(&running).await.ok().filter(|job| !job.checkpoint.is_empty())
    })
    .await;
    worker.signal(Signal::STOP);
    ids.push(running);
    let mut newer = backup(&server, &second).await;
    let mut expected = Vec::new();
    for id in &ids {
        expected.push(get_job(&server, id).await);
    }
    for name in ["ledger.sqlite", "ledger.sqlite-logs"] {
        std::fs::copy(first.join(name), second.join(name)).expect("copy a file");
    }
    let is_ledger = |file: &&Value| file["path"].as_str().is_some_and(|p| p.starts_with("ledger"));
    let files = |manifest: &Value| manifest["files"].as_array().expect("files").clone();
    let of_ledger = files(&older).into_iter().filter(|file| is_ledger(&file));
    let of_journal = files(&newer).into_iter().filter(|file| !is_ledger(&file));
    newer["files"] = of_journal.chain(of_ledger).collect();
    newer["checkpoint"] = older["checkpoint"].clone();
    copy(&second, dir);
    let text = |value: &Value| serde_json::to_string_pretty(value).expect("JSON") + "\n";
    std::fs::write(dir.join("backup.json"), text(&newer)).expect("write a file");
    let lines: Vec<_> = expected.iter().map(Value::to_string).collect();
    std::fs::write(dir.join("expected.json"), lines.join("\n") + "\n").expect("write a file");
}

fn expected(format: u32) -> Vec<Value> {
    let text = std::fs::read_to_string(fixture(format).join("expected.json"));
    let text = text.expect("the fixture");
    text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
}

/// Copies a fixture into the data directory of a new temporary directory.
fn copy_fixture(format: u32) -> tempfile::TempDir {
    let dir = tempfile::tempdir().expect("a directory");
    let data = dir.path().join("data");
    copy(&fixture(format), &data);
    std::fs::remove_file(data.join("backup.json")).expect("remove a file");
    std::fs::remove_file(data.join("expected.json")).expect("remove a file");
    dir
}

/// Returns whether a scheduled job has become ready since the fixture was written.
fn is_due(expected: &Value, found: &Value) -> bool {
    let states = (expected["state"].as_str(), found["state"].as_str());
    states == (Some("JOB_STATE_SCHEDULED"), Some("JOB_STATE_READY"))
}

async fn assert_unchanged(server: &TestServer, format: u32) {
    for job in expected(format) {
        let found = get_job(server, job["id"].as_str().expect("an id")).await;
        if is_due(&job, &found) {
            assert_eq!(found["spec"], job["spec"]);
        } else {
            assert_eq!(found, job);
        }
    }
}

/// Runs all jobs to a terminal state with a current worker.
async fn finish_all(server: &TestServer) {
    let client = server.client();
    let _worker =
        server.start_worker("w2", &["--concurrency", "8", "--queues", "default,idle"]).await;
    let jobs: Vec<_> = {
        use futures_util::TryStreamExt;
        let all = client.list_all(JobFilter::default(), 1_000, JobView::Basic);
        all.try_collect().await.expect("list jobs")
    };
    for job in &jobs {
        if job.state() == JobState::Scheduled {
            client.cancel(&job.id, "").await.expect("cancel the job");
        }
    }
    for job in &jobs {
        let job = wait_terminal(&client, &job.id).await;
        assert!(is_terminal(job.state()));
    }
}

#[tokio::test]
async fn each_format_is_read_and_its_jobs_finish() {
    for format in 1..=FORMATS {
        if std::env::var_os("SENTINEL_UPDATE").is_some() && !fixture(format).exists() {
            write_fixture(&fixture(format)).await;
        }
        let dir = copy_fixture(format);
        let server = TestServer::in_dir(dir, &FLAGS).await;
        assert_unchanged(&server, format).await;
        let TestServer { mut process, dir } = server;
        process.kill().await;
        drop(process);
        let flags = ["--auto-create-queues", "--session-ttl", "1s", "--ping-interval", "300ms"];
        finish_all(&TestServer::in_dir(dir, &flags).await).await;
    }
}

#[tokio::test]
async fn a_backup_of_each_format_is_restored() {
    for format in 1..=FORMATS {
        let dir = tempfile::tempdir().expect("a directory");
        let data = dir.path().join("data");
        let fixture = fixture(format);
        let paths = [fixture.to_str().expect("UTF-8"), data.to_str().expect("UTF-8")];
        let output = sentinel(["restore", paths[0], "--data-dir", paths[1]]).await;
        assert_eq!(output.code, 0, "{}", output.stderr);
        assert!(output.stdout.contains("1 running jobs were revoked"), "{}", output.stdout);
        let server = TestServer::in_dir(dir, &["--auto-create-queues"]).await;
        for job in expected(format) {
            let found = get_job(&server, job["id"].as_str().expect("an id")).await;
            match job["state"].as_str() {
                Some("JOB_STATE_RUNNING") => assert_eq!(found["state"], "JOB_STATE_READY"),
                _ if is_due(&job, &found) => {}
                _ => assert_eq!(found, job),
            }
        }
        finish_all(&server).await;
    }
}
