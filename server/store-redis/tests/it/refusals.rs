//! What is refused, and that it says why.

use std::sync::Arc;

use sentinel_domain::{Command, Job, decide};
use sentinel_faults::{RedisServer, free_port};
use sentinel_store::conformance::fixture;
use sentinel_store::{JournalPage, Position, Store, StoreError, TransactionResult, TrimRequest};
use sentinel_store_redis::{StoreHealth, OpenError, OpenOptions, RedisStore};

use crate::place::{PATIENCE, directory};

const NOW: i64 = 1_000;

#[tokio::test]
async fn a_redis_that_forgets_jobs_is_refused() {
    let dir = directory();
    let server = RedisServer::start(dir.path(), &["--maxmemory-policy", "allkeys-lru"]);
    let error = RedisStore::open(OpenOptions::new(server.url(), NOW)).await.err().expect("is refused");
    assert!(matches!(&error, OpenError::EvictionEnabled(policy) if policy == "allkeys-lru"), "{error}");
    assert!(error.to_string().contains("noeviction"), "{error}");
}

#[tokio::test]
async fn no_redis_is_said_at_once() {
    let url = format!("redis://127.0.0.1:{}", free_port());
    let error = RedisStore::open(OpenOptions::new(url, NOW)).await.err().expect("nobody is there");
    assert!(matches!(error, OpenError::Unreachable(_)), "{error}");
}

#[tokio::test]
async fn a_store_that_was_rolled_back_is_not_written_to() {
    let dir = directory();
    let server = RedisServer::start(dir.path(), &[]);
    let open = || OpenOptions::new(server.url(), NOW);
    let store = RedisStore::open(open()).await.expect("opens");
    let mut writer = fixture::Writer::new(1);
    for n in 0..3 {
        let call = writer.request(NOW).transaction(fixture::create(&fixture::job("q", "k", NOW, n))).build();
        store.commit(call).await.expect("commits");
    }
    let seen = *store.head().borrow();
    // As from an older copy; then as if emptied.
    for command in ["HSET sentinel:{s0}:meta seq 2", "FLUSHALL"] {
        // Another server, whose first call after it is a read.
        let reader = match command {
            "FLUSHALL" => None,
            _ => Some(RedisStore::open(open()).await.expect("opens")),
        };
        server.ask(command).expect("answers");
        let call = writer.request(NOW).transaction(fixture::create(&fixture::job("q", "k", NOW, 9))).build();
        let error = store.commit(call).await.expect_err("fails closed");
        assert!(matches!(&error, StoreError::RolledBack(_)), "{error}");
        for store in [Some(&store), reader.as_ref()].into_iter().flatten() {
            let errors = [
                store.read(vec![fixture::job("q", "k", NOW, 0).id]).await.err(),
                store.queues().await.err(),
                store.due_work(NOW, 9).await.err(),
                store.session_jobs(fixture::session(1)).await.err(),
                store.read_journal(Position::default(), 9).await.err(),
            ];
            for error in errors {
                assert!(matches!(error, Some(StoreError::RolledBack(_))), "{error:?}");
            }
            assert!(matches!(*store.health().borrow(), StoreHealth::RolledBack(_)));
        }
        let error = RedisStore::open(OpenOptions { min_position: Some(seen), ..open() }).await.err();
        assert!(matches!(error, Some(OpenError::RolledBack { .. })), "{error:?}");
    }
    assert_eq!(server.ask("DBSIZE").as_deref().map(str::trim), Some("0"), "nothing was begun");
}

async fn one_running(store: &RedisStore, writer: &mut fixture::Writer) -> Arc<Job> {
    let session = fixture::session(1);
    let call = writer.request(NOW).transaction(fixture::put_session(session, 1, 90_000));
    let call = call.transaction(fixture::create(&fixture::job("q", "k", NOW, 0)));
    let call = call.claim(fixture::claim(session, &["q"], &["k"], 1)).build();
    store.commit(call).await.expect("commits").claimed.remove(0).remove(0)
}

/// Makes jobs until they are refused, at most a second after there is no room; answers how many.
async fn fill(store: &RedisStore, writer: &mut fixture::Writer) -> u64 {
    let mut made = 0;
    let error = loop {
        made += 1;
        let now = NOW + made as i64;
        let call = writer.request(now).transaction(fixture::create(&fixture::job("q", "k", now, made))).build();
        match store.commit(call).await {
            Ok(_) => tokio::task::yield_now().await,
            Err(error) => break error,
        }
    };
    assert!(matches!(error, StoreError::Full(_)), "{error}");
    made
}

async fn report_passes(store: &RedisStore, writer: &mut fixture::Writer, running: &Job) {
    let lease = running.status.lease.expect("it runs").id;
    let command = Command::Succeed { lease, started_at: None, result: "x".into() };
    let done = decide(running, &command, NOW).expect("its lease is live");
    let report = writer.request(NOW).transaction(fixture::update(running, done)).build();
    let results = store.commit(report).await.expect("reports pass").results;
    assert_eq!(results, [TransactionResult::Committed]);
}

#[tokio::test]
async fn short_memory_takes_reports_but_no_new_jobs() {
    let dir = directory();
    let server = RedisServer::start(dir.path(), &[]);
    let store = RedisStore::open(OpenOptions::new(server.url(), NOW)).await.expect("opens");
    let mut writer = fixture::Writer::new(1);
    let running = one_running(&store, &mut writer).await;

    server.ask("CONFIG SET maxmemory 1000000").expect("answers");
    fill(&store, &mut writer).await;
    report_passes(&store, &mut writer, &running).await;
}

#[tokio::test]
async fn a_ledger_that_is_far_behind_keeps_new_jobs_out_until_it_has_caught_up() {
    let dir = directory();
    let server = RedisServer::start(dir.path(), &[]);
    let options = OpenOptions { journal_max_bytes: 16_384, ..OpenOptions::new(server.url(), NOW) };
    let store = RedisStore::open(options).await.expect("opens");
    let mut writer = fixture::Writer::new(1);
    let running = one_running(&store, &mut writer).await;
    let mut made = fill(&store, &mut writer).await;
    report_passes(&store, &mut writer, &running).await;

    let head = *store.head().borrow();
    let JournalPage::Entries(entries) = store.read_journal(Position::default(), 1).await.expect("answers")
    else {
        panic!("nothing unprojected goes")
    };
    assert_eq!(entries[0].position.seq, 1);
    let trim = TrimRequest { projected: head, terminal_before: 0, journal_before: NOW, limit: 0 };
    store.trim(trim).await.expect("trims");
    let begun = std::time::Instant::now();
    loop {
        made += 1;
        let call = writer.request(NOW).transaction(fixture::create(&fixture::job("q", "k", NOW, made))).build();
        match store.commit(call).await {
            Ok(_) => break,
            Err(StoreError::Full(_)) => {
                assert!(begun.elapsed() < PATIENCE, "there is no room again");
                tokio::task::yield_now().await;
            }
            Err(error) => panic!("{error}"),
        }
    }
}
