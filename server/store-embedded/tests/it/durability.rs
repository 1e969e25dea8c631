//! What was acknowledged is there after the next start.

use std::sync::Arc;

use sentinel_domain::{Command, State, decide};
use sentinel_store::conformance::fixture;
use sentinel_store::{
    JournalPage, Mutation, Position, Precondition, Store, Transaction, TransactionResult,
};
use sentinel_store_embedded::{DirLock, EmbeddedStore, OpenError, OpenOptions, LedgerState};

pub(crate) fn options(dir: &std::path::Path, now: i64) -> OpenOptions {
    let lock = Arc::new(DirLock::acquire(dir).expect("nobody else has it"));
    OpenOptions { ballast_bytes: 0, ..OpenOptions::new(lock, now) }
}

#[tokio::test]
async fn a_job_lives_through_restarts() {
    let dir = tempfile::tempdir().expect("a directory");
    let store = EmbeddedStore::open(options(dir.path(), 1_000), LedgerState::default()).expect("opens");
    let mut writer = fixture::Writer::new(1);
    let job = fixture::job("q", "k", 1_000, 1);
    let session = fixture::session(7);
    let call = writer
        .request(1_000)
        .transaction(fixture::create(&job))
        .transaction(fixture::put_session(session, 1, 60_000))
        .claim(fixture::claim(session, &["q"], &["k"], 10));
    let outcome = store.commit(call.build()).await.expect("commits");
    assert_eq!(outcome.results, vec![TransactionResult::Committed; 2]);
    assert_eq!(outcome.claimed[0].len(), 1);
    drop(store);

    let store = EmbeddedStore::open(options(dir.path(), 2_000), LedgerState::default()).expect("opens again");
    let running = store.session_jobs(session).await.expect("answers");
    assert_eq!(running, outcome.claimed[0]);
    let lease = running[0].status.lease.expect("it runs").id;
    let command = Command::Succeed { lease, started_at: None, result: "x".into() };
    let done = decide(&running[0], &command, 2_000).expect("its lease is live");
    let mut writer = fixture::Writer::new(2);
    let call = writer.request(2_000).transaction(fixture::update(&running[0], done));
    store.commit(call.build()).await.expect("commits");
    let JournalPage::Entries(entries) = store.read_journal(Position::default(), 10).await.expect("answers")
    else {
        panic!("nothing was trimmed")
    };
    assert_eq!(entries.len(), 2, "the older one from its file");
    drop(store);

    let store = EmbeddedStore::open(options(dir.path(), 3_000), LedgerState::default()).expect("opens again");
    let there = store.read(vec![job.id]).await.expect("answers");
    assert_eq!(there[0].as_ref().expect("finals stay hot").status.state, State::Succeeded);
}

/// The ledger knows where a producer stands whose entries the journal let go; of one that the
/// journal has, it may know less.
#[tokio::test]
async fn producers_go_on_where_they_stood() {
    let dir = tempfile::tempdir().expect("a directory");
    let store = EmbeddedStore::open(options(dir.path(), 1_000), LedgerState::default()).expect("opens");
    let mut writer = fixture::Writer::new(1);
    let at = |id: &str, offset: &str| fixture::idempotency_record(id, offset.as_bytes(), 9_000);
    let stand = |memory| Transaction {
        mutations: vec![Mutation::PutIdempotencyRecord(memory)],
        ..Transaction::default()
    };
    let call = writer.request(1_000).transaction(stand(at("ingest/orders", "5")));
    store.commit(call.build()).await.expect("commits");
    drop(store);

    let producers = vec![at("ingest/orders", "4"), at("ingest/returns", "7")];
    let seed = LedgerState { producers, ..LedgerState::default() };
    let store = EmbeddedStore::open(options(dir.path(), 2_000), seed).expect("opens again");
    let stands = |id: &str, offset: &'static str| Transaction {
        preconditions: vec![Precondition::IdempotencyRecord { id: id.into(), response: Some(offset.into()) }],
        ..Transaction::default()
    };
    let mut writer = fixture::Writer::new(2);
    let call = writer.request(2_000).transaction(stands("ingest/orders", "5"));
    let call = call.transaction(stands("ingest/returns", "7"));
    let outcome = store.commit(call.build()).await.expect("commits");
    assert_eq!(outcome.results, [TransactionResult::Committed, TransactionResult::Committed]);
}

#[test]
fn a_second_process_is_kept_out() {
    let dir = tempfile::tempdir().expect("a directory");
    let _lock = DirLock::acquire(dir.path()).expect("nobody else has it");
    let error = DirLock::acquire(dir.path()).expect_err("it is taken");
    assert!(matches!(&error, OpenError::Locked { .. }), "{error}");
    assert!(error.to_string().contains(&dir.path().display().to_string()), "{error}");
}
