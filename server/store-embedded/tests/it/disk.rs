//! What happens when the disk is full, and what the journal gives back.

use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use rustix::process::{Resource, Rlimit, setrlimit};
use sentinel_domain::{Command as Verb, NewJob, decide};
use sentinel_faults::Disk;
use sentinel_store::conformance::fixture;
use sentinel_store::{JournalPage, Position, Store, StoreError, TrimRequest};
use sentinel_store_embedded::{DirLock, EmbeddedStore, OpenOptions, LedgerState};

use crate::durability::options;

#[tokio::test]
async fn a_full_disk_takes_reports_but_no_new_jobs() {
    let dir = tempfile::tempdir().expect("a directory");
    let Some(disk) = Disk::mount(dir.path(), 16) else {
        eprintln!("not checked: mounting a small disk needs root");
        return;
    };
    let lock = Arc::new(DirLock::acquire(disk.path().join("data")).expect("nobody else has it"));
    let options = OpenOptions {
        ballast_bytes: 4 << 20,
        journal_segment_bytes: 3 << 20,
        ..OpenOptions::new(lock, 1_000)
    };
    let store = EmbeddedStore::open(options, LedgerState::default()).expect("opens");
    let mut writer = fixture::Writer::new(1);
    let session = fixture::session(1);
    let call = writer.request(1_000).transaction(fixture::put_session(session, 1, 90_000));
    let call = call.transaction(fixture::create(&fixture::job("q", "k", 1_000, 0)));
    let call = call.claim(fixture::claim(session, &["q"], &["k"], 1)).build();
    let running = store.commit(call).await.expect("commits").claimed.remove(0).remove(0);

    let big = |new: &mut NewJob| new.payload = vec![b'x'; 1 << 20].into();
    let mut created = Vec::new();
    let refusal = loop {
        let n = created.len() as u64 + 1;
        let job = fixture::job_from_spec(fixture::spec("q", "k", 1_000, big), 1_000, n);
        match store.commit(writer.request(1_000).transaction(fixture::create(&job)).build()).await {
            Ok(_) => created.push(job.id),
            Err(error) => {
                let there = store.read(vec![job.id]).await.expect("answers");
                assert_eq!(there, [None], "nothing was applied");
                break error;
            }
        }
        assert!(created.len() < 64, "the disk is small");
    };
    assert!(matches!(refusal, StoreError::Full(_)), "{refusal}");

    let lease = running.status.lease.expect("it runs").id;
    let done = Verb::Succeed { lease, started_at: None, result: "x".into() };
    let done = decide(&running, &done, 1_001).expect("its lease is live");
    let call = writer.request(1_001).transaction(fixture::update(&running, done)).build();
    store.commit(call).await.expect("a report has room");

    let call = writer.request(1_002).transaction(fixture::create(&fixture::job("q", "k", 1_000, 99))).build();
    let refusal = store.commit(call.clone()).await.expect_err("the disk is still full");
    assert!(matches!(refusal, StoreError::Full(_)), "{refusal}");
    disk.resize(64);
    let call = sentinel_store::CommitRequest { now: 5_000, ..call };
    store.commit(call).await.expect("there is room again, and the call was not applied before");
    drop(store);
}

const LIMITED_DIR: &str = "SENTINEL_TEST_LIMITED_DIR";

/// Runs in a process that ignores SIGXFSZ, so that a write beyond its limit is an error.
/// Without a directory in the environment it is not that process and has nothing to do.
#[tokio::test]
async fn limited() {
    let Some(dir) = std::env::var_os(LIMITED_DIR) else { return };
    let limit = |bytes: Option<u64>| {
        let limit = Rlimit { current: bytes, maximum: None };
        setrlimit(Resource::Fsize, limit).expect("a soft limit can be set");
    };
    let store = EmbeddedStore::open(options(Path::new(&dir), 1_000), LedgerState::default()).expect("opens");
    let mut writer = fixture::Writer::new(1);
    let before = fixture::job("q", "k", 1_000, 1);
    let call = writer.request(1_000).transaction(fixture::create(&before)).build();
    store.commit(call).await.expect("there is room");
    let log = Path::new(&dir).join("journal/journal-00000000000000000001.sqlite-wal");
    limit(Some(log.metadata().expect("a log").len() + 1_000));
    let job = fixture::job("q", "k", 1_000, 2);
    let call = writer.request(1_000).transaction(fixture::create(&job)).build();
    for _ in 0..3 {
        let error = store.commit(call.clone()).await.expect_err("the file can not grow");
        assert!(matches!(error, StoreError::Full(_) | StoreError::OutcomeUnknown(_)), "{error}");
        assert_eq!(store.read(vec![job.id]).await.expect("answers"), [None]);
    }
    limit(None);
    store.commit(call.clone()).await.expect("the same call again");
    store.commit(call).await.expect("is answered as before");
    drop(store);
    let store = EmbeddedStore::open(options(Path::new(&dir), 2_000), LedgerState::default()).expect("opens");
    assert_eq!(store.head().borrow().seq, 2, "once");
    let jobs = store.read(vec![before.id, job.id]).await.expect("answers");
    assert!(jobs.iter().all(Option::is_some));
    println!("went on");
}

#[test]
fn a_file_that_can_not_grow_loses_nothing_and_goes_on() {
    let dir = tempfile::tempdir().expect("a directory");
    let ended = Command::new("sh")
        .args(["-c", "trap '' XFSZ; exec \"$@\"", "sh"])
        .arg(std::env::current_exe().expect("has a path"))
        .args(["disk::limited", "--exact", "--nocapture", "--test-threads=1"])
        .env(LIMITED_DIR, dir.path())
        .output()
        .expect("runs");
    let (out, err) =
        (String::from_utf8_lossy(&ended.stdout), String::from_utf8_lossy(&ended.stderr));
    assert!(ended.status.success() && out.contains("went on"), "{out}{err}");
}

#[tokio::test]
async fn the_journal_gives_back_only_what_is_projected() {
    let dir = tempfile::tempdir().expect("a directory");
    let mut options = options(dir.path(), 1_000);
    options.journal_segment_bytes = 150;
    options.ring.events = 1;
    let store = EmbeddedStore::open(options, LedgerState::default()).expect("opens");
    let mut writer = fixture::Writer::new(1);
    for n in 0..10 {
        let call = writer.request(1_000).transaction(fixture::create(&fixture::job("q", "k", 1_000, n))).build();
        store.commit(call).await.expect("commits");
    }
    let head = *store.head().borrow();
    let trim = |projected: u64, journal_before| TrimRequest {
        projected: Position { seq: projected, ..head },
        terminal_before: 0,
        journal_before,
        limit: 10,
    };
    store.trim(trim(10, 1_000)).await.expect("answers");
    let tail = store.read_journal(Position::default(), 3).await.expect("answers");
    assert!(matches!(tail, JournalPage::Entries(entries) if !entries.is_empty()), "nothing is old");
    store.trim(trim(5, 2_000)).await.expect("answers");
    let tail = store.read_journal(Position::default(), 3).await.expect("answers");
    assert!(matches!(tail, JournalPage::Trimmed), "{tail:?}");
    let from = Position { seq: 5, ..head };
    let JournalPage::Entries(entries) = store.read_journal(from, 10).await.expect("answers") else {
        panic!("what is not projected stays")
    };
    assert_eq!(entries.first().map(|entry| entry.position.seq), Some(6));
}

#[tokio::test]
async fn a_ledger_that_is_far_behind_keeps_new_jobs_out_until_it_has_caught_up() {
    let dir = tempfile::tempdir().expect("a directory");
    let mut options = options(dir.path(), 1_000);
    options.journal_segment_bytes = 4_096;
    options.journal_max_bytes = 16_384;
    let store = EmbeddedStore::open(options, LedgerState::default()).expect("opens");
    let mut writer = fixture::Writer::new(1);
    let mut made = 0;
    let mut create = async |limit: u64| loop {
        made += 1;
        assert!(made < limit, "it is never full");
        let call = writer.request(1_000).transaction(fixture::create(&fixture::job("q", "k", 1_000, made)));
        if let Err(error) = store.commit(call.build()).await {
            break error;
        }
    };
    let error = create(10_000).await;
    assert!(matches!(error, StoreError::Full(_)), "{error}");
    let head = *store.head().borrow();
    let trim = |projected| TrimRequest { projected, terminal_before: 0, journal_before: 1_000, limit: 10 };
    store.trim(trim(Position { seq: 1, ..head })).await.expect("answers");
    let error = create(10_000).await;
    assert!(matches!(error, StoreError::Full(_)), "{error}");
    // Nothing was dropped: the projector finds all of it.
    let JournalPage::Entries(entries) = store.read_journal(Position::default(), 3).await.expect("answers")
    else {
        panic!("nothing unprojected goes")
    };
    assert_eq!(entries[0].position.seq, 1);
    store.trim(trim(head)).await.expect("answers");
    let call = fixture::Writer::new(2).request(1_000);
    let call = call.transaction(fixture::create(&fixture::job("q", "k", 1_000, 99_999))).build();
    store.commit(call).await.expect("there is room again");
}
