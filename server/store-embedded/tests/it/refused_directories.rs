//! Data directories that must be refused, each with a remedy in the error.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use diesel::connection::SimpleConnection;
use diesel::prelude::*;
use sentinel_store::conformance::fixture;
use sentinel_store::{Position, Store};
use sentinel_store_embedded::{DirLock, EmbeddedStore, LedgerState, OpenError, OpenOptions};

use crate::durability::options;

/// Returns a directory with several journal files, and the head of the journal.
async fn filled() -> (tempfile::TempDir, Position) {
    let dir = tempfile::tempdir().expect("a directory");
    let mut options = options(dir.path(), 1_000);
    options.journal_segment_bytes = 150;
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
    drop(store);
    (dir, head)
}

fn files(dir: &Path) -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> = std::fs::read_dir(dir.join("journal"))
        .expect("is there")
        .map(|file| file.expect("is readable").path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "sqlite"))
        .collect();
    files.sort();
    assert!(files.len() > 3, "the journal has several files: {files:?}");
    files
}

fn refused(dir: &Path, checkpoint: Position) -> OpenError {
    let ledger = LedgerState { checkpoint, ..LedgerState::default() };
    match EmbeddedStore::open(options(dir, 2_000), ledger) {
        Ok(_) => panic!("the store was opened"),
        Err(error) => error,
    }
}

fn sql(file: &Path, text: &str) {
    let mut connection =
        SqliteConnection::establish(&file.display().to_string()).expect("is a database");
    connection.batch_execute(text).expect("runs");
}

#[tokio::test]
async fn a_newer_format_is_refused() {
    let (dir, _) = filled().await;
    sql(&files(dir.path())[1], "UPDATE meta SET format = 99");
    let error = refused(dir.path(), Position::default());
    assert!(matches!(error, OpenError::Newer { format: 99, .. }), "{error}");
    assert!(error.to_string().contains("start the version that wrote it"), "{error}");
}

#[tokio::test]
async fn a_file_that_is_no_database_is_refused() {
    let (dir, _) = filled().await;
    let file = files(dir.path())[2].clone();
    std::fs::write(&file, b"not a database, but long enough to be read as a database header")
        .expect("writes");
    let error = refused(dir.path(), Position::default());
    assert!(matches!(&error, OpenError::Damaged { file: named, .. } if *named == file), "{error}");
    assert!(error.to_string().contains("backup"), "{error}");
}

#[tokio::test]
async fn a_truncated_file_is_refused() {
    let (dir, _) = filled().await;
    let file = files(dir.path())[1].clone();
    let truncated = std::fs::File::options().write(true).open(&file).expect("the store opens");
    let length = truncated.metadata().expect("is there").len();
    truncated.set_len(length / 2).expect("cuts");
    let error = refused(dir.path(), Position::default());
    assert!(matches!(&error, OpenError::Damaged { file: named, .. } if *named == file), "{error}");
}

#[tokio::test]
async fn a_changed_entry_is_refused() {
    let (dir, _) = filled().await;
    sql(&files(dir.path())[1], "UPDATE entries SET body = body || x'00'");
    let error = refused(dir.path(), Position::default());
    assert!(matches!(error, OpenError::Damaged { .. }), "{error}");
}

#[tokio::test]
async fn a_missing_file_is_refused() {
    let (dir, _) = filled().await;
    std::fs::remove_file(&files(dir.path())[2]).expect("deletes");
    let error = refused(dir.path(), Position::default());
    assert!(matches!(error, OpenError::Gap { .. }), "{error}");
}

#[tokio::test]
async fn a_missing_first_file_is_refused_unless_it_is_projected() {
    let (dir, head) = filled().await;
    std::fs::remove_file(&files(dir.path())[0]).expect("deletes");
    let error = refused(dir.path(), Position::default());
    assert!(matches!(error, OpenError::LedgerBehind { .. }), "{error}");
    let ledger = LedgerState { checkpoint: head, ..LedgerState::default() };
    EmbeddedStore::open(options(dir.path(), 2_000), ledger)
        .expect("the ledger has the missing entries");
}

#[tokio::test]
async fn a_ledger_of_another_epoch_or_ahead_is_refused() {
    let (dir, head) = filled().await;
    let error = refused(dir.path(), Position { epoch: head.epoch + 1, ..head });
    assert!(matches!(error, OpenError::OtherEpoch { .. }), "{error}");
    let error = refused(dir.path(), Position { seq: head.seq + 1, ..head });
    assert!(matches!(error, OpenError::LedgerAhead { .. }), "{error}");
}

#[tokio::test]
async fn a_ledger_without_a_journal_is_refused() {
    let dir = tempfile::tempdir().expect("a directory");
    let error = refused(dir.path(), Position { epoch: 7, seq: 3 });
    assert!(matches!(error, OpenError::NoJournal { .. }), "{error}");
}

#[tokio::test]
async fn a_change_of_a_missing_job_is_refused() {
    let (dir, head) = filled().await;
    let store = EmbeddedStore::open(options(dir.path(), 2_000), LedgerState::default())
        .expect("the store opens");
    let session = fixture::session(1);
    let request =
        fixture::Writer::new(2).request(2_000).transaction(fixture::put_session(session, 2, 9_000));
    let request = request.claim(fixture::claim(session, &["q"], &["k"], 1));
    store.commit(request.build()).await.expect("the commit succeeds");
    drop(store);
    let error = refused(dir.path(), head);
    assert!(matches!(error, OpenError::UnknownJob { .. }), "{error}");
}

#[test]
fn a_lock_that_is_a_link_is_refused_and_its_target_is_unchanged() {
    type Link = fn(&Path, &Path) -> std::io::Result<()>;
    let links: [Link; 2] = [
        |target, link| std::os::unix::fs::symlink(target, link),
        |target, link| std::fs::hard_link(target, link),
    ];
    for link in links {
        let dir = tempfile::tempdir().unwrap();
        let (data, target) = (dir.path().join("data"), dir.path().join("target"));
        std::fs::create_dir(&data).unwrap();
        std::fs::write(&target, "precious").unwrap();
        link(&target, &data.join("lock")).unwrap();
        let error = DirLock::acquire(&data).expect_err("a link");
        assert!(error.to_string().contains("lock"), "{error}");
        assert_eq!(std::fs::read_to_string(&target).unwrap(), "precious");
    }
}

#[test]
fn a_ballast_that_is_a_link_is_replaced_and_its_target_is_unchanged() {
    let dir = tempfile::tempdir().unwrap();
    let (data, target) = (dir.path().join("data"), dir.path().join("target"));
    std::fs::create_dir(&data).unwrap();
    std::fs::write(&target, "precious").unwrap();
    std::os::unix::fs::symlink(&target, data.join("ballast")).unwrap();
    let lock = Arc::new(DirLock::acquire(&data).unwrap());
    let options = OpenOptions { ballast_bytes: 4096, ..OpenOptions::new(lock, 0) };
    let store = EmbeddedStore::open(options, LedgerState::default()).unwrap();
    drop(store);
    assert_eq!(std::fs::read_to_string(&target).unwrap(), "precious");
    assert!(data.join("ballast").symlink_metadata().unwrap().is_file());
}
