//! Replies that never come.

use std::time::{Duration, Instant};

use sentinel_broker::conformance::make;
use sentinel_broker::{Broker, Position, StoreError, Tail, Verdict};
use sentinel_faults::RedisServer;
use sentinel_redis::{OpenOptions, Redis};

use crate::cutter::Cutter;
use crate::place::directory;

const NOW: i64 = 1_000;
const ANSWER: Duration = Duration::from_millis(400);

async fn open(cutter: &Cutter) -> Redis {
    let options = OpenOptions { answer_timeout: ANSWER, ..OpenOptions::new(cutter.url(), NOW) };
    Redis::open(options).await.expect("opens")
}

fn call_with_a_claim(writer: &mut make::Writer) -> sentinel_broker::Call {
    let session = make::session(1);
    let mut call = writer.call(NOW).group(make::put_session(session, 1, 90_000));
    for n in 1..=3 {
        call = call.group(make::create(&make::job("q", "k", NOW, n)));
    }
    call.claim(make::claim(session, &["q"], &["k"], 2)).done()
}

/// The call had one effect, and its repeat was answered with it.
async fn had_one_effect(store: &Redis, call: sentinel_broker::Call) {
    let outcome = store.commit(call).await.expect("the repeat is answered");
    assert_eq!(outcome.verdicts, vec![Verdict::Committed; 4]);
    assert_eq!(outcome.claimed[0].len(), 2);
    let held = store.session_jobs(make::session(1)).await.expect("answers");
    assert_eq!(held, outcome.claimed[0], "what was told is what is there");
    let Tail::Entries(entries) = store.tail(Position::default(), 9).await.expect("answers") else {
        panic!("nothing was trimmed")
    };
    assert_eq!(entries.len(), 1, "nothing was written twice");
}

/// Until the subscriber is between two of its own answers, a cut may hit one of those.
async fn cut_a_commit(store: &Redis, cutter: &Cutter, call: &sentinel_broker::Call) {
    cutter.cut_next();
    let answer = store.commit(call.clone()).await;
    if let Err(error) = answer {
        assert!(matches!(error, StoreError::Unknown(_)), "{error}");
    }
}

#[tokio::test]
async fn a_repeat_after_a_cut_has_one_effect() {
    let dir = directory();
    let server = RedisServer::start(dir.path(), &[]);
    let cutter = Cutter::before(server.port()).await;
    let store = open(&cutter).await;
    let call = call_with_a_claim(&mut make::Writer::new(1));
    cut_a_commit(&store, &cutter, &call).await;
    // The repeat is cut as well: its answer is another one, of what was kept.
    cut_a_commit(&store, &cutter, &call).await;
    cutter.pass();
    had_one_effect(&store, call).await;
}

#[tokio::test]
async fn a_silent_redis_is_not_waited_for_without_end() {
    let dir = directory();
    let server = RedisServer::start(dir.path(), &[]);
    let cutter = Cutter::before(server.port()).await;
    let store = open(&cutter).await;
    let call = call_with_a_claim(&mut make::Writer::new(1));
    cutter.stall();
    let begun = Instant::now();
    let error = store.commit(call.clone()).await.expect_err("nothing comes through");
    assert!(matches!(error, StoreError::Unknown(_)), "it may have been applied: {error}");
    // The fate stays unknown when not even a connection stands.
    let error = store.commit(call.clone()).await.expect_err("nothing comes through");
    assert!(matches!(error, StoreError::Unknown(_)), "{error}");
    let error = store.queues().await.expect_err("nothing comes through");
    assert!(matches!(error, StoreError::Unavailable(_)), "{error}");
    assert!(begun.elapsed() < 10 * (ANSWER + Duration::from_secs(2)), "{:?}", begun.elapsed());
    cutter.pass();
    had_one_effect(&store, call).await;
}

#[tokio::test]
async fn a_call_that_was_never_sent_was_not_applied() {
    let dir = directory();
    let mut server = RedisServer::start(dir.path(), &[]);
    let store = Redis::open(OpenOptions::new(server.url(), NOW)).await.expect("opens");
    let mut writer = make::Writer::new(1);
    server.kill();
    // The first one finds out; it may have been sent.
    let first = call_with_a_claim(&mut writer);
    store.commit(first.clone()).await.expect_err("nobody is there");
    let mut other = make::Writer::new(2);
    let call = other.call(NOW).group(make::create(&make::job("q", "k", NOW, 9))).done();
    let error = store.commit(call).await.expect_err("nobody is there");
    assert!(matches!(error, StoreError::Unavailable(_)), "{error}");
    let error = store.commit(first).await.expect_err("nobody is there");
    assert!(matches!(error, StoreError::Unknown(_)), "{error}");
}
