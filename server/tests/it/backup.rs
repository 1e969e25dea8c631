//! A backup taken under load, restored after the loss of its server, and what a restore tells
//! those who remember the time that was lost.

use std::path::{Path, PathBuf};
use std::time::Duration;

use futures_util::StreamExt;
use sentinel_client::proto::jobs::v1::{GapReason, JobFilter, JobState, JobView};
use sentinel_client::{Watch, WatchEvent, is_terminal};
use serde_json::{Value, json};

use crate::chaos::load::Load;
use crate::harness::{Ended, PATIENCE, World, demo, end_of, enqueue, sentinel, until};
use crate::history::effects;

fn text(path: &Path) -> &str {
    path.to_str().expect("UTF-8")
}

async fn backup(data: &Path, dest: &Path) -> Ended {
    sentinel(["backup", "--json", "--data-dir", text(data), text(dest)]).await
}

async fn restore(source: &Path, data: &Path) -> Ended {
    sentinel(["restore", "--json", text(source), "--data-dir", text(data)]).await
}

fn parsed(ended: &Ended) -> Value {
    assert_eq!(ended.code, 0, "{}", ended.err);
    serde_json::from_str(&ended.out).expect("one JSON object")
}

/// The message of a refusal.
fn refused(ended: &Ended, code: i32) -> &str {
    assert_eq!((ended.code, ended.out.as_str()), (code, ""), "{}", ended.err);
    &ended.err
}

fn data_of(world: &World) -> PathBuf {
    world.dir.path().join("data")
}

/// The server dies with its disk, and comes back from the backup at the same address.
async fn lose_all(world: &mut World, source: &Path) -> Value {
    world.server.kill().await;
    let data = data_of(world);
    std::fs::rename(&data, world.dir.path().join("lost")).expect("moved away");
    let answer = parsed(&restore(source, &data).await);
    world.server.restart().await;
    answer
}

#[tokio::test]
async fn what_was_acknowledged_before_a_backup_is_there_after_its_restore() {
    let mut world = World::start().await;
    let client = world.client();
    let file = world.dir.path().join("effects");
    let flags = ["--concurrency", "8"];
    let _fleet = [world.worker("w0", &flags).await, world.worker("w1", &flags).await];
    let mut load = Load::start(&[world.server.url()], 1, &file);
    load.acknowledges(300).await;
    let before = load.acknowledged();
    let dest = world.dir.path().join("backup");
    let taken = parsed(&backup(&data_of(&world), &dest).await);
    load.acknowledges(100).await;
    load.stop().await;
    assert!(taken["manifest"]["lastEntry"].as_u64() >= taken["manifest"]["firstEntry"].as_u64());

    lose_all(&mut world, &dest).await;
    for id in &before {
        until(&format!("job {id} is final"), PATIENCE, || async {
            let job = client.get(id).await.unwrap_or_else(|error| panic!("{id} is gone: {error}"));
            is_terminal(job.state()).then_some(())
        })
        .await;
    }
    let lines = effects(&file);
    let mut fences: Vec<_> = lines.iter().filter(|line| line.is_start).map(|l| l.fence()).collect();
    let starts = fences.len();
    fences.sort();
    fences.dedup();
    assert_eq!(fences.len(), starts, "no lease was given out twice");
    println!("{} jobs acknowledged before the backup, {starts} handlers began", before.len());
}

#[tokio::test]
async fn leases_and_cursors_of_the_lost_time_mean_nothing() {
    let mut world = World::start().await;
    let client = world.client();
    let _worker = world.worker("w1", &["--concurrency", "4"]).await;
    let file = world.dir.path().join("effects");
    let job = || demo("effect", json!({"file": file, "ms": 5_000}));
    let kept = enqueue(&client, job()).await;
    until("it runs", PATIENCE, || async { effects(&file).pop() }).await;
    let waits = enqueue(&client, job().delay(Duration::from_secs(1_000))).await;
    let dest = world.dir.path().join("backup");
    parsed(&backup(&data_of(&world), &dest).await);
    let lost = enqueue(&client, job()).await;
    until("both run", PATIENCE, || async { (effects(&file).len() == 2).then_some(()) }).await;
    let filter = JobFilter { queues: vec!["default".to_owned()], ..JobFilter::default() };
    let mut events = client.watch(Watch::filter(filter).view(JobView::Basic));
    let first = events.next().await.expect("a snapshot").expect("goes on");
    assert!(matches!(first, WatchEvent::Snapshot(_)), "{first:?}");

    let answer = lose_all(&mut world, &dest).await;
    assert_eq!(answer["revokedJobs"], 1);
    let reason = loop {
        let event = tokio::time::timeout(PATIENCE, events.next()).await.expect("a gap in time");
        if let WatchEvent::Gap(gap) = event.expect("goes on").expect("goes on") {
            break gap.reason();
        }
    };
    assert_eq!(reason, GapReason::Epoch);
    let gone = client.get(&lost).await.expect_err("it was enqueued after the backup");
    assert_eq!(gone.reason(), Some("JOB_NOT_FOUND"));
    let again = end_of(&client, &kept).await;
    assert_eq!((again.state(), again.attempt), (JobState::Succeeded, 1));
    let lines = effects(&file);
    let ends: Vec<_> = lines.iter().filter(|line| !line.is_start).collect();
    assert_eq!(ends.len(), 1, "both handlers of the lost time were told to stop: {lines:?}");
    let starts: Vec<_> = lines.iter().filter(|l| l.is_start && l.id == kept).collect();
    assert_eq!(starts.len(), 2);
    assert_ne!(starts[0].fence(), starts[1].fence());
    assert_eq!(again.result, starts[1].fence());
    let waiting = client.get(&waits).await.expect("is there");
    assert_eq!(waiting.state(), JobState::Scheduled);
}

#[tokio::test]
async fn directories_that_do_not_fit_are_refused() {
    let mut world = World::start().await;
    enqueue(&world.client(), demo("noop", json!({}))).await;
    let (data, dir) = (data_of(&world), world.dir.path().to_owned());
    let dest = dir.join("backup");
    parsed(&backup(&data, &dest).await);
    let again = backup(&data, &dest).await;
    assert!(refused(&again, 5).contains("is not empty"), "{}", again.err);
    let nothing = backup(&dir.join("absent"), &dir.join("other")).await;
    assert!(refused(&nothing, 5).contains("--data-dir"), "{}", nothing.err);
    let within = backup(&data, &data.join("backup")).await;
    assert!(refused(&within, 5).contains("lies within"), "{}", within.err);
    let full = restore(&dest, &data).await;
    assert!(refused(&full, 5).contains("is not empty"), "{}", full.err);
    let absent = restore(&dir.join("absent"), &dir.join("new")).await;
    assert!(refused(&absent, 5).contains("backup.json"), "{}", absent.err);

    let serve = ["serve", "--listen", "127.0.0.1:0", "--ops-listen", "127.0.0.1:0", "--data-dir"];
    let on_backup = sentinel(serve.into_iter().chain([text(&dest)])).await;
    assert!(on_backup.code == 1 && on_backup.err.contains("sentinel restore"), "{}", on_backup.err);
    let second = sentinel(serve.into_iter().chain([text(&data)])).await;
    assert!(second.code == 1 && second.err.contains("in use by process "), "{}", second.err);
    let unfinished = dir.join("unfinished");
    std::fs::create_dir_all(unfinished.join("restoring")).expect("a directory");
    let unfinished = sentinel(serve.into_iter().chain([text(&unfinished)])).await;
    assert!(unfinished.err.contains("did not end"), "{}", unfinished.err);
    world.server.kill().await;
}

#[tokio::test]
async fn a_backup_that_was_changed_is_not_restored() {
    let world = World::start().await;
    enqueue(&world.client(), demo("noop", json!({}))).await;
    let dir = world.dir.path();
    let dest = dir.join("backup");
    let manifest = parsed(&backup(&data_of(&world), &dest).await)["manifest"].clone();
    let newer = |text: &str| text.replace("\"format\": 1,", "\"format\": 2,");
    let path = dest.join("backup.json");
    let good = std::fs::read_to_string(&path).expect("a manifest");
    std::fs::write(&path, newer(&good)).expect("written");
    let told = restore(&dest, &dir.join("newer")).await;
    let told = refused(&told, 5);
    assert!(told.contains("format 2") && told.contains("reads up to 1"), "{told}");
    std::fs::write(&path, &good[..good.len() / 2]).expect("written");
    assert!(refused(&restore(&dest, &dir.join("torn")).await, 6).contains("backup.json"));
    std::fs::write(&path, &good).expect("written");
    for (n, file) in manifest["files"].as_array().expect("files").iter().enumerate() {
        let path = dest.join(file["path"].as_str().expect("a path"));
        let good = std::fs::read(&path).expect("a file");
        let mut bad = good.clone();
        let middle = bad.len() / 2;
        bad[middle] ^= 1;
        std::fs::write(&path, bad).expect("written");
        let told = restore(&dest, &dir.join(format!("flipped-{n}"))).await;
        assert!(refused(&told, 6).contains("is not what was backed up"), "{}", told.err);
        std::fs::write(&path, &good[..middle]).expect("written");
        let told = restore(&dest, &dir.join(format!("short-{n}"))).await;
        assert!(refused(&told, 6).contains("bytes, not"), "{}", told.err);
        std::fs::write(&path, &good).expect("written");
    }
    parsed(&restore(&dest, &dir.join("good")).await);
}

/// At any moment of a backup: what is called DEST is whole, or is not there.
#[tokio::test]
async fn a_backup_that_is_killed_leaves_nothing_that_can_be_restored() {
    let world = World::start().await;
    let client = world.client();
    let large = || demo("echo", json!({"x": "y".repeat(500_000)})).delay(Duration::from_secs(999));
    for _ in 0..40 {
        enqueue(&client, large()).await;
    }
    let dir = world.dir.path();
    let mut finished = 0;
    for round in 0..12_u32 {
        let dest = dir.join(format!("backup-{round}"));
        let mut child = tokio::process::Command::new(crate::harness::binary("sentinel"))
            .args(["backup", "--data-dir", text(&data_of(&world)), text(&dest)])
            .stdout(std::process::Stdio::null())
            .stderr(std::process::Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .expect("starts");
        let moment = Duration::from_millis(u64::from(round * round) * 4);
        let ended = tokio::time::timeout(moment, child.wait()).await;
        child.kill().await.expect("killed");
        let data = dir.join(format!("data-{round}"));
        let told = restore(&dest, &data).await;
        if dest.exists() {
            finished += 1;
            parsed(&told);
        } else {
            assert!(ended.is_err());
            assert!(refused(&told, 5).contains("holds no finished backup"), "{}", told.err);
            let mut partial = dest.as_os_str().to_owned();
            partial.push(".partial");
            // Its list of files comes last: killed between it and the name, the copy is whole.
            let has_list = Path::new(&partial).join("backup.json").exists();
            let told = restore(partial.as_ref(), &dir.join(format!("partial-{round}"))).await;
            assert!(told.code != 0 || has_list, "{}", told.out);
            parsed(&backup(&data_of(&world), &dest).await);
        }
    }
    println!("{finished} of 12 ended before they were killed");
}
