//! What was acknowledged is there after the next start.

use std::sync::Arc;

use sentinel_domain::{Command, State, decide};
use sentinel_store::conformance::make;
use sentinel_store::{
    JournalPage, Mutation, Position, Precondition, Store, Transaction, TransactionResult,
};
use sentinel_store_embedded::{DirLock, Embedded, OpenError, OpenOptions, Seed};

pub(crate) fn options(dir: &std::path::Path, now: i64) -> OpenOptions {
    let lock = Arc::new(DirLock::acquire(dir).expect("nobody else has it"));
    OpenOptions { ballast_bytes: 0, ..OpenOptions::new(lock, now) }
}

#[tokio::test]
async fn a_job_lives_through_restarts() {
    let dir = tempfile::tempdir().expect("a directory");
    let store = Embedded::open(options(dir.path(), 1_000), Seed::default()).expect("opens");
    let mut writer = make::Writer::new(1);
    let job = make::job("q", "k", 1_000, 1);
    let session = make::session(7);
    let call = writer
        .call(1_000)
        .group(make::create(&job))
        .group(make::put_session(session, 1, 60_000))
        .claim(make::claim(session, &["q"], &["k"], 10));
    let outcome = store.commit(call.done()).await.expect("commits");
    assert_eq!(outcome.verdicts, vec![TransactionResult::Committed; 2]);
    assert_eq!(outcome.claimed[0].len(), 1);
    drop(store);

    let store = Embedded::open(options(dir.path(), 2_000), Seed::default()).expect("opens again");
    let running = store.session_jobs(session).await.expect("answers");
    assert_eq!(running, outcome.claimed[0]);
    let lease = running[0].status.lease.expect("it runs");
    let command = Command::Succeed { lease, started_at: None, result: "x".into() };
    let done = decide(&running[0], &command, 2_000).expect("its lease is live");
    let mut writer = make::Writer::new(2);
    let call = writer.call(2_000).group(make::update(&running[0], done));
    store.commit(call.done()).await.expect("commits");
    let JournalPage::Entries(entries) = store.tail(Position::default(), 10).await.expect("answers")
    else {
        panic!("nothing was trimmed")
    };
    assert_eq!(entries.len(), 2, "the older one from its file");
    drop(store);

    let store = Embedded::open(options(dir.path(), 3_000), Seed::default()).expect("opens again");
    let there = store.read(vec![job.id]).await.expect("answers");
    assert_eq!(there[0].as_ref().expect("finals stay hot").status.state, State::Succeeded);
}

/// The ledger knows where a producer stands whose entries the journal let go; of one that the
/// journal has, it may know less.
#[tokio::test]
async fn producers_go_on_where_they_stood() {
    let dir = tempfile::tempdir().expect("a directory");
    let store = Embedded::open(options(dir.path(), 1_000), Seed::default()).expect("opens");
    let mut writer = make::Writer::new(1);
    let at = |id: &str, offset: &str| make::memory(id, offset.as_bytes(), 9_000);
    let stand = |memory| Transaction {
        changes: vec![Mutation::Remember(memory)],
        ..Transaction::default()
    };
    let call = writer.call(1_000).group(stand(at("ingest/orders", "5")));
    store.commit(call.done()).await.expect("commits");
    drop(store);

    let producers = vec![at("ingest/orders", "4"), at("ingest/returns", "7")];
    let seed = Seed { producers, ..Seed::default() };
    let store = Embedded::open(options(dir.path(), 2_000), seed).expect("opens again");
    let stands = |id: &str, offset: &'static str| Transaction {
        guards: vec![Precondition::Remembered { id: id.into(), answer: Some(offset.into()) }],
        ..Transaction::default()
    };
    let mut writer = make::Writer::new(2);
    let call = writer.call(2_000).group(stands("ingest/orders", "5"));
    let call = call.group(stands("ingest/returns", "7"));
    let outcome = store.commit(call.done()).await.expect("commits");
    assert_eq!(outcome.verdicts, [TransactionResult::Committed, TransactionResult::Committed]);
}

#[test]
fn a_second_process_is_kept_out() {
    let dir = tempfile::tempdir().expect("a directory");
    let _lock = DirLock::acquire(dir.path()).expect("nobody else has it");
    let error = DirLock::acquire(dir.path()).expect_err("it is taken");
    assert!(matches!(&error, OpenError::Locked { .. }), "{error}");
    assert!(error.to_string().contains(&dir.path().display().to_string()), "{error}");
}
