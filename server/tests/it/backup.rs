//! A backup taken under load and restored after the loss of the server. Leases and watch cursors
//! from after the backup are invalid after the restore.

use std::path::Path;
use std::time::Duration;

use futures_util::StreamExt;
use sentinel_client::proto::jobs::v1::{GapReason, JobFilter, JobState, JobView};
use sentinel_client::{WatchEvent, WatchOptions, is_terminal};
use serde_json::{Value, json};

use crate::chaos::load::Load;
use crate::harness::{
    CommandOutput, TIMEOUT, TestServer, demo_job, enqueue, sentinel, wait_terminal, wait_until,
};
use crate::history::side_effects;

fn text(path: &Path) -> &str {
    path.to_str().expect("UTF-8")
}

async fn backup(data: &Path, dest: &Path) -> CommandOutput {
    sentinel(["backup", "--json", "--data-dir", text(data), text(dest)]).await
}

async fn restore(source: &Path, data: &Path) -> CommandOutput {
    sentinel(["restore", "--json", text(source), "--data-dir", text(data)]).await
}

fn parsed(output: &CommandOutput) -> Value {
    assert_eq!(output.code, 0, "{}", output.stderr);
    serde_json::from_str(&output.stdout).expect("one JSON object")
}

/// Returns the error text of a command that failed with this code.
fn refused(output: &CommandOutput, code: i32) -> &str {
    assert_eq!((output.code, output.stdout.as_str()), (code, ""), "{}", output.stderr);
    &output.stderr
}

/// Kills the server, removes its data and restarts it from the backup at the same address.
async fn restore_after_loss(server: &mut TestServer, source: &Path) -> Value {
    server.kill().await;
    let data = server.data_dir();
    std::fs::rename(&data, server.dir.path().join("lost")).expect("rename the data directory");
    let report = parsed(&restore(source, &data).await);
    server.restart().await;
    report
}

#[tokio::test]
async fn acknowledged_jobs_are_restored_from_a_backup() {
    let mut server = TestServer::start().await;
    let client = server.client();
    let file = server.dir.path().join("effects");
    let flags = ["--concurrency", "8"];
    let _workers =
        [server.start_worker("w0", &flags).await, server.start_worker("w1", &flags).await];
    let mut load = Load::start(&[server.url()], 1, &file);
    load.wait_acknowledged(300).await;
    let before = load.acknowledged();
    let dest = server.dir.path().join("backup");
    let taken = parsed(&backup(&server.data_dir(), &dest).await);
    load.wait_acknowledged(100).await;
    load.stop().await;
    assert!(taken["manifest"]["lastEntry"].as_u64() >= taken["manifest"]["firstEntry"].as_u64());

    restore_after_loss(&mut server, &dest).await;
    for id in &before {
        wait_until(&format!("job {id} is terminal"), TIMEOUT, || async {
            let job = client.get(id).await.unwrap_or_else(|error| panic!("{id} is lost: {error}"));
            is_terminal(job.state()).then_some(())
        })
        .await;
    }
    let lines = side_effects(&file);
    let mut fences: Vec<_> = lines.iter().filter(|line| line.is_start).map(|l| l.fence()).collect();
    let starts = fences.len();
    fences.sort();
    fences.dedup();
    assert_eq!(fences.len(), starts, "a lease was granted twice");
    println!("{} jobs acknowledged before the backup, {starts} handlers started", before.len());
}

#[tokio::test]
async fn leases_and_cursors_from_after_the_backup_are_invalid() {
    let mut server = TestServer::start().await;
    let client = server.client();
    let _worker = server.start_worker("w1", &["--concurrency", "4"]).await;
    let file = server.dir.path().join("effects");
    let job = || demo_job("effect", json!({"file": file, "ms": 5_000}));
    let backed_up = enqueue(&client, job()).await;
    wait_until("the first handler runs", TIMEOUT, || async { side_effects(&file).pop() }).await;
    let scheduled = enqueue(&client, job().delay(Duration::from_secs(1_000))).await;
    let dest = server.dir.path().join("backup");
    parsed(&backup(&server.data_dir(), &dest).await);
    let lost = enqueue(&client, job()).await;
    wait_until("both handlers run", TIMEOUT, || async {
        (side_effects(&file).len() == 2).then_some(())
    })
    .await;
    let filter = JobFilter { queues: vec!["default".to_owned()], ..JobFilter::default() };
    let mut events = client.watch(WatchOptions::filter(filter).view(JobView::Basic));
    let first = events.next().await.expect("a snapshot").expect("no error");
    assert!(matches!(first, WatchEvent::Snapshot(_)), "{first:?}");

    let report = restore_after_loss(&mut server, &dest).await;
    assert_eq!(report["revokedJobs"], 1);
    let reason = loop {
        let event = tokio::time::timeout(TIMEOUT, events.next()).await.expect("a gap in time");
        if let WatchEvent::Gap(gap) = event.expect("an event").expect("no error") {
            break gap.reason();
        }
    };
    assert_eq!(reason, GapReason::Epoch);
    let error = client.get(&lost).await.expect_err("the job was enqueued after the backup");
    assert_eq!(error.reason(), Some("JOB_NOT_FOUND"));
    let again = wait_terminal(&client, &backed_up).await;
    assert_eq!((again.state(), again.attempt), (JobState::Succeeded, 1));
    let lines = side_effects(&file);
    let ends: Vec<_> = lines.iter().filter(|line| !line.is_start).collect();
    assert_eq!(ends.len(), 1, "the revoked handlers must stop: {lines:?}");
    let starts: Vec<_> = lines.iter().filter(|l| l.is_start && l.id == backed_up).collect();
    assert_eq!(starts.len(), 2);
    assert_ne!(starts[0].fence(), starts[1].fence());
    assert_eq!(again.result, starts[1].fence());
    let found = client.get(&scheduled).await.expect("an existing job");
    assert_eq!(found.state(), JobState::Scheduled);
}

#[tokio::test]
async fn unsuitable_directories_are_refused() {
    let mut server = TestServer::start().await;
    enqueue(&server.client(), demo_job("noop", json!({}))).await;
    let (data, dir) = (server.data_dir(), server.dir.path().to_owned());
    let dest = dir.join("backup");
    parsed(&backup(&data, &dest).await);
    let again = backup(&data, &dest).await;
    assert!(refused(&again, 5).contains("is not empty"), "{}", again.stderr);
    let nothing = backup(&dir.join("absent"), &dir.join("other")).await;
    assert!(refused(&nothing, 5).contains("--data-dir"), "{}", nothing.stderr);
    let within = backup(&data, &data.join("backup")).await;
    assert!(refused(&within, 5).contains("is inside of"), "{}", within.stderr);
    let full = restore(&dest, &data).await;
    assert!(refused(&full, 5).contains("is not empty"), "{}", full.stderr);
    let absent = restore(&dir.join("absent"), &dir.join("new")).await;
    assert!(refused(&absent, 5).contains("backup.json"), "{}", absent.stderr);

    let serve = ["serve", "--listen", "127.0.0.1:0", "--ops-listen", "127.0.0.1:0", "--data-dir"];
    let on_backup = sentinel(serve.into_iter().chain([text(&dest)])).await;
    assert!(
        on_backup.code == 1 && on_backup.stderr.contains("sentinel restore"),
        "{}",
        on_backup.stderr
    );
    let second = sentinel(serve.into_iter().chain([text(&data)])).await;
    assert!(second.code == 1 && second.stderr.contains("in use by process "), "{}", second.stderr);
    let unfinished = dir.join("unfinished");
    std::fs::create_dir_all(unfinished.join("restoring")).expect("a directory");
    let unfinished = sentinel(serve.into_iter().chain([text(&unfinished)])).await;
    assert!(unfinished.stderr.contains("is unfinished"), "{}", unfinished.stderr);
    server.kill().await;
}

#[tokio::test]
async fn a_modified_backup_is_not_restored() {
    let server = TestServer::start().await;
    enqueue(&server.client(), demo_job("noop", json!({}))).await;
    let dir = server.dir.path();
    let dest = dir.join("backup");
    let manifest = parsed(&backup(&server.data_dir(), &dest).await)["manifest"].clone();
    let newer = |text: &str| text.replace("\"format\": 1,", "\"format\": 2,");
    let path = dest.join("backup.json");
    let good = std::fs::read_to_string(&path).expect("a manifest");
    std::fs::write(&path, newer(&good)).expect("write a file");
    let output = restore(&dest, &dir.join("newer")).await;
    let output = refused(&output, 5);
    assert!(output.contains("format 2") && output.contains("supports up to 1"), "{output}");
    std::fs::write(&path, &good[..good.len() / 2]).expect("write a file");
    assert!(refused(&restore(&dest, &dir.join("torn")).await, 6).contains("backup.json"));
    std::fs::write(&path, &good).expect("write a file");
    for (n, file) in manifest["files"].as_array().expect("files").iter().enumerate() {
        let path = dest.join(file["path"].as_str().expect("a path"));
        let good = std::fs::read(&path).expect("a file");
        let mut bad = good.clone();
        let middle = bad.len() / 2;
        bad[middle] ^= 1;
        std::fs::write(&path, bad).expect("write a file");
        let output = restore(&dest, &dir.join(format!("flipped-{n}"))).await;
        assert!(refused(&output, 6).contains("does not match the manifest"), "{}", output.stderr);
        std::fs::write(&path, &good[..middle]).expect("write a file");
        let output = restore(&dest, &dir.join(format!("short-{n}"))).await;
        assert!(refused(&output, 6).contains("bytes, not"), "{}", output.stderr);
        std::fs::write(&path, &good).expect("write a file");
    }
    parsed(&restore(&dest, &dir.join("good")).await);
}

/// A backup is complete or absent at every moment.
#[tokio::test]
async fn a_killed_backup_leaves_no_restorable_backup() {
    let server = TestServer::start().await;
    let client = server.client();
    let large =
        || demo_job("echo", json!({"x": "y".repeat(500_000)})).delay(Duration::from_secs(999));
    for _ in 0..40 {
        enqueue(&client, large()).await;
    }
    let dir = server.dir.path();
    let mut finished = 0;
    for round in 0..12_u32 {
        let dest = dir.join(format!("backup-{round}"));
        let mut child = tokio::process::Command::new(crate::harness::binary("sentinel"))
            .args(["backup", "--data-dir", text(&server.data_dir()), text(&dest)])
            .stdout(std::process::Stdio::null())
            .stderr(std::process::Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .expect("start a process");
        let moment = Duration::from_millis(u64::from(round * round) * 4);
        let exited = tokio::time::timeout(moment, child.wait()).await;
        child.kill().await.expect("kill a process");
        let data = dir.join(format!("data-{round}"));
        let output = restore(&dest, &data).await;
        if dest.exists() {
            finished += 1;
            parsed(&output);
        } else {
            assert!(exited.is_err());
            assert!(refused(&output, 5).contains("is not a complete backup"), "{}", output.stderr);
            let mut partial = dest.as_os_str().to_owned();
            partial.push(".partial");
            // The manifest is written last. When the kill comes between it and the rename, the
            // partial directory is complete.
            let has_manifest = Path::new(&partial).join("backup.json").exists();
            let output = restore(partial.as_ref(), &dir.join(format!("partial-{round}"))).await;
            assert!(output.code != 0 || has_manifest, "{}", output.stdout);
            parsed(&backup(&server.data_dir(), &dest).await);
        }
    }
    println!("{finished} of 12 backups finished before the kill");
}
