//! The suite of the port.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use redis::AsyncCommands;
use sentinel_broker::conformance::{Harness, Restart, exercise, make, seed_from_env, walk};
use sentinel_broker::{Broker, Change, Group, Trim};
use sentinel_domain::{JobId, Millis};
use sentinel_redis::{OpenOptions, Redis};

use crate::server::{Server, directory};

const START: Millis = 1_700_000_000_000;

/// Stores in one server, each under a name of its own.
static STORES: AtomicU64 = AtomicU64::new(0);

async fn open(url: &str, installation: &str, now: Millis) -> Arc<dyn Broker> {
    let options =
        OpenOptions { installation: installation.to_owned(), ..OpenOptions::new(url, now) };
    Arc::new(Redis::open(options).await.expect("opens"))
}

/// The suite describes the restart of a store that forgets: what is final at the ledger's
/// checkpoint, and all sessions but those with jobs. This one keeps everything, so the
/// harness does what servers would have done to get there.
async fn forget(store: &dyn Broker, url: &str, installation: &str, restart: &Restart) {
    let keep: Vec<JobId> = restart.jobs.iter().map(|job| job.id).collect();
    let finals = format!("{installation}:{{s0}}:finals");
    let client = redis::Client::open(url).expect("is an address");
    let mut raw = client.get_multiplexed_async_connection().await.expect("connects");
    let all: Vec<(Vec<u8>, f64)> = raw.zrange_withscores(&finals, 0, -1).await.expect("answers");
    let is_kept = |member: &[u8]| {
        let bits = u128::from_be_bytes(member[..16].try_into().expect("an id"));
        let seq = u64::from_be_bytes(member[16..].try_into().expect("a number"));
        keep.contains(&JobId::from_u128(bits)) && seq <= restart.checkpoint.seq
    };
    // What a ledger tells is as of its checkpoint.
    let seq = restart.checkpoint.seq.to_be_bytes();
    let mut kept: Vec<(f64, Vec<u8>)> = Vec::new();
    for (mut member, score) in all.into_iter().filter(|(member, _)| is_kept(member)) {
        let _: () = raw.zrem(&finals, &member).await.expect("answers");
        member[16..].copy_from_slice(&seq);
        kept.push((score, member));
    }
    let (finals_before, journal_before) = (Millis::MAX, Millis::MIN);
    let trim = Trim { projected: restart.checkpoint, finals_before, journal_before, limit: 9_999 };
    store.trim(trim).await.expect("trims");
    if !kept.is_empty() {
        let _: () = raw.zadd_multiple(&finals, &kept).await.expect("answers");
    }
    let mut group = Group::default();
    let found = store.attention(Millis::MAX, 99_999).await.expect("answers");
    group.changes.extend(found.expired.iter().map(|row| Change::DropSession(row.id)));
    for job in &found.lost {
        let session = job.status.lease.expect("it runs").session;
        let row = make::put_session(session, 0, restart.sessions_expire_at);
        group.changes.extend(row.changes);
    }
    let mut writer = make::Writer::new(STORES.fetch_add(1, Ordering::Relaxed) + 1_000_000);
    store.commit(writer.call(restart.now).group(group).done()).await.expect("commits");
}

async fn harness(url: &str) -> Harness {
    let installation = format!("test-{}", STORES.fetch_add(1, Ordering::Relaxed));
    let first = open(url, &installation, START).await;
    let url = url.to_owned();
    Harness::new(first).reopened_by(move |restart| {
        let (url, installation) = (url.clone(), installation.clone());
        Box::pin(async move {
            let store = open(&url, &installation, restart.now).await;
            forget(&*store, &url, &installation, &restart).await;
            store
        })
    })
}

#[tokio::test]
async fn it_conforms() {
    let dir = directory();
    let server = Server::start(dir.path(), &[]);
    exercise(async || harness(&server.url()).await).await;
}

#[tokio::test]
async fn walks_agree_with_the_oracle() {
    let dir = directory();
    let server = Server::start(dir.path(), &[]);
    let seed = seed_from_env();
    for nth in 0..4 {
        let report = walk(&mut harness(&server.url()).await, seed.wrapping_add(nth), 1_000).await;
        assert!(report.reached.contains_key("reopened"), "{report:?}");
    }
}
