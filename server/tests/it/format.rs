//! Data of each released format, opened by the program of today: every job is as it was left,
//! and the work goes on.
//!
//! A fixture is `server/tests/fixtures/v<N>`: the files of a data directory with jobs in every
//! state, the manifest of a backup, and `expected.json`, what `sentinel job get --json` said of
//! each job. When a format changes, raise `FORMATS` and run this test once with
//! SENTINEL_UPDATE=1 on the last commit that writes the old format; what is there is never
//! written again.

use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::process::Signal;
use sentinel_client::proto::jobs::v1::{JobFilter, JobSpec, JobState, JobView, Unique};
use sentinel_client::{Client, NewJob, is_terminal};
use serde_json::{Value, json};

use crate::harness::{PATIENCE, Server, World, demo, end_of, enqueue, in_state, sentinel, until};

/// One fixture each.
const FORMATS: u32 = 1;

/// So that a running job keeps its lease while it is looked at.
const FLAGS: [&str; 3] = ["--auto-create-queues", "--session-ttl", "10m"];

fn fixture(format: u32) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/fixtures/v{format}"))
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).expect("a directory");
    for entry in std::fs::read_dir(from).expect("a fixture") {
        let entry = entry.expect("readable");
        let to = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy(&entry.path(), &to);
        } else {
            std::fs::copy(entry.path(), to).expect("copied");
        }
    }
}

async fn shown(world: &World, id: &str) -> Value {
    let ended = sentinel(["job", "get", id, "--json", "--server", &world.server.url()]).await;
    assert_eq!(ended.code, 0, "{id}: {}", ended.err);
    let mut job: Value = serde_json::from_str(&ended.out).expect("a job");
    if job["state"] == "JOB_STATE_RUNNING" {
        // Up to the last second of it may not be kept.
        job.as_object_mut().expect("an object").remove("progress");
    }
    job
}

/// Jobs of one part of a fixture, in every state but RUNNING.
pub(crate) async fn populate(client: &Client, file: &Path, part: &str) -> Vec<String> {
    let labelled = |job: NewJob| job.label("part", part).label("shop", "s1");
    let mut ids = vec![
        enqueue(client, labelled(demo("echo", json!({"part": part})))).await,
        enqueue(client, labelled(demo("echo", json!({"large": "x".repeat(1_100)})))).await,
        enqueue(client, demo("progress", json!({"steps": 3, "step_ms": 1}))).await,
        enqueue(client, demo("fail", json!({"times": 1})).max_attempts(1)).await,
        enqueue(client, demo("fail", json!({"retryable": false, "message": part}))).await,
        enqueue(client, demo("effect", json!({"file": file, "ms": 1}))).await,
    ];
    for id in &ids {
        end_of(client, id).await;
    }
    let retried = ids[3].clone();
    client.retry(&retried).await.expect("retried");
    end_of(client, &retried).await;
    let far = Duration::from_secs(365 * 86_400);
    let scheduled = enqueue(client, labelled(demo("noop", json!({})).delay(far))).await;
    let mut unique: JobSpec = demo("noop", json!({})).into();
    let ttl = prost_types::Duration { seconds: 86_400, nanos: 0 };
    unique.unique = Some(Unique { key: part.to_owned(), ttl: Some(ttl), ..Unique::default() });
    unique.queue = "idle".to_owned();
    let cancelled = client.enqueue(unique).await.expect("enqueued").job.id;
    client.cancel(&cancelled, "not needed").await.expect("cancelled");
    let mut late: JobSpec = demo("noop", json!({})).into();
    late.queue = "idle".to_owned();
    let ready = client.enqueue(late.clone()).await.expect("enqueued").job.id;
    let soon = Duration::from_millis(200);
    #[expect(clippy::disallowed_methods, reason = "a deadline is a wall time")]
    let deadline = std::time::SystemTime::now() + soon;
    late.start_deadline = Some(deadline.into());
    let expired = client.enqueue(late).await.expect("enqueued").job.id;
    in_state(client, &expired, JobState::Expired).await;
    let blocked = enqueue(client, demo("noop", json!({})).depends_on(&scheduled)).await;
    ids.extend([scheduled, cancelled, ready, expired, blocked]);
    ids
}

/// Takes a backup; answers its manifest.
async fn backup(world: &World, dest: &Path) -> Value {
    let data = world.dir.path().join("data");
    let args =
        ["backup", "--data-dir", data.to_str().expect("UTF-8"), dest.to_str().expect("UTF-8")];
    let ended = sentinel(args).await;
    assert_eq!(ended.code, 0, "{}", ended.err);
    let text = std::fs::read(dest.join("backup.json")).expect("a manifest");
    serde_json::from_slice(&text).expect("a manifest")
}

/// Makes the fixture: an older ledger and a newer journal, so that a start has to replay.
async fn bless(dir: &Path) {
    let world = World::with(&FLAGS).await;
    let client = world.client();
    let file = world.dir.path().join("effects");
    let worker = world.worker("w1", &["--concurrency", "8"]).await;
    let mut ids = populate(&client, &file, "ledger").await;
    let (first, second) = (world.dir.path().join("first"), world.dir.path().join("second"));
    let older = backup(&world, &first).await;
    ids.extend(populate(&client, &file, "journal").await);
    let running = enqueue(&client, demo("progress", json!({"steps": 99, "step_ms": 50}))).await;
    until("it has a checkpoint", PATIENCE, || async {
        client.get(&running).await.ok().filter(|job| !job.checkpoint.is_empty())
    })
    .await;
    worker.signal(Signal::STOP);
    ids.push(running);
    let mut newer = backup(&world, &second).await;
    let mut expected = Vec::new();
    for id in &ids {
        expected.push(shown(&world, id).await);
    }
    for name in ["ledger.sqlite", "ledger.sqlite-logs"] {
        std::fs::copy(first.join(name), second.join(name)).expect("copied");
    }
    let is_ledger = |file: &&Value| file["path"].as_str().is_some_and(|p| p.starts_with("ledger"));
    let files = |manifest: &Value| manifest["files"].as_array().expect("files").clone();
    let of_ledger = files(&older).into_iter().filter(|file| is_ledger(&file));
    let of_journal = files(&newer).into_iter().filter(|file| !is_ledger(&file));
    newer["files"] = of_journal.chain(of_ledger).collect();
    newer["checkpoint"] = older["checkpoint"].clone();
    copy(&second, dir);
    let text = |value: &Value| serde_json::to_string_pretty(value).expect("JSON") + "\n";
    std::fs::write(dir.join("backup.json"), text(&newer)).expect("written");
    let lines: Vec<_> = expected.iter().map(Value::to_string).collect();
    std::fs::write(dir.join("expected.json"), lines.join("\n") + "\n").expect("written");
}

fn expected(format: u32) -> Vec<Value> {
    let text = std::fs::read_to_string(fixture(format).join("expected.json"));
    let text = text.expect("the fixture");
    text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
}

/// A directory with a copy of the fixture as the data of a server.
fn opened_copy(format: u32) -> tempfile::TempDir {
    let dir = tempfile::tempdir().expect("a directory");
    let data = dir.path().join("data");
    copy(&fixture(format), &data);
    std::fs::remove_file(data.join("backup.json")).expect("removed");
    std::fs::remove_file(data.join("expected.json")).expect("removed");
    dir
}

/// What time alone changes: a job that was to start in a year.
fn is_due(expected: &Value, found: &Value) -> bool {
    let states = (expected["state"].as_str(), found["state"].as_str());
    states == (Some("JOB_STATE_SCHEDULED"), Some("JOB_STATE_READY"))
}

async fn compare(world: &World, format: u32) {
    for job in expected(format) {
        let found = shown(world, job["id"].as_str().expect("an id")).await;
        if is_due(&job, &found) {
            assert_eq!(found["spec"], job["spec"]);
        } else {
            assert_eq!(found, job);
        }
    }
}

/// Every job comes to its end under a worker of today.
async fn finish(world: &World) {
    let client = world.client();
    let _worker = world.worker("w2", &["--concurrency", "8", "--queues", "default,idle"]).await;
    let jobs: Vec<_> = {
        use futures_util::TryStreamExt;
        let all = client.list_all(JobFilter::default(), 1_000, JobView::Basic);
        all.try_collect().await.expect("a list")
    };
    for job in &jobs {
        if job.state() == JobState::Scheduled {
            client.cancel(&job.id, "").await.expect("cancelled");
        }
    }
    for job in &jobs {
        let job = end_of(&client, &job.id).await;
        assert!(is_terminal(job.state()));
    }
}

#[tokio::test]
async fn each_format_is_read_and_the_work_goes_on() {
    for format in 1..=FORMATS {
        if std::env::var_os("SENTINEL_UPDATE").is_some() && !fixture(format).exists() {
            bless(&fixture(format)).await;
        }
        let dir = opened_copy(format);
        let server = Server::start(dir.path(), &FLAGS).await;
        let world = World { server, dir };
        compare(&world, format).await;
        let World { mut server, dir } = world;
        server.kill().await;
        drop(server);
        let flags = ["--auto-create-queues", "--session-ttl", "1s", "--ping", "300ms"];
        let server = Server::start(dir.path(), &flags).await;
        finish(&World { server, dir }).await;
    }
}

#[tokio::test]
async fn a_backup_of_each_format_is_restored() {
    for format in 1..=FORMATS {
        let dir = tempfile::tempdir().expect("a directory");
        let data = dir.path().join("data");
        let fixture = fixture(format);
        let paths = [fixture.to_str().expect("UTF-8"), data.to_str().expect("UTF-8")];
        let ended = sentinel(["restore", paths[0], "--data-dir", paths[1]]).await;
        assert_eq!(ended.code, 0, "{}", ended.err);
        assert!(ended.out.contains("1 running jobs were taken back"), "{}", ended.out);
        let server = Server::start(dir.path(), &["--auto-create-queues"]).await;
        let world = World { server, dir };
        for job in expected(format) {
            let found = shown(&world, job["id"].as_str().expect("an id")).await;
            match job["state"].as_str() {
                Some("JOB_STATE_RUNNING") => assert_eq!(found["state"], "JOB_STATE_READY"),
                _ if is_due(&job, &found) => {}
                _ => assert_eq!(found, job),
            }
        }
        finish(&world).await;
    }
}
