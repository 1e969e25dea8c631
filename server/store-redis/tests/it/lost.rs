//! Replies that never come.

use std::time::{Duration, Instant};

use sentinel_faults::{Direction, Proxy, RedisServer};
use sentinel_store::conformance::fixture;
use sentinel_store::{CommitRequest, JournalPage, Position, Store, StoreError, TransactionResult};
use sentinel_store_redis::{OpenOptions, RedisStore};

use crate::place::{PATIENCE, directory};

const NOW: i64 = 1_000;
const ANSWER: Duration = Duration::from_millis(400);

async fn before(server: &RedisServer) -> Proxy {
    Proxy::start(([127, 0, 0, 1], server.port()).into()).await.expect("a port is free")
}

async fn open(proxy: &Proxy) -> RedisStore {
    let url = format!("redis://{}", proxy.address());
    let options = OpenOptions { answer_timeout: ANSWER, ..OpenOptions::new(url, NOW) };
    RedisStore::open(options).await.expect("opens")
}

fn call_with_a_claim(writer: &mut fixture::Writer) -> CommitRequest {
    let session = fixture::session(1);
    let mut call = writer.request(NOW).transaction(fixture::put_session(session, 1, 90_000));
    for n in 1..=3 {
        call = call.transaction(fixture::create(&fixture::job("q", "k", NOW, n)));
    }
    call.claim(fixture::claim(session, &["q"], &["k"], 2)).build()
}

/// The call had one effect, and its repeat was answered with it.
async fn had_one_effect(store: &RedisStore, call: CommitRequest) {
    let outcome = store.commit(call).await.expect("the repeat is answered");
    assert_eq!(outcome.results, vec![TransactionResult::Committed; 4]);
    assert_eq!(outcome.claimed[0].len(), 2);
    let held = store.session_jobs(fixture::session(1)).await.expect("answers");
    assert_eq!(held, outcome.claimed[0], "what was told is what is there");
    let JournalPage::Entries(entries) = store.read_journal(Position::default(), 9).await.expect("answers")
    else {
        panic!("nothing was trimmed")
    };
    assert_eq!(entries.len(), 1, "nothing was written twice");
}

/// Scripts that the server has run since its start.
fn scripts(server: &RedisServer) -> u64 {
    let stats = server.ask("INFO commandstats").expect("it answers");
    let of = |name: &str| {
        let line = stats.lines().find_map(|line| line.strip_prefix(name));
        line.and_then(|rest| rest.split(',').next()?.parse::<u64>().ok()).unwrap_or(0)
    };
    of("cmdstat_evalsha:calls=") + of("cmdstat_eval:calls=")
}

/// The call is carried out, and its answer is lost with the connection.
async fn cut_a_commit(store: &RedisStore, proxy: &Proxy, server: &RedisServer, call: &CommitRequest) {
    // Extends nothing, over a connection that stands then.
    store.extend_sessions(0).await.expect("it answers");
    proxy.stall(Direction::Down);
    let before = scripts(server);
    let lose = async {
        let began = Instant::now();
        while scripts(server) == before {
            assert!(began.elapsed() < PATIENCE, "the script never ran");
            tokio::task::yield_now().await;
        }
        proxy.cut();
        proxy.restore();
    };
    let (answer, ()) = tokio::join!(store.commit(call.clone()), lose);
    assert!(matches!(answer, Err(StoreError::OutcomeUnknown(_))), "{answer:?}");
}

#[tokio::test]
async fn a_repeat_after_a_cut_has_one_effect() {
    let dir = directory();
    let server = RedisServer::start(dir.path(), &[]);
    let proxy = before(&server).await;
    let store = open(&proxy).await;
    let call = call_with_a_claim(&mut fixture::Writer::new(1));
    cut_a_commit(&store, &proxy, &server, &call).await;
    // The repeat is cut as well: its answer is another one, of what was kept.
    cut_a_commit(&store, &proxy, &server, &call).await;
    had_one_effect(&store, call).await;
}

#[tokio::test]
async fn a_silent_redis_is_not_waited_for_without_end() {
    let dir = directory();
    let server = RedisServer::start(dir.path(), &[]);
    let proxy = before(&server).await;
    let store = open(&proxy).await;
    let call = call_with_a_claim(&mut fixture::Writer::new(1));
    proxy.stall(Direction::Down);
    let begun = Instant::now();
    let error = store.commit(call.clone()).await.expect_err("nothing comes through");
    assert!(matches!(error, StoreError::OutcomeUnknown(_)), "it may have been applied: {error}");
    // The fate stays unknown when not even a connection stands.
    let error = store.commit(call.clone()).await.expect_err("nothing comes through");
    assert!(matches!(error, StoreError::OutcomeUnknown(_)), "{error}");
    let error = store.queues().await.expect_err("nothing comes through");
    assert!(matches!(error, StoreError::Unavailable(_)), "{error}");
    assert!(begun.elapsed() < 10 * (ANSWER + Duration::from_secs(2)), "{:?}", begun.elapsed());
    proxy.restore();
    had_one_effect(&store, call).await;
}

#[tokio::test]
async fn a_call_that_was_never_sent_was_not_applied() {
    let dir = directory();
    let mut server = RedisServer::start(dir.path(), &[]);
    let store = RedisStore::open(OpenOptions::new(server.url(), NOW)).await.expect("opens");
    let mut writer = fixture::Writer::new(1);
    server.kill();
    // The first one finds out; it may have been sent.
    let first = call_with_a_claim(&mut writer);
    store.commit(first.clone()).await.expect_err("nobody is there");
    let mut other = fixture::Writer::new(2);
    let call = other.request(NOW).transaction(fixture::create(&fixture::job("q", "k", NOW, 9))).build();
    let error = store.commit(call).await.expect_err("nobody is there");
    assert!(matches!(error, StoreError::Unavailable(_)), "{error}");
    let error = store.commit(first).await.expect_err("nobody is there");
    assert!(matches!(error, StoreError::OutcomeUnknown(_)), "{error}");
}
