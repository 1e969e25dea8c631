//! A data directory on a disk that fails: what callers are told, what the operator is told,
//! and that it goes on when the disk does.

use std::path::Path;
use std::time::Duration;

use sentinel_client::proto::jobs::v1::{EnqueueRequest, JobState};
use sentinel_client::{Error, NewJob};
use sentinel_faults::Disk;
use serde_json::json;
use tonic::Code;
use tonic_types::StatusExt;

use crate::harness::{
    Ended, PATIENCE, Server, World, demo, end_of, enqueue, in_state, sentinel, until,
};
use crate::raw::ingest::{Producer, item};
use crate::raw::{Raw, reason};

/// A job that no worker here runs.
fn large() -> NewJob {
    NewJob::new("other", "other.kind").payload(vec![b'x'; 500_000])
}

#[tokio::test]
async fn a_server_whose_disk_is_full_records_reports_and_goes_on_when_there_is_room() {
    let dir = tempfile::tempdir().expect("a directory");
    let Some(disk) = Disk::mount(&dir.path().join("data"), 400) else {
        eprintln!("not checked: mounting a small disk needs root");
        return;
    };
    let world = World::in_dir(dir, &["--auto-create-queues"]).await;
    let client = world.client();
    let _worker = world.worker("w1", &["--concurrency", "64"]).await;
    let mut running = Vec::new();
    for _ in 0..20 {
        running.push(enqueue(&client, demo("sleep", json!({"ms": 1_500}))).await);
    }
    for id in &running {
        in_state(&client, id, JobState::Running).await;
    }
    disk.fill(3 << 20);
    let mut stored = Vec::new();
    let refusal = loop {
        let request = EnqueueRequest { spec: Some(large().into()), ..Default::default() };
        match client.raw_jobs().enqueue(request).await {
            Ok(answer) => stored.push(answer.into_inner().job.expect("a job").id),
            Err(status) => break status,
        }
        assert!(stored.len() < 400, "the disk is small");
    };
    assert_eq!(refusal.code(), Code::ResourceExhausted, "{refusal}");
    let details = refusal.get_error_details();
    assert_eq!(details.error_info().expect("a reason").reason, "STORE_FULL");
    assert!(details.retry_info().is_some_and(|info| info.retry_delay.is_some()), "{details:?}");
    let raw = Raw::connect(&world).await;
    let (mut producer, _) = Producer::start(&raw, "numbered").await;
    producer.send(item(1, large().into())).await;
    let (reached, end) = producer.end().await;
    assert_eq!((reached, reason(end)), (0, (Code::ResourceExhausted, "STORE_FULL".to_owned())));
    let patient = client.ingest("patient").await.expect("the start of a stream has room");
    patient.send(large()).await.expect("is on its way");
    for id in &running {
        assert_eq!(end_of(&client, id).await.state(), JobState::Succeeded, "reports have room");
    }
    disk.free();
    let report = tokio::time::timeout(PATIENCE, patient.finish()).await.expect("in time");
    assert_eq!(report.expect("it goes on").committed_offset, 1, "the SDK waits for room");
    let (mut producer, started) = Producer::start(&raw, "numbered").await;
    assert_eq!(started.committed_offset, 0);
    producer.send(item(1, large().into())).await;
    producer.committed(1).await;
    let after = until("there is room again", PATIENCE, || async {
        client.enqueue(demo("echo", json!({"x": 1}))).await.ok()
    })
    .await;
    assert_eq!(end_of(&client, &after.job.id).await.state(), JobState::Succeeded);
    for id in &stored {
        assert_eq!(client.get(id).await.expect("is there").state(), JobState::Ready);
    }
    until("the ballast is there again", PATIENCE, || async {
        let _ = client.enqueue(demo("noop", json!({}))).await;
        let ballast = std::fs::metadata(disk.path().join("ballast")).ok()?;
        (ballast.len() == 64 << 20).then_some(())
    })
    .await;
    // Before the directory that it is mounted in.
    drop(disk);
}

/// A server that was stopped, with jobs.
async fn stopped() -> (tempfile::TempDir, String) {
    let mut world = World::start().await;
    let client = world.client();
    let worker = world.worker("w1", &[]).await;
    // Too large for the row of the job.
    let id = enqueue(&client, demo("noop", json!({"x": "z".repeat(3_000)}))).await;
    end_of(&client, &id).await;
    for _ in 0..300 {
        enqueue(&client, demo("noop", json!({})).delay(Duration::from_secs(999))).await;
    }
    drop(worker);
    world.server.signal(rustix::process::Signal::TERM);
    world.server.end(PATIENCE).await;
    let World { server, dir } = world;
    drop(server);
    (dir, id)
}

/// `sentinel serve` on a directory that it must refuse.
async fn refused(data: &Path) -> String {
    let args = ["serve", "--listen", "127.0.0.1:0", "--ops-listen", "127.0.0.1:0", "--data-dir"];
    let Ended { code, err, out } =
        sentinel(args.into_iter().chain([data.to_str().expect("UTF-8")])).await;
    assert_eq!(code, 1, "{out}{err}");
    assert!(err.contains("error: ") && !err.contains("panicked"), "{err}");
    err
}

fn flip(file: &Path, at: usize, bytes: usize) {
    let mut content = std::fs::read(file).expect("a file");
    content[at..at + bytes].fill(0x5a);
    std::fs::write(file, content).expect("written");
}

#[tokio::test]
async fn damaged_and_missing_files_are_named_with_what_to_do() {
    let (dir, _) = stopped().await;
    let data = dir.path().join("data");
    let files =
        ["ledger.sqlite", "ledger.sqlite-logs", "journal/journal-00000000000000000001.sqlite"];
    for name in files {
        let file = data.join(name);
        let good = std::fs::read(&file).expect("a file");
        flip(&file, 0, 100);
        let told = refused(&data).await;
        assert!(told.contains(name) && told.contains("backup"), "{told}");
        std::fs::write(&file, &good).expect("written");
    }
    let journal = data.join("journal");
    std::fs::rename(&journal, dir.path().join("aside")).expect("moved");
    assert!(refused(&data).await.contains("no journal"), "the ledger is there alone");
    std::fs::rename(dir.path().join("aside"), &journal).expect("moved back");
    let logs = data.join("ledger.sqlite-logs");
    std::fs::rename(&logs, dir.path().join("logs")).expect("moved");
    assert!(refused(&data).await.contains("ledger.sqlite-logs is missing"));
    std::fs::rename(dir.path().join("logs"), &logs).expect("moved back");
    std::fs::write(data.join("journal/notes.txt"), "not ours").expect("written");
    Server::start(dir.path(), &[]).await;
}

/// A ledger whose pages are damaged where a start does not look.
#[tokio::test]
async fn damage_that_a_start_does_not_meet_is_told_by_the_call_and_by_a_backup() {
    let (dir, id) = stopped().await;
    let data = dir.path().join("data");
    let ledger = data.join("ledger.sqlite");
    let bytes = std::fs::read(&ledger).expect("a ledger");
    let has_spec = |page: &usize| {
        bytes[page * 8_192..][..8_192].windows(100).any(|part| part.iter().all(|b| *b == b'z'))
    };
    let pages: Vec<usize> = (1..bytes.len() / 8_192).filter(has_spec).collect();
    assert!(!pages.is_empty(), "a large spec has a page of its own");
    for page in &pages {
        flip(&ledger, page * 8_192, 8_192);
    }
    let dest = dir.path().join("backup");
    let paths = [data.to_str().expect("UTF-8"), dest.to_str().expect("UTF-8")];
    let backup = sentinel(["backup", "--data-dir", paths[0], paths[1]]).await;
    assert!(backup.code == 6 && backup.err.contains("is damaged"), "{}", backup.err);
    assert!(!dest.exists());
    let flags = ["--store-retention", "1s"];
    let server = Server::start(dir.path(), &flags).await;
    let world = World { server, dir };
    let told = world.client().get(&id).await.expect_err("its page is damaged");
    let Error::Api { code, reason, message, .. } = told else { panic!("{told}") };
    assert_eq!((code, reason.as_str()), (Code::DataLoss, "STORE_DAMAGED"), "{message}");
    assert!(message.contains("ledger.sqlite") && message.contains("backup"), "{message}");
}

#[tokio::test]
async fn a_directory_that_can_not_be_written_is_told() {
    let dir = tempfile::tempdir().expect("a directory");
    let Some(disk) = Disk::mount(dir.path(), 16) else {
        eprintln!("not checked: mounting a disk read-only needs root");
        return;
    };
    disk.forbid_writes();
    let told = refused(&disk.path().join("data")).await;
    assert!(told.contains("Read-only file system") && told.contains("data"), "{told}");
}

#[tokio::test]
async fn a_ledger_that_was_deleted_is_made_anew_while_the_journal_is_whole() {
    let (dir, id) = stopped().await;
    for name in ["ledger.sqlite", "ledger.sqlite-logs"] {
        std::fs::remove_file(dir.path().join("data").join(name)).expect("removed");
    }
    let server = Server::start(dir.path(), &[]).await;
    let world = World { server, dir };
    let job = world.client().get(&id).await.expect("is there");
    assert_eq!(job.state(), JobState::Succeeded);
}
