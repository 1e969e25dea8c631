//! The conformance suite of the store on a single Redis server.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use redis::{Cmd, FromRedisValue};
use sentinel_domain::{JobId, Millis};
use sentinel_faults::RedisServer;
use sentinel_store::conformance::{
    Harness, ReopenState, fixture, run_property_test, run_suite, seed_from_env,
};
use sentinel_store::fault::{FaultRates, FaultyStore};
use sentinel_store::{Mutation, Store, Transaction, TrimRequest};
use sentinel_store_redis::{OpenOptions, RedisStore};

use crate::audit;
use crate::support::temp_dir;

const START: Millis = 1_700_000_000_000;

/// The number of stores created so far. Each has its own key prefix.
static STORES: AtomicU64 = AtomicU64::new(0);

async fn open(url: &str, key_prefix: &str, now: Millis) -> Arc<dyn Store> {
    let options = OpenOptions { key_prefix: key_prefix.to_owned(), ..OpenOptions::new(url, now) };
    Arc::new(RedisStore::open(options).await.expect("opened"))
}

/// Runs a command on Redis, on a Cluster on the node with the keys.
pub(crate) async fn run_command<T: FromRedisValue>(url: &str, command: &Cmd) -> T {
    if let Some(nodes) = url.strip_prefix("redis+cluster://") {
        let nodes: Vec<String> = nodes.split(',').map(|node| format!("redis://{node}")).collect();
        let client = redis::cluster::ClusterClient::new(nodes).expect("valid URLs");
        let mut connection = client.get_async_connection().await.expect("connected");
        return command.query_async(&mut connection).await.expect("a reply");
    }
    let client = redis::Client::open(url).expect("a valid URL");
    let mut connection = client.get_multiplexed_async_connection().await.expect("connected");
    command.query_async(&mut connection).await.expect("a reply")
}

/// Brings a reopened store to the state that the suite expects: without the jobs that are terminal
/// at the ledger's checkpoint, and without sessions that have no jobs. This store keeps everything
/// across a restart, so the harness removes them as servers would.
async fn apply_reopen_state(store: &dyn Store, url: &str, key_prefix: &str, restart: &ReopenState) {
    let keep: Vec<JobId> = restart.jobs.iter().map(|job| job.id).collect();
    let terminal_index = format!("{key_prefix}:{{s0}}:finals");
    let mut read = redis::cmd("ZRANGE");
    read.arg(&terminal_index).arg(0).arg(-1).arg("WITHSCORES");
    let all: Vec<(Vec<u8>, f64)> = run_command(url, &read).await;
    let is_kept = |member: &[u8]| {
        let bits = u128::from_be_bytes(member[..16].try_into().expect("an id"));
        let seq = u64::from_be_bytes(member[16..].try_into().expect("a number"));
        keep.contains(&JobId::from_u128(bits)) && seq <= restart.checkpoint.seq
    };
    // Jobs that the ledger returns are as of its checkpoint.
    let (mut remove, mut add) = (redis::cmd("ZREM"), redis::cmd("ZADD"));
    remove.arg(&terminal_index).arg("none");
    add.arg(&terminal_index);
    let kept: Vec<_> = all.into_iter().filter(|(member, _)| is_kept(member)).collect();
    for (member, score) in &kept {
        remove.arg(member);
        add.arg(score).arg([&member[..16], &restart.checkpoint.seq.to_be_bytes()].concat());
    }
    let _: u64 = run_command(url, &remove).await;
    let (terminal_before, journal_before) = (Millis::MAX, Millis::MIN);
    let trim = TrimRequest {
        projected: restart.checkpoint,
        terminal_before,
        journal_before,
        limit: 9_999,
    };
    store.trim(trim).await.expect("trimmed");
    if !kept.is_empty() {
        let _: u64 = run_command(url, &add).await;
    }
    let mut transaction = Transaction::default();
    let found = store.due_work(Millis::MAX, 99_999).await.expect("a reply");
    transaction
        .mutations
        .extend(found.expired_sessions.iter().map(|row| Mutation::DropSession(row.id)));
    // Recreates the rows of sessions with jobs, without their additional data.
    let lost = found.lost.iter().filter_map(|job| Some(job.status.lease?.id.session));
    for session in lost.collect::<std::collections::BTreeSet<_>>() {
        transaction.mutations.push(Mutation::DropSession(session));
        let row = fixture::put_session(session, 0, restart.sessions_expire_at);
        transaction.mutations.extend(row.mutations);
    }
    let mut writer = fixture::Writer::new(STORES.fetch_add(1, Ordering::Relaxed) + 1_000_000);
    store
        .commit(writer.request(restart.now).transaction(transaction).build())
        .await
        .expect("committed");
}

pub(crate) async fn harness(url: &str) -> Harness {
    let key_prefix = format!("test-{}", STORES.fetch_add(1, Ordering::Relaxed));
    let first = open(url, &key_prefix, START).await;
    let url = url.to_owned();
    Harness::new(first).reopened_by(move |restart| {
        let (url, key_prefix) = (url.clone(), key_prefix.clone());
        Box::pin(async move {
            let store = open(&url, &key_prefix, restart.now).await;
            apply_reopen_state(&*store, &url, &key_prefix, &restart).await;
            store
        })
    })
}

#[tokio::test]
async fn the_store_passes_the_conformance_suite() {
    let dir = temp_dir();
    let server = RedisServer::start(dir.path(), &[]);
    run_suite(async || harness(&server.url()).await).await;
}

#[tokio::test]
async fn random_operations_match_the_model() {
    let dir = temp_dir();
    let server = RedisServer::start(dir.path(), &[]);
    let seed = seed_from_env();
    for nth in 0..4 {
        let url = server.url();
        let report =
            run_property_test(&mut harness(&url).await, seed.wrapping_add(nth), 1_000).await;
        assert!(report.reached.contains_key("reopened"), "{report:?}");
    }
    let names = server.ask("KEYS *:{s0}:meta").expect("a reply");
    for name in names.lines().filter_map(|line| line.split(':').next()) {
        audit::check(run_command(&server.url(), &audit::count(name)).await);
    }
}

/// A writer that repeats its calls is not affected by lost requests and responses.
#[tokio::test]
async fn random_operations_with_lost_messages_match_the_model() {
    let dir = temp_dir();
    let server = RedisServer::start(dir.path(), &[]);
    let lossy = |store: Arc<dyn Store>| {
        let store = FaultyStore::new(store);
        store.commits.seeded(
            1,
            FaultRates { lost_response: 300, lost_request: 200, ..FaultRates::default() },
        );
        Arc::new(store)
    };
    let (url, key_prefix) = (server.url(), "lossy");
    let first = lossy(open(&url, key_prefix, START).await);
    let mut harness = Harness::new(first).reopened_by(move |restart| {
        let url = url.clone();
        Box::pin(async move {
            let store = open(&url, key_prefix, restart.now).await;
            apply_reopen_state(&*store, &url, key_prefix, &restart).await;
            lossy(store) as Arc<dyn Store>
        })
    });
    let report = run_property_test(&mut harness, seed_from_env(), 1_000).await;
    report.assert_coverage();
}
