//! Kills of Redis: it keeps everything that was acknowledged, and only whole calls. The store
//! reconnects by itself, and repeats calls of unknown outcome.

use std::sync::mpsc;
use std::time::Duration;

use sentinel_domain::{Command, JobId, State, decide, invariant};
use sentinel_faults::RedisServer;
use sentinel_store::conformance::fixture;
use sentinel_store::{CommitRequest, CommitResult, JournalPage, Position, Store, StoreError};
use sentinel_store_redis::{OpenOptions, RedisStore};

use crate::support::temp_dir;

const NOW: i64 = 1_000;
const ROUNDS: u64 = 8;
const JOBS_PER_CALL: u64 = 3;

/// Repeats a call until its outcome is known, like the engine.
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
async fn a_killed_redis_keeps_acknowledged_calls() {
    let dir = tempfile::tempdir().expect("a directory");
    let mut server = RedisServer::start(dir.path(), &[]);
    let store = RedisStore::open(OpenOptions::new(server.url(), NOW)).await.expect("opened");
    let mut writer = fixture::Writer::new(1);
    let session = fixture::session(1);
    let mut acked: Vec<JobId> = Vec::new();
    let mut number = 0;
    for round in 0..ROUNDS {
        let kill_at = acked.len() as u64 + 60 + round * 17;
        let (trigger, triggered) = mpsc::channel::<()>();
        let (restart_done, restarted) = tokio::sync::oneshot::channel();
        let killer = std::thread::spawn(move || {
            triggered.recv().expect("triggered");
            server.kill();
            server.restart();
            let _ = restart_done.send(());
            server
        });
        let mut restarted = Some(restarted);
        // Commits during the restart, and some calls after it.
        let mut after = 0;
        while after < 5 {
            let jobs: Vec<_> = (0..JOBS_PER_CALL)
                .map(|n| fixture::job("q", "k", NOW, number * JOBS_PER_CALL + n))
                .collect();
            number += 1;
            let mut transaction = sentinel_store::Transaction::default();
            for job in &jobs {
                transaction.mutations.append(&mut fixture::create(job).mutations);
            }
            let call = writer
                .request(NOW)
                .transaction(fixture::put_session(session, 1, 9_000))
                .transaction(transaction);
            let call = call.claim(fixture::claim(session, &["q"], &["k"], 1));
            let outcome = commit(&store, call.build()).await;
            assert_eq!(outcome.claimed[0].len(), 1, "each call claims a job");
            acked.extend(jobs.iter().map(|job| job.id));
            if acked.len() as u64 == kill_at / JOBS_PER_CALL * JOBS_PER_CALL {
                trigger.send(()).expect("the thread waits");
            }
            if restarted.as_mut().is_some_and(|restarted| restarted.try_recv().is_ok()) {
                restarted = None;
            }
            after += u64::from(restarted.is_none());
        }
        server = killer.join().expect("the server restarted");
        check(&store, &acked).await;
    }
}

async fn check(store: &RedisStore, acked: &[JobId]) {
    let jobs = store.read(acked.to_vec()).await.expect("a reply");
    for (id, job) in acked.iter().zip(&jobs) {
        let job = job.as_ref().unwrap_or_else(|| panic!("{id} was acknowledged and is lost"));
        assert_eq!(invariant::violated(job), [""; 0], "{job:?}");
    }
    let depths = store.depths().await.expect("a reply");
    let count = |state| depths.iter().filter(|d| d.state == state).map(|d| d.count).sum::<u64>();
    // The head may advance a moment after the commit.
    let mut head = store.head();
    let reached = head.wait_for(|at| at.seq * JOBS_PER_CALL >= acked.len() as u64);
    let reached = tokio::time::timeout(Duration::from_secs(10), reached).await;
    let entries = reached.expect("in time").expect("the store is open").seq;
    assert_eq!(
        count(State::Ready) + count(State::Running),
        entries * JOBS_PER_CALL,
        "only whole calls are stored"
    );
    assert_eq!(count(State::Running), entries, "each call claimed a job once");
    assert_eq!(acked.len() as u64, entries * JOBS_PER_CALL, "no call is applied twice");
}

#[tokio::test]
async fn a_restarted_redis_has_everything() {
    let dir = temp_dir();
    let mut server = RedisServer::start(dir.path(), &[]);
    let store = RedisStore::open(OpenOptions::new(server.url(), NOW)).await.expect("opened");
    let mut writer = fixture::Writer::new(1);
    let (job, session) = (fixture::job("q", "k", NOW, 1), fixture::session(7));
    let call = writer
        .request(NOW)
        .transaction(fixture::create(&job))
        .transaction(fixture::put_session(session, 1, 60_000))
        .claim(fixture::claim(session, &["q"], &["k"], 10));
    let claimed = store.commit(call.build()).await.expect("committed").claimed.remove(0);
    let head = *store.head().borrow();
    drop(store);
    server.kill();
    server.restart();

    let options = OpenOptions { min_position: Some(head), ..OpenOptions::new(server.url(), 2_000) };
    let store = RedisStore::open(options).await.expect("reopened");
    assert_eq!(*store.head().borrow(), head);
    assert_eq!(store.session_jobs(session).await.expect("a reply"), claimed);
    let lease = claimed[0].status.lease.expect("it runs").id;
    let command = Command::Succeed { lease, started_at: None, result: "x".into() };
    let done = decide(&claimed[0], &command, 2_000).expect("its lease is live");
    let mut writer = fixture::Writer::new(2);
    let call = writer.request(2_000).transaction(fixture::update(&claimed[0], done));
    store.commit(call.build()).await.expect("committed");
    let JournalPage::Entries(entries) =
        store.read_journal(Position::default(), 10).await.expect("a reply")
    else {
        panic!("nothing was trimmed")
    };
    assert_eq!(entries.len(), 2);
}
