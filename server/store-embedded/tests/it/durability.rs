//! Acknowledged changes survive a restart.

use std::sync::Arc;

use sentinel_domain::{Command, State, decide};
use sentinel_store::conformance::fixture;
use sentinel_store::{
    JournalPage, Mutation, Position, Precondition, Store, Transaction, TransactionResult,
};
use sentinel_store_embedded::{DirLock, EmbeddedStore, LedgerState, OpenError, OpenOptions};

pub(crate) fn options(dir: &std::path::Path, now: i64) -> OpenOptions {
    let lock = Arc::new(DirLock::acquire(dir).expect("the lock is free"));
    OpenOptions { ballast_bytes: 0, ..OpenOptions::new(lock, now) }
}

#[tokio::test]
async fn a_job_survives_restarts() {
    let dir = tempfile::tempdir().expect("a directory");
    let store = EmbeddedStore::open(options(dir.path(), 1_000), LedgerState::default())
        .expect("the store opens");
    let mut writer = fixture::Writer::new(1);
    let job = fixture::job("q", "k", 1_000, 1);
    let session = fixture::session(7);
    let request = writer
        .request(1_000)
        .transaction(fixture::create(&job))
        .transaction(fixture::put_session(session, 1, 60_000))
        .claim(fixture::claim(session, &["q"], &["k"], 10));
    let result = store.commit(request.build()).await.expect("the commit succeeds");
    assert_eq!(result.results, vec![TransactionResult::Committed; 2]);
    assert_eq!(result.claimed[0].len(), 1);
    drop(store);

    let store = EmbeddedStore::open(options(dir.path(), 2_000), LedgerState::default())
        .expect("the store opens again");
    let running = store.session_jobs(session).await.expect("the store answers");
    assert_eq!(running, result.claimed[0]);
    let lease = running[0].status.lease.expect("the job is running").id;
    let command = Command::Succeed { lease, started_at: None, result: "x".into() };
    let done = decide(&running[0], &command, 2_000).expect("the lease is current");
    let mut writer = fixture::Writer::new(2);
    let request = writer.request(2_000).transaction(fixture::update(&running[0], done));
    store.commit(request.build()).await.expect("the commit succeeds");
    let JournalPage::Entries(entries) =
        store.read_journal(Position::default(), 10).await.expect("the store answers")
    else {
        panic!("nothing was trimmed")
    };
    assert_eq!(entries.len(), 2, "one entry is read from its file");
    drop(store);

    let store = EmbeddedStore::open(options(dir.path(), 3_000), LedgerState::default())
        .expect("the store opens again");
    let stored = store.read(vec![job.id]).await.expect("the store answers");
    assert_eq!(stored[0].as_ref().expect("terminal jobs are kept").status.state, State::Succeeded);
}

/// An offset comes from the ledger if its journal entry was deleted. Otherwise the journal's is
/// newer.
#[tokio::test]
async fn producer_offsets_survive_a_restart() {
    let dir = tempfile::tempdir().expect("a directory");
    let store = EmbeddedStore::open(options(dir.path(), 1_000), LedgerState::default())
        .expect("the store opens");
    let mut writer = fixture::Writer::new(1);
    let offset = |id: &str, n: &str| fixture::idempotency_record(id, n.as_bytes(), 9_000);
    let put = |record| Transaction {
        mutations: vec![Mutation::PutIdempotencyRecord(record)],
        ..Transaction::default()
    };
    let request = writer.request(1_000).transaction(put(offset("ingest/orders", "5")));
    store.commit(request.build()).await.expect("the commit succeeds");
    drop(store);

    let producers = vec![offset("ingest/orders", "4"), offset("ingest/returns", "7")];
    let ledger = LedgerState { producers, ..LedgerState::default() };
    let store =
        EmbeddedStore::open(options(dir.path(), 2_000), ledger).expect("the store opens again");
    let require = |id: &str, n: &'static str| Transaction {
        preconditions: vec![Precondition::IdempotencyRecord {
            id: id.into(),
            response: Some(n.into()),
        }],
        ..Transaction::default()
    };
    let mut writer = fixture::Writer::new(2);
    let request = writer.request(2_000).transaction(require("ingest/orders", "5"));
    let request = request.transaction(require("ingest/returns", "7"));
    let result = store.commit(request.build()).await.expect("the commit succeeds");
    assert_eq!(result.results, [TransactionResult::Committed, TransactionResult::Committed]);
}

#[test]
fn a_locked_directory_is_refused() {
    let dir = tempfile::tempdir().expect("a directory");
    let _lock = DirLock::acquire(dir.path()).expect("the lock is free");
    let error = DirLock::acquire(dir.path()).expect_err("the lock is held");
    assert!(matches!(&error, OpenError::Locked { .. }), "{error}");
    assert!(error.to_string().contains(&dir.path().display().to_string()), "{error}");
}
