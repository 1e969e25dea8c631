//! Files that are full, not a ledger, damaged, newer, or reopened.

use diesel::connection::SimpleConnection;
use diesel::{Connection, SqliteConnection};
use sentinel_domain::limits::PAYLOAD_MAX_BYTES;
use sentinel_ledger::{Ledger, LedgerError, LedgerOptions};
use sentinel_store::Position;

use crate::journal_fixture::Journal;

async fn fresh() -> (tempfile::TempDir, Ledger) {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let ledger = Ledger::open(&directory.path().join("ledger.db")).await.expect("a new ledger");
    (directory, ledger)
}

#[tokio::test]
async fn projected_jobs_survive_reopening() {
    let (directory, ledger) = fresh().await;
    let mut journal = Journal::new(1);
    let at = ledger
        .project(Position::default(), vec![journal.entry_with_new_jobs(20)])
        .await
        .expect("written");
    drop(ledger);
    let ledger = Ledger::open(&directory.path().join("ledger.db")).await.expect("opened again");
    assert_eq!(ledger.checkpoint().await, Ok(at));
    let expected: Vec<_> = journal.jobs.values().cloned().collect();
    assert_eq!(ledger.live_jobs(None, 100).await.expect("jobs"), expected);
}

#[tokio::test]
async fn a_newer_format_is_refused() {
    let (directory, ledger) = fresh().await;
    drop(ledger);
    for name in ["ledger.db-logs", "ledger.db"] {
        let path = directory.path().join(name);
        let mut file = SqliteConnection::establish(path.to_str().expect("UTF-8")).expect("a file");
        file.batch_execute("INSERT INTO __diesel_schema_migrations (version) VALUES ('99999999')")
            .expect("a row");
        drop(file);
        let refused = Ledger::open(&directory.path().join("ledger.db")).await.err();
        let Some(LedgerError::NewerFormat { path: named, found, .. }) = refused else {
            panic!("{refused:?}")
        };
        assert_eq!((named, found.as_str()), (path, "99999999"));
    }
}

#[tokio::test]
async fn opening_a_file_that_is_not_a_ledger_names_it() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("ledger.db");
    std::fs::write(&path, vec![0x5a; 20_000]).expect("a file");
    let refused = Ledger::open(&path).await.err();
    assert!(
        matches!(&refused, Some(LedgerError::Damaged { path: named, .. }) if *named == path),
        "{refused:?}"
    );
    assert!(refused.expect("refused").to_string().contains("ledger.db"));
}

#[tokio::test]
async fn a_damaged_page_is_reported() {
    let (directory, ledger) = fresh().await;
    let mut journal = Journal::new(2);
    ledger
        .project(Position::default(), vec![journal.entry_with_new_jobs(500)])
        .await
        .expect("written");
    drop(ledger);
    let path = directory.path().join("ledger.db");
    let mut bytes = std::fs::read(&path).expect("the file");
    assert!(bytes.len() > 200_000, "closing checkpoints the write-ahead log");
    bytes[8192..].fill(0x5a);
    std::fs::write(&path, bytes).expect("a damaged file");
    let error = match Ledger::open(&path).await {
        Ok(ledger) => ledger.live_jobs(None, 1_000).await.err(),
        Err(error) => Some(error),
    };
    assert!(matches!(error, Some(LedgerError::Damaged { .. })), "{error:?}");
}

#[tokio::test]
async fn a_missing_directory_is_reported() {
    let directory = tempfile::tempdir().expect("a directory");
    let refused = Ledger::open(&directory.path().join("absent/ledger.db")).await.err();
    assert!(matches!(refused, Some(LedgerError::Unavailable { .. })), "{refused:?}");
}

#[tokio::test]
async fn a_full_ledger_keeps_its_jobs_and_resumes_when_there_is_space() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("ledger.db");
    let small = LedgerOptions { max_bytes: Some(1 << 20), ..LedgerOptions::new(PAYLOAD_MAX_BYTES) };
    let ledger = Ledger::open_with(&path, small).await.expect("a small ledger");
    let mut journal = Journal::new(3);
    let at = ledger
        .project(Position::default(), vec![journal.entry_with_new_jobs(50)])
        .await
        .expect("it fits");
    let large = vec![journal.entry_with_new_jobs(3_000)];
    let refused = ledger.project(at, large.clone()).await;
    assert_eq!(refused, Err(LedgerError::Full { path: path.clone() }));
    assert_eq!(ledger.checkpoint().await, Ok(at));
    assert_eq!(ledger.live_jobs(None, 10_000).await.expect("jobs").len(), 50);
    drop(ledger);
    let ledger = Ledger::open(&path).await.expect("without a limit");
    assert_eq!(ledger.project(at, large).await, Ok(journal.position));
    assert_eq!(ledger.live_jobs(None, 10_000).await.expect("jobs").len(), 3_050);
}

#[tokio::test]
async fn a_missing_log_file_is_reported() {
    let (directory, ledger) = fresh().await;
    drop(ledger);
    let path = directory.path().join("ledger.db");
    let logs = directory.path().join("ledger.db-logs");
    std::fs::remove_file(&logs).expect("removed");
    let refused = Ledger::open(&path).await.err();
    assert_eq!(refused, Some(LedgerError::MissingLogs { path: logs.clone() }));
    assert!(!logs.exists(), "no new file was created");
}
