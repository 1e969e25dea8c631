//! Disk faults under a data directory: the errors for callers and operators, and the recovery when
//! the disk works again.

use std::path::Path;
use std::time::Duration;

use sentinel_client::proto::jobs::v1::{EnqueueRequest, JobState};
use sentinel_client::{Client, Error, NewJob};
use sentinel_faults::Disk;
use serde_json::json;
use tonic::Code;
use tonic_types::StatusExt;

use crate::harness::{
    CommandOutput, ServerProcess, TIMEOUT, TestServer, demo_job, enqueue, sentinel, wait_state,
    wait_terminal, wait_until,
};
use crate::raw::ingest::{RawProducer, item};
use crate::raw::{RawClients, error_reason};

/// Returns a large job that no worker of these tests runs.
fn large() -> NewJob {
    NewJob::new("other", "other.kind").payload(vec![b'x'; 500_000])
}

/// Enqueues large jobs until one is refused with STORE_FULL, and returns the ids of the others.
async fn enqueue_until_store_full(client: &Client) -> Vec<String> {
    let mut stored = Vec::new();
    let status = loop {
        let request = EnqueueRequest { spec: Some(large().into()), ..Default::default() };
        match client.raw_jobs().enqueue(request).await {
            Ok(response) => stored.push(response.into_inner().job.expect("a job").id),
            Err(error) => break error,
        }
        assert!(stored.len() < 400, "the disk must be full by now");
    };
    assert_eq!(status.code(), Code::ResourceExhausted, "{status}");
    let details = status.get_error_details();
    assert_eq!(details.error_info().expect("a reason").reason, "STORE_FULL");
    assert!(details.retry_info().is_some_and(|info| info.retry_delay.is_some()), "{details:?}");
    stored
}

#[tokio::test]
async fn a_server_with_a_full_disk_records_reports_and_recovers() {
    let dir = tempfile::tempdir().expect("a directory");
    let Some(disk) = Disk::mount(&dir.path().join("data"), 400) else {
        eprintln!("skipped: mounting a small disk needs root");
        return;
    };
    let server = TestServer::in_dir(dir, &["--auto-create-queues"]).await;
    let client = server.client();
    let _worker = server.start_worker("w1", &["--concurrency", "64"]).await;
    let mut running = Vec::new();
    for _ in 0..20 {
        running.push(enqueue(&client, demo_job("sleep", json!({"ms": 1_500}))).await);
    }
    for id in &running {
        wait_state(&client, id, JobState::Running).await;
    }
    disk.fill(3 << 20);
    let stored = enqueue_until_store_full(&client).await;
    let raw = RawClients::connect(&server).await;
    let (mut producer, _) = RawProducer::start(&raw, "numbered").await;
    producer.send(item(1, large().into())).await;
    let (committed, result) = producer.closed().await;
    assert_eq!(
        (committed, error_reason(result)),
        (0, (Code::ResourceExhausted, "STORE_FULL".to_owned()))
    );
    let ingest = client.ingest("sdk").await.expect("open a stream on a full disk");
    ingest.send(large()).await.expect("send an item");
    for id in &running {
        assert_eq!(
            wait_terminal(&client, id).await.state(),
            JobState::Succeeded,
            "reports are recorded on a full disk"
        );
    }
    disk.free();
    let report = tokio::time::timeout(TIMEOUT, ingest.finish()).await.expect("a result in time");
    assert_eq!(
        report.expect("commit all items").committed_offset,
        1,
        "the SDK retries until the disk has space"
    );
    let (mut producer, started) = RawProducer::start(&raw, "numbered").await;
    assert_eq!(started.committed_offset, 0);
    producer.send(item(1, large().into())).await;
    producer.committed(1).await;
    let after = wait_until("the disk has space again", TIMEOUT, || async {
        client.enqueue(demo_job("echo", json!({"x": 1}))).await.ok()
    })
    .await;
    assert_eq!(wait_terminal(&client, &after.job.id).await.state(), JobState::Succeeded);
    for id in &stored {
        assert_eq!(client.get(id).await.expect("an existing job").state(), JobState::Ready);
    }
    wait_until("the server recreates its reserve file", TIMEOUT, || async {
        let _ = client.enqueue(demo_job("noop", json!({}))).await;
        let ballast = std::fs::metadata(disk.path().join("ballast")).ok()?;
        (ballast.len() == 64 << 20).then_some(())
    })
    .await;
    // Unmount before the parent directory is removed.
    drop(disk);
}

/// Returns the directory of a stopped server and the id of a job with a large spec.
async fn stopped() -> (tempfile::TempDir, String) {
    let mut server = TestServer::start().await;
    let client = server.client();
    let worker = server.start_worker("w1", &[]).await;
    // A spec of this size is stored outside of the job's row.
    let id = enqueue(&client, demo_job("noop", json!({"x": "z".repeat(3_000)}))).await;
    wait_terminal(&client, &id).await;
    for _ in 0..300 {
        enqueue(&client, demo_job("noop", json!({})).delay(Duration::from_secs(999))).await;
    }
    drop(worker);
    server.signal(rustix::process::Signal::TERM);
    server.wait_exit(TIMEOUT).await;
    let TestServer { process, dir } = server;
    drop(process);
    (dir, id)
}

/// Returns the error of `sentinel serve` on an unusable data directory.
async fn serve_error(data: &Path) -> String {
    let args = ["serve", "--listen", "127.0.0.1:0", "--ops-listen", "127.0.0.1:0", "--data-dir"];
    let CommandOutput { code, stdout, stderr } =
        sentinel(args.into_iter().chain([data.to_str().expect("UTF-8")])).await;
    assert_eq!(code, 1, "{stdout}{stderr}");
    assert!(stderr.contains("error: ") && !stderr.contains("panicked"), "{stderr}");
    stderr
}

fn flip(file: &Path, at: usize, bytes: usize) {
    let mut content = std::fs::read(file).expect("a file");
    content[at..at + bytes].fill(0x5a);
    std::fs::write(file, content).expect("write a file");
}

#[tokio::test]
async fn errors_name_damaged_and_missing_files_and_the_next_step() {
    let (dir, _) = stopped().await;
    let data = dir.path().join("data");
    let files =
        ["ledger.sqlite", "ledger.sqlite-logs", "journal/journal-00000000000000000001.sqlite"];
    for name in files {
        let file = data.join(name);
        let good = std::fs::read(&file).expect("a file");
        flip(&file, 0, 100);
        let error = serve_error(&data).await;
        assert!(error.contains(name) && error.contains("backup"), "{error}");
        std::fs::write(&file, &good).expect("write a file");
    }
    let journal = data.join("journal");
    std::fs::rename(&journal, dir.path().join("aside")).expect("rename a file");
    assert!(serve_error(&data).await.contains("no journal"), "the ledger exists without a journal");
    std::fs::rename(dir.path().join("aside"), &journal).expect("rename a file back");
    let logs = data.join("ledger.sqlite-logs");
    std::fs::rename(&logs, dir.path().join("logs")).expect("rename a file");
    assert!(serve_error(&data).await.contains("ledger.sqlite-logs of the ledger is missing"));
    std::fs::rename(dir.path().join("logs"), &logs).expect("rename a file back");
    std::fs::write(data.join("journal/notes.txt"), "not ours").expect("write a file");
    ServerProcess::start(dir.path(), &[]).await;
}

/// The damaged ledger pages are not read at startup.
#[tokio::test]
async fn damage_that_startup_does_not_read_is_reported_by_calls_and_backups() {
    let (dir, id) = stopped().await;
    let data = dir.path().join("data");
    let ledger = data.join("ledger.sqlite");
    let bytes = std::fs::read(&ledger).expect("a ledger");
    let has_spec = |page: &usize| {
        bytes[page * 8_192..][..8_192].windows(100).any(|part| part.iter().all(|b| *b == b'z'))
    };
    let pages: Vec<usize> = (1..bytes.len() / 8_192).filter(has_spec).collect();
    assert!(!pages.is_empty(), "a large spec is on separate pages");
    for page in &pages {
        flip(&ledger, page * 8_192, 8_192);
    }
    let dest = dir.path().join("backup");
    let paths = [data.to_str().expect("UTF-8"), dest.to_str().expect("UTF-8")];
    let backup = sentinel(["backup", "--data-dir", paths[0], paths[1]]).await;
    assert!(backup.code == 6 && backup.stderr.contains("is damaged"), "{}", backup.stderr);
    assert!(!dest.exists());
    let flags = ["--store-retention", "1s"];
    let server = TestServer::in_dir(dir, &flags).await;
    let error = server.client().get(&id).await.expect_err("an error for a damaged page");
    let Error::Api { code, reason, message, .. } = error else { panic!("{error}") };
    assert_eq!((code, reason.as_str()), (Code::DataLoss, "STORE_DAMAGED"), "{message}");
    assert!(message.contains("ledger.sqlite") && message.contains("backup"), "{message}");
}

#[tokio::test]
async fn an_unwritable_directory_is_reported() {
    let dir = tempfile::tempdir().expect("a directory");
    let Some(disk) = Disk::mount(dir.path(), 16) else {
        eprintln!("skipped: mounting a read-only disk needs root");
        return;
    };
    disk.forbid_writes();
    let error = serve_error(&disk.path().join("data")).await;
    assert!(error.contains("Read-only file system") && error.contains("data"), "{error}");
}

#[tokio::test]
async fn a_deleted_ledger_is_rebuilt_from_a_complete_journal() {
    let (dir, id) = stopped().await;
    for name in ["ledger.sqlite", "ledger.sqlite-logs"] {
        std::fs::remove_file(dir.path().join("data").join(name)).expect("remove a file");
    }
    let server = TestServer::in_dir(dir, &[]).await;
    let job = server.client().get(&id).await.expect("an existing job");
    assert_eq!(job.state(), JobState::Succeeded);
}
