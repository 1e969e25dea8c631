//! The suite of the port.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use redis::{Cmd, FromRedisValue};
use sentinel_domain::{JobId, Millis};
use sentinel_faults::RedisServer;
use sentinel_store::conformance::{Harness, ReopenState, run_suite, fixture, seed_from_env, run_property_test};
use sentinel_store::fault::{FaultyStore, FaultRates};
use sentinel_store::{Mutation, Store, Transaction, TrimRequest};
use sentinel_store_redis::{OpenOptions, RedisStore};

use crate::audit;
use crate::place::directory;

const START: Millis = 1_700_000_000_000;

/// Stores in one server, each under a name of its own.
static STORES: AtomicU64 = AtomicU64::new(0);

async fn open(url: &str, key_prefix: &str, now: Millis) -> Arc<dyn Store> {
    let options =
        OpenOptions { key_prefix: key_prefix.to_owned(), ..OpenOptions::new(url, now) };
    Arc::new(RedisStore::open(options).await.expect("opens"))
}

/// Asks the Redis itself, on a Cluster the node that has the keys.
pub(crate) async fn raw<T: FromRedisValue>(url: &str, command: &Cmd) -> T {
    if let Some(nodes) = url.strip_prefix("redis+cluster://") {
        let nodes: Vec<String> = nodes.split(',').map(|node| format!("redis://{node}")).collect();
        let client = redis::cluster::ClusterClient::new(nodes).expect("are addresses");
        let mut link = client.get_async_connection().await.expect("connects");
        return command.query_async(&mut link).await.expect("answers");
    }
    let client = redis::Client::open(url).expect("is an address");
    let mut link = client.get_multiplexed_async_connection().await.expect("connects");
    command.query_async(&mut link).await.expect("answers")
}

/// The suite describes the restart of a store that forgets: what is final at the ledger's
/// checkpoint, and all sessions but those with jobs. This one keeps everything, so the
/// harness does what servers would have done to get there.
async fn forget(store: &dyn Store, url: &str, key_prefix: &str, restart: &ReopenState) {
    let keep: Vec<JobId> = restart.jobs.iter().map(|job| job.id).collect();
    let finals = format!("{key_prefix}:{{s0}}:finals");
    let mut read = redis::cmd("ZRANGE");
    read.arg(&finals).arg(0).arg(-1).arg("WITHSCORES");
    let all: Vec<(Vec<u8>, f64)> = raw(url, &read).await;
    let is_kept = |member: &[u8]| {
        let bits = u128::from_be_bytes(member[..16].try_into().expect("an id"));
        let seq = u64::from_be_bytes(member[16..].try_into().expect("a number"));
        keep.contains(&JobId::from_u128(bits)) && seq <= restart.checkpoint.seq
    };
    // What a ledger tells is as of its checkpoint.
    let (mut take, mut put) = (redis::cmd("ZREM"), redis::cmd("ZADD"));
    take.arg(&finals).arg("none");
    put.arg(&finals);
    let kept: Vec<_> = all.into_iter().filter(|(member, _)| is_kept(member)).collect();
    for (member, score) in &kept {
        take.arg(member);
        put.arg(score).arg([&member[..16], &restart.checkpoint.seq.to_be_bytes()].concat());
    }
    let _: u64 = raw(url, &take).await;
    let (terminal_before, journal_before) = (Millis::MAX, Millis::MIN);
    let trim =
        TrimRequest { projected: restart.checkpoint, terminal_before, journal_before, limit: 9_999 };
    store.trim(trim).await.expect("trims");
    if !kept.is_empty() {
        let _: u64 = raw(url, &put).await;
    }
    let mut group = Transaction::default();
    let found = store.due_work(Millis::MAX, 99_999).await.expect("answers");
    group.mutations.extend(found.expired_sessions.iter().map(|row| Mutation::DropSession(row.id)));
    // With what stands beside their rows.
    let lost = found.lost.iter().filter_map(|job| Some(job.status.lease?.id.session));
    for session in lost.collect::<std::collections::BTreeSet<_>>() {
        group.mutations.push(Mutation::DropSession(session));
        let row = fixture::put_session(session, 0, restart.sessions_expire_at);
        group.mutations.extend(row.mutations);
    }
    let mut writer = fixture::Writer::new(STORES.fetch_add(1, Ordering::Relaxed) + 1_000_000);
    store.commit(writer.request(restart.now).transaction(group).build()).await.expect("commits");
}

pub(crate) async fn harness(url: &str) -> Harness {
    let key_prefix = format!("test-{}", STORES.fetch_add(1, Ordering::Relaxed));
    let first = open(url, &key_prefix, START).await;
    let url = url.to_owned();
    Harness::new(first).reopened_by(move |restart| {
        let (url, key_prefix) = (url.clone(), key_prefix.clone());
        Box::pin(async move {
            let store = open(&url, &key_prefix, restart.now).await;
            forget(&*store, &url, &key_prefix, &restart).await;
            store
        })
    })
}

#[tokio::test]
async fn it_conforms() {
    let dir = directory();
    let server = RedisServer::start(dir.path(), &[]);
    run_suite(async || harness(&server.url()).await).await;
}

#[tokio::test]
async fn walks_agree_with_the_oracle() {
    let dir = directory();
    let server = RedisServer::start(dir.path(), &[]);
    let seed = seed_from_env();
    for nth in 0..4 {
        let url = server.url();
        let report = run_property_test(&mut harness(&url).await, seed.wrapping_add(nth), 1_000).await;
        assert!(report.reached.contains_key("reopened"), "{report:?}");
    }
    let names = server.ask("KEYS *:{s0}:meta").expect("answers");
    for name in names.lines().filter_map(|line| line.split(':').next()) {
        audit::check(raw(&server.url(), &audit::count(name)).await);
    }
}

/// Lost calls and replies change nothing for a writer that repeats its number.
#[tokio::test]
async fn a_lossy_walk_agrees_with_the_oracle() {
    let dir = directory();
    let server = RedisServer::start(dir.path(), &[]);
    let lossy = |store: Arc<dyn Store>| {
        let store = FaultyStore::new(store);
        store.commits.seeded(1, FaultRates { lost_response: 300, lost_request: 200, ..FaultRates::default() });
        Arc::new(store)
    };
    let (url, key_prefix) = (server.url(), "lossy");
    let first = lossy(open(&url, key_prefix, START).await);
    let mut harness = Harness::new(first).reopened_by(move |restart| {
        let url = url.clone();
        Box::pin(async move {
            let store = open(&url, key_prefix, restart.now).await;
            forget(&*store, &url, key_prefix, &restart).await;
            lossy(store) as Arc<dyn Store>
        })
    });
    let report = run_property_test(&mut harness, seed_from_env(), 1_000).await;
    report.assert_coverage();
}
