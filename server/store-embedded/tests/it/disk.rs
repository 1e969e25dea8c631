//! Full disks, and the deletion of journal files.

use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use rustix::process::{Resource, Rlimit, setrlimit};
use sentinel_domain::{Command as JobCommand, NewJob, decide};
use sentinel_faults::Disk;
use sentinel_store::conformance::fixture;
use sentinel_store::{JournalPage, Position, Store, StoreError, TrimRequest};
use sentinel_store_embedded::{DirLock, EmbeddedStore, LedgerState, OpenOptions};

use crate::durability::options;

#[tokio::test]
async fn a_full_disk_accepts_reports_but_no_new_jobs() {
    let dir = tempfile::tempdir().expect("a directory");
    let Some(disk) = Disk::mount(dir.path(), 16) else {
        eprintln!("skipped: mounting a small disk needs root");
        return;
    };
    let lock = Arc::new(DirLock::acquire(disk.path().join("data")).expect("the lock is free"));
    let options = OpenOptions {
        ballast_bytes: 4 << 20,
        journal_segment_bytes: 3 << 20,
        ..OpenOptions::new(lock, 1_000)
    };
    let store = EmbeddedStore::open(options, LedgerState::default()).expect("the store opens");
    let mut writer = fixture::Writer::new(1);
    let session = fixture::session(1);
    let request = writer.request(1_000).transaction(fixture::put_session(session, 1, 90_000));
    let request = request.transaction(fixture::create(&fixture::job("q", "k", 1_000, 0)));
    let request = request.claim(fixture::claim(session, &["q"], &["k"], 1)).build();
    let running =
        store.commit(request).await.expect("the commit succeeds").claimed.remove(0).remove(0);

    let big = |new: &mut NewJob| new.payload = vec![b'x'; 1 << 20].into();
    let mut created = Vec::new();
    let refusal = loop {
        let n = created.len() as u64 + 1;
        let job = fixture::job_from_spec(fixture::spec("q", "k", 1_000, big), 1_000, n);
        match store.commit(writer.request(1_000).transaction(fixture::create(&job)).build()).await {
            Ok(_) => created.push(job.id),
            Err(error) => {
                let stored = store.read(vec![job.id]).await.expect("the store answers");
                assert_eq!(stored, [None], "nothing is applied");
                break error;
            }
        }
        assert!(created.len() < 64, "the disk is never full");
    };
    assert!(matches!(refusal, StoreError::Full(_)), "{refusal}");

    let lease = running.status.lease.expect("the job is running").id;
    let done = JobCommand::Succeed { lease, started_at: None, result: "x".into() };
    let done = decide(&running, &done, 1_001).expect("the lease is current");
    let request = writer.request(1_001).transaction(fixture::update(&running, done)).build();
    store.commit(request).await.expect("a report has space");

    let request = writer
        .request(1_002)
        .transaction(fixture::create(&fixture::job("q", "k", 1_000, 99)))
        .build();
    let refusal = store.commit(request.clone()).await.expect_err("the disk is still full");
    assert!(matches!(refusal, StoreError::Full(_)), "{refusal}");
    disk.resize(64);
    let request = sentinel_store::CommitRequest { now: 5_000, ..request };
    store
        .commit(request)
        .await
        .expect("there is space again, and the request was not applied before");
    drop(store);
}

const LIMITED_DIR: &str = "SENTINEL_TEST_LIMITED_DIR";

/// The child process of the next test. It ignores SIGXFSZ, so that a write above its limit fails.
/// Without the environment variable it does nothing.
#[tokio::test]
async fn child_with_file_size_limit() {
    let Some(dir) = std::env::var_os(LIMITED_DIR) else { return };
    let limit = |bytes: Option<u64>| {
        let limit = Rlimit { current: bytes, maximum: None };
        setrlimit(Resource::Fsize, limit).expect("a soft limit can be set");
    };
    let store = EmbeddedStore::open(options(Path::new(&dir), 1_000), LedgerState::default())
        .expect("the store opens");
    let mut writer = fixture::Writer::new(1);
    let before = fixture::job("q", "k", 1_000, 1);
    let request = writer.request(1_000).transaction(fixture::create(&before)).build();
    store.commit(request).await.expect("there is space");
    let log = Path::new(&dir).join("journal/journal-00000000000000000001.sqlite-wal");
    limit(Some(log.metadata().expect("a log").len() + 1_000));
    let job = fixture::job("q", "k", 1_000, 2);
    let request = writer.request(1_000).transaction(fixture::create(&job)).build();
    for _ in 0..3 {
        let error = store.commit(request.clone()).await.expect_err("the file can not grow");
        assert!(matches!(error, StoreError::Full(_) | StoreError::OutcomeUnknown(_)), "{error}");
        assert_eq!(store.read(vec![job.id]).await.expect("the store answers"), [None]);
    }
    limit(None);
    store.commit(request.clone()).await.expect("the repeated request succeeds");
    store.commit(request).await.expect("a repeat gets the same result");
    drop(store);
    let store = EmbeddedStore::open(options(Path::new(&dir), 2_000), LedgerState::default())
        .expect("the store opens");
    assert_eq!(store.head().borrow().seq, 2, "the commit is applied once");
    let jobs = store.read(vec![before.id, job.id]).await.expect("the store answers");
    assert!(jobs.iter().all(Option::is_some));
    println!("continued");
}

#[test]
fn the_store_continues_after_failed_writes() {
    let dir = tempfile::tempdir().expect("a directory");
    let ended = Command::new("sh")
        .args(["-c", "trap '' XFSZ; exec \"$@\"", "sh"])
        .arg(std::env::current_exe().expect("has a path"))
        .args(["disk::child_with_file_size_limit", "--exact", "--nocapture", "--test-threads=1"])
        .env(LIMITED_DIR, dir.path())
        .output()
        .expect("runs");
    let (out, err) =
        (String::from_utf8_lossy(&ended.stdout), String::from_utf8_lossy(&ended.stderr));
    assert!(ended.status.success() && out.contains("continued"), "{out}{err}");
}

#[tokio::test]
async fn only_projected_journal_files_are_deleted() {
    let dir = tempfile::tempdir().expect("a directory");
    let mut options = options(dir.path(), 1_000);
    options.journal_segment_bytes = 150;
    options.ring.events = 1;
    let store = EmbeddedStore::open(options, LedgerState::default()).expect("the store opens");
    let mut writer = fixture::Writer::new(1);
    for n in 0..10 {
        let request = writer
            .request(1_000)
            .transaction(fixture::create(&fixture::job("q", "k", 1_000, n)))
            .build();
        store.commit(request).await.expect("the commit succeeds");
    }
    let head = *store.head().borrow();
    let trim = |projected: u64, journal_before| TrimRequest {
        projected: Position { seq: projected, ..head },
        terminal_before: 0,
        journal_before,
        limit: 10,
    };
    store.trim(trim(10, 1_000)).await.expect("the store answers");
    let page = store.read_journal(Position::default(), 3).await.expect("the store answers");
    assert!(
        matches!(page, JournalPage::Entries(entries) if !entries.is_empty()),
        "no file is old enough"
    );
    store.trim(trim(5, 2_000)).await.expect("the store answers");
    let page = store.read_journal(Position::default(), 3).await.expect("the store answers");
    assert!(matches!(page, JournalPage::Trimmed), "{page:?}");
    let from = Position { seq: 5, ..head };
    let JournalPage::Entries(entries) =
        store.read_journal(from, 10).await.expect("the store answers")
    else {
        panic!("entries that are not projected are kept")
    };
    assert_eq!(entries.first().map(|entry| entry.position.seq), Some(6));
}

#[tokio::test]
async fn new_jobs_are_refused_while_the_ledger_is_too_far_behind() {
    let dir = tempfile::tempdir().expect("a directory");
    let mut options = options(dir.path(), 1_000);
    options.journal_segment_bytes = 4_096;
    options.journal_max_bytes = 16_384;
    let store = EmbeddedStore::open(options, LedgerState::default()).expect("the store opens");
    let mut writer = fixture::Writer::new(1);
    let mut made = 0;
    let mut create = async |limit: u64| loop {
        made += 1;
        assert!(made < limit, "the store is never full");
        let request = writer
            .request(1_000)
            .transaction(fixture::create(&fixture::job("q", "k", 1_000, made)));
        if let Err(error) = store.commit(request.build()).await {
            break error;
        }
    };
    let error = create(10_000).await;
    assert!(matches!(error, StoreError::Full(_)), "{error}");
    let head = *store.head().borrow();
    let trim =
        |projected| TrimRequest { projected, terminal_before: 0, journal_before: 1_000, limit: 10 };
    store.trim(trim(Position { seq: 1, ..head })).await.expect("the store answers");
    let error = create(10_000).await;
    assert!(matches!(error, StoreError::Full(_)), "{error}");
    // The projector can still read the whole journal.
    let JournalPage::Entries(entries) =
        store.read_journal(Position::default(), 3).await.expect("the store answers")
    else {
        panic!("entries that are not projected are kept")
    };
    assert_eq!(entries[0].position.seq, 1);
    store.trim(trim(head)).await.expect("the store answers");
    let request = fixture::Writer::new(2).request(1_000);
    let request =
        request.transaction(fixture::create(&fixture::job("q", "k", 1_000, 99_999))).build();
    store.commit(request).await.expect("there is space again");
}
