//! Lost replies and unresponsive servers.

use std::time::{Duration, Instant};

use sentinel_faults::{Direction, Proxy, RedisServer};
use sentinel_store::conformance::fixture;
use sentinel_store::{CommitRequest, JournalPage, Position, Store, StoreError, TransactionResult};
use sentinel_store_redis::{OpenOptions, RedisStore};

use crate::support::{TIMEOUT, temp_dir};

const NOW: i64 = 1_000;
const RESPONSE: Duration = Duration::from_millis(400);

async fn proxy_to(server: &RedisServer) -> Proxy {
    Proxy::start(([127, 0, 0, 1], server.port()).into()).await.expect("a port is free")
}

async fn open(proxy: &Proxy) -> RedisStore {
    let url = format!("redis://{}", proxy.address());
    let options = OpenOptions { response_timeout: RESPONSE, ..OpenOptions::new(url, NOW) };
    RedisStore::open(options).await.expect("opened")
}

fn call_with_a_claim(writer: &mut fixture::Writer) -> CommitRequest {
    let session = fixture::session(1);
    let mut call = writer.request(NOW).transaction(fixture::put_session(session, 1, 90_000));
    for n in 1..=3 {
        call = call.transaction(fixture::create(&fixture::job("q", "k", NOW, n)));
    }
    call.claim(fixture::claim(session, &["q"], &["k"], 2)).build()
}

/// Checks that a call was applied once, and that its repeat returns the same result.
async fn assert_applied_once(store: &RedisStore, call: CommitRequest) {
    let outcome = store.commit(call).await.expect("the repeat succeeds");
    assert_eq!(outcome.results, vec![TransactionResult::Committed; 4]);
    assert_eq!(outcome.claimed[0].len(), 2);
    let held = store.session_jobs(fixture::session(1)).await.expect("a reply");
    assert_eq!(held, outcome.claimed[0], "the result matches the store");
    let JournalPage::Entries(entries) =
        store.read_journal(Position::default(), 9).await.expect("a reply")
    else {
        panic!("nothing was trimmed")
    };
    assert_eq!(entries.len(), 1, "the call was journaled once");
}

/// Returns the number of scripts that the server has run.
fn script_count(server: &RedisServer) -> u64 {
    let stats = server.ask("INFO commandstats").expect("a reply");
    let calls = |name: &str| {
        let line = stats.lines().find_map(|line| line.strip_prefix(name));
        line.and_then(|rest| rest.split(',').next()?.parse::<u64>().ok()).unwrap_or(0)
    };
    calls("cmdstat_evalsha:calls=") + calls("cmdstat_eval:calls=")
}

/// Commits a call that is applied, and whose reply is lost with the connection.
async fn commit_with_lost_reply(
    store: &RedisStore,
    proxy: &Proxy,
    server: &RedisServer,
    call: &CommitRequest,
) {
    // Opens the connection. It extends no session.
    store.extend_sessions(0).await.expect("a reply");
    proxy.stall(Direction::Down);
    let before = script_count(server);
    let cut_connection = async {
        let started = Instant::now();
        while script_count(server) == before {
            assert!(started.elapsed() < TIMEOUT, "the script did not run");
            tokio::task::yield_now().await;
        }
        proxy.cut();
        proxy.restore();
    };
    let (result, ()) = tokio::join!(store.commit(call.clone()), cut_connection);
    assert!(matches!(result, Err(StoreError::OutcomeUnknown(_))), "{result:?}");
}

#[tokio::test]
async fn a_repeated_call_is_applied_once() {
    let dir = temp_dir();
    let server = RedisServer::start(dir.path(), &[]);
    let proxy = proxy_to(&server).await;
    let store = open(&proxy).await;
    let call = call_with_a_claim(&mut fixture::Writer::new(1));
    commit_with_lost_reply(&store, &proxy, &server, &call).await;
    // The reply to the repeat, which comes from the stored reply, is lost as well.
    commit_with_lost_reply(&store, &proxy, &server, &call).await;
    assert_applied_once(&store, call).await;
}

#[tokio::test]
async fn an_unresponsive_redis_times_out() {
    let dir = temp_dir();
    let server = RedisServer::start(dir.path(), &[]);
    let proxy = proxy_to(&server).await;
    let store = open(&proxy).await;
    let call = call_with_a_claim(&mut fixture::Writer::new(1));
    proxy.stall(Direction::Down);
    let started = Instant::now();
    let error = store.commit(call.clone()).await.expect_err("unresponsive");
    assert!(matches!(error, StoreError::OutcomeUnknown(_)), "it may have been applied: {error}");
    // The outcome stays unknown while no connection can be opened.
    let error = store.commit(call.clone()).await.expect_err("unresponsive");
    assert!(matches!(error, StoreError::OutcomeUnknown(_)), "{error}");
    let error = store.queues().await.expect_err("unresponsive");
    assert!(matches!(error, StoreError::Unavailable(_)), "{error}");
    assert!(
        started.elapsed() < 10 * (RESPONSE + Duration::from_secs(2)),
        "{:?}",
        started.elapsed()
    );
    proxy.restore();
    assert_applied_once(&store, call).await;
}

#[tokio::test]
async fn a_call_that_was_not_sent_is_reported_as_not_applied() {
    let dir = temp_dir();
    let mut server = RedisServer::start(dir.path(), &[]);
    let store = RedisStore::open(OpenOptions::new(server.url(), NOW)).await.expect("opened");
    let mut writer = fixture::Writer::new(1);
    server.kill();
    // The first call detects the lost connection. It may have been sent.
    let first = call_with_a_claim(&mut writer);
    store.commit(first.clone()).await.expect_err("Redis is down");
    let mut other = fixture::Writer::new(2);
    let call =
        other.request(NOW).transaction(fixture::create(&fixture::job("q", "k", NOW, 9))).build();
    let error = store.commit(call).await.expect_err("Redis is down");
    assert!(matches!(error, StoreError::Unavailable(_)), "{error}");
    let error = store.commit(first).await.expect_err("Redis is down");
    assert!(matches!(error, StoreError::OutcomeUnknown(_)), "{error}");
}
