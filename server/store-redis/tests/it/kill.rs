//! A Redis that is killed at any moment keeps all that was acknowledged, and whole calls only;
//! a store that lost it comes back by itself and repeats what it does not know the fate of.

use std::sync::mpsc;
use std::time::Duration;

use sentinel_domain::{Command, JobId, State, decide, invariant};
use sentinel_faults::RedisServer;
use sentinel_store::conformance::fixture;
use sentinel_store::{CommitRequest, CommitResult, JournalPage, Position, Store, StoreError};
use sentinel_store_redis::{OpenOptions, RedisStore};

use crate::place::directory;

const NOW: i64 = 1_000;
const ROUNDS: u64 = 8;
const GROUP: u64 = 3;

/// What the engine does: the same call again until its fate is known, another one after a
/// refusal, which `numbered` makes.
async fn commit(store: &RedisStore, call: CommitRequest) -> CommitResult {
    loop {
        match store.commit(call.clone()).await {
            Ok(outcome) => return outcome,
            Err(StoreError::OutcomeUnknown(_) | StoreError::Unavailable(_)) => {
                tokio::task::yield_now().await;
            }
            Err(error) => panic!("{error}"),
        }
    }
}

#[tokio::test]
async fn a_killed_redis_keeps_what_was_acknowledged() {
    let dir = tempfile::tempdir().expect("a directory");
    let mut server = RedisServer::start(dir.path(), &[]);
    let store = RedisStore::open(OpenOptions::new(server.url(), NOW)).await.expect("opens");
    let mut writer = fixture::Writer::new(1);
    let session = fixture::session(1);
    let mut acked: Vec<JobId> = Vec::new();
    let mut number = 0;
    for round in 0..ROUNDS {
        let enough = acked.len() as u64 + 60 + round * 17;
        let (shoot, shot) = mpsc::channel::<()>();
        let (fallen, risen) = tokio::sync::oneshot::channel();
        let killer = std::thread::spawn(move || {
            shot.recv().expect("is told when");
            server.kill();
            server.restart();
            let _ = fallen.send(());
            server
        });
        let mut risen = Some(risen);
        // Goes on while the server falls and rises, and a little longer.
        let mut after = 0;
        while after < 5 {
            let jobs: Vec<_> =
                (0..GROUP).map(|n| fixture::job("q", "k", NOW, number * GROUP + n)).collect();
            number += 1;
            let mut group = sentinel_store::Transaction::default();
            for job in &jobs {
                group.mutations.append(&mut fixture::create(job).mutations);
            }
            let call = writer.request(NOW).transaction(fixture::put_session(session, 1, 9_000)).transaction(group);
            let call = call.claim(fixture::claim(session, &["q"], &["k"], 1));
            let outcome = commit(&store, call.build()).await;
            assert_eq!(outcome.claimed[0].len(), 1, "a claim with each");
            acked.extend(jobs.iter().map(|job| job.id));
            if acked.len() as u64 == enough / GROUP * GROUP {
                shoot.send(()).expect("somebody waits");
            }
            if risen.as_mut().is_some_and(|risen| risen.try_recv().is_ok()) {
                risen = None;
            }
            after += u64::from(risen.is_none());
        }
        server = killer.join().expect("the server rose");
        check(&store, &acked).await;
    }
}

async fn check(store: &RedisStore, acked: &[JobId]) {
    let jobs = store.read(acked.to_vec()).await.expect("answers");
    for (id, job) in acked.iter().zip(&jobs) {
        let job = job.as_ref().unwrap_or_else(|| panic!("{id} was acknowledged and is gone"));
        assert_eq!(invariant::violated(job), [""; 0], "{job:?}");
    }
    let depths = store.depths().await.expect("answers");
    let count = |state| depths.iter().filter(|d| d.state == state).map(|d| d.count).sum::<u64>();
    // It is told of an entry a moment after the one who wrote it.
    let mut head = store.head();
    let told = head.wait_for(|at| at.seq * GROUP >= acked.len() as u64);
    let told = tokio::time::timeout(Duration::from_secs(10), told).await.expect("is told in time");
    let entries = told.expect("the store lives").seq;
    assert_eq!(count(State::Ready) + count(State::Running), entries * GROUP, "whole calls");
    assert_eq!(count(State::Running), entries, "a claim with each, and once");
    assert_eq!(acked.len() as u64, entries * GROUP, "no call twice");
}

#[tokio::test]
async fn a_restarted_redis_has_everything() {
    let dir = directory();
    let mut server = RedisServer::start(dir.path(), &[]);
    let store = RedisStore::open(OpenOptions::new(server.url(), NOW)).await.expect("opens");
    let mut writer = fixture::Writer::new(1);
    let (job, session) = (fixture::job("q", "k", NOW, 1), fixture::session(7));
    let call = writer
        .request(NOW)
        .transaction(fixture::create(&job))
        .transaction(fixture::put_session(session, 1, 60_000))
        .claim(fixture::claim(session, &["q"], &["k"], 10));
    let claimed = store.commit(call.build()).await.expect("commits").claimed.remove(0);
    let head = *store.head().borrow();
    drop(store);
    server.kill();
    server.restart();

    let options = OpenOptions { min_position: Some(head), ..OpenOptions::new(server.url(), 2_000) };
    let store = RedisStore::open(options).await.expect("opens again");
    assert_eq!(*store.head().borrow(), head);
    assert_eq!(store.session_jobs(session).await.expect("answers"), claimed);
    let lease = claimed[0].status.lease.expect("it runs").id;
    let command = Command::Succeed { lease, started_at: None, result: "x".into() };
    let done = decide(&claimed[0], &command, 2_000).expect("its lease is live");
    let mut writer = fixture::Writer::new(2);
    let call = writer.request(2_000).transaction(fixture::update(&claimed[0], done));
    store.commit(call.build()).await.expect("commits");
    let JournalPage::Entries(entries) = store.read_journal(Position::default(), 10).await.expect("answers")
    else {
        panic!("nothing was trimmed")
    };
    assert_eq!(entries.len(), 2);
}
