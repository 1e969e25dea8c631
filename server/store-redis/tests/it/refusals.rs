//! Refusals: servers that cannot be used, stores that lost changes, and new jobs without space.

use std::sync::Arc;

use sentinel_domain::{Command, Job, decide};
use sentinel_faults::{RedisServer, free_port};
use sentinel_store::conformance::fixture;
use sentinel_store::{JournalPage, Position, Store, StoreError, TransactionResult, TrimRequest};
use sentinel_store_redis::{OpenError, OpenOptions, RedisStore, StoreHealth};

use crate::support::{TIMEOUT, temp_dir};

const NOW: i64 = 1_000;

#[tokio::test]
async fn a_redis_with_an_eviction_policy_is_refused() {
    let dir = temp_dir();
    let server = RedisServer::start(dir.path(), &["--maxmemory-policy", "allkeys-lru"]);
    let error = RedisStore::open(OpenOptions::new(server.url(), NOW)).await.err().expect("refused");
    assert!(
        matches!(&error, OpenError::EvictionEnabled(policy) if policy == "allkeys-lru"),
        "{error}"
    );
    assert!(error.to_string().contains("noeviction"), "{error}");
}

#[tokio::test]
async fn an_unreachable_redis_is_reported_at_once() {
    let url = format!("redis://127.0.0.1:{}", free_port());
    let error = RedisStore::open(OpenOptions::new(url, NOW)).await.err().expect("unreachable");
    assert!(matches!(error, OpenError::Unreachable(_)), "{error}");
}

#[tokio::test]
async fn a_store_that_was_rolled_back_is_not_used() {
    let dir = temp_dir();
    let server = RedisServer::start(dir.path(), &[]);
    let open = || OpenOptions::new(server.url(), NOW);
    let store = RedisStore::open(open()).await.expect("opened");
    let mut writer = fixture::Writer::new(1);
    for n in 0..3 {
        let call = writer
            .request(NOW)
            .transaction(fixture::create(&fixture::job("q", "k", NOW, n)))
            .build();
        store.commit(call).await.expect("committed");
    }
    let observed = *store.head().borrow();
    // Restored from an older copy, then emptied.
    for command in ["HSET sentinel:{s0}:meta seq 2", "FLUSHALL"] {
        // Another server, whose first operation afterwards is a read.
        let reader = match command {
            "FLUSHALL" => None,
            _ => Some(RedisStore::open(open()).await.expect("opened")),
        };
        server.ask(command).expect("a reply");
        let call = writer
            .request(NOW)
            .transaction(fixture::create(&fixture::job("q", "k", NOW, 9)))
            .build();
        let error = store.commit(call).await.expect_err("rolled back");
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
        let error =
            RedisStore::open(OpenOptions { min_position: Some(observed), ..open() }).await.err();
        assert!(matches!(error, Some(OpenError::RolledBack { .. })), "{error:?}");
    }
    assert_eq!(server.ask("DBSIZE").as_deref().map(str::trim), Some("0"), "no store is created");
}

async fn running_job(store: &RedisStore, writer: &mut fixture::Writer) -> Arc<Job> {
    let session = fixture::session(1);
    let call = writer.request(NOW).transaction(fixture::put_session(session, 1, 90_000));
    let call = call.transaction(fixture::create(&fixture::job("q", "k", NOW, 0)));
    let call = call.claim(fixture::claim(session, &["q"], &["k"], 1)).build();
    store.commit(call).await.expect("committed").claimed.remove(0).remove(0)
}

/// Creates jobs until they are refused. Returns how many it created.
async fn fill(store: &RedisStore, writer: &mut fixture::Writer) -> u64 {
    let mut created = 0;
    let error = loop {
        created += 1;
        let now = NOW + created as i64;
        let call = writer
            .request(now)
            .transaction(fixture::create(&fixture::job("q", "k", now, created)))
            .build();
        match store.commit(call).await {
            Ok(_) => tokio::task::yield_now().await,
            Err(error) => break error,
        }
    };
    assert!(matches!(error, StoreError::Full(_)), "{error}");
    created
}

async fn assert_results_are_accepted(
    store: &RedisStore,
    writer: &mut fixture::Writer,
    running: &Job,
) {
    let lease = running.status.lease.expect("it runs").id;
    let command = Command::Succeed { lease, started_at: None, result: "x".into() };
    let done = decide(running, &command, NOW).expect("its lease is live");
    let report = writer.request(NOW).transaction(fixture::update(running, done)).build();
    let results = store.commit(report).await.expect("accepted").results;
    assert_eq!(results, [TransactionResult::Committed]);
}

#[tokio::test]
async fn short_memory_refuses_new_jobs_and_accepts_results() {
    let dir = temp_dir();
    let server = RedisServer::start(dir.path(), &[]);
    let store = RedisStore::open(OpenOptions::new(server.url(), NOW)).await.expect("opened");
    let mut writer = fixture::Writer::new(1);
    let running = running_job(&store, &mut writer).await;

    server.ask("CONFIG SET maxmemory 1000000").expect("a reply");
    fill(&store, &mut writer).await;
    assert_results_are_accepted(&store, &mut writer, &running).await;
}

#[tokio::test]
async fn new_jobs_are_refused_while_the_ledger_is_far_behind() {
    let dir = temp_dir();
    let server = RedisServer::start(dir.path(), &[]);
    let options = OpenOptions { journal_max_bytes: 16_384, ..OpenOptions::new(server.url(), NOW) };
    let store = RedisStore::open(options).await.expect("opened");
    let mut writer = fixture::Writer::new(1);
    let running = running_job(&store, &mut writer).await;
    let mut created = fill(&store, &mut writer).await;
    assert_results_are_accepted(&store, &mut writer, &running).await;

    let head = *store.head().borrow();
    let JournalPage::Entries(entries) =
        store.read_journal(Position::default(), 1).await.expect("a reply")
    else {
        panic!("unprojected entries are kept")
    };
    assert_eq!(entries[0].position.seq, 1);
    let trim = TrimRequest { projected: head, terminal_before: 0, journal_before: NOW, limit: 0 };
    store.trim(trim).await.expect("trimmed");
    let started = std::time::Instant::now();
    loop {
        created += 1;
        let call = writer
            .request(NOW)
            .transaction(fixture::create(&fixture::job("q", "k", NOW, created)))
            .build();
        match store.commit(call).await {
            Ok(_) => break,
            Err(StoreError::Full(_)) => {
                assert!(started.elapsed() < TIMEOUT, "new jobs are still refused");
                tokio::task::yield_now().await;
            }
            Err(error) => panic!("{error}"),
        }
    }
}
