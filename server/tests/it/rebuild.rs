//! Redis loses what it acknowledged: servers stop at once, and `sentinel rebuild` brings back
//! what the ledger has.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use sentinel_client::proto::jobs::v1::AckLevel;
use sentinel_client::{BatchOptions, Client, Error, is_terminal};
use sentinel_faults::{MariaDb, RedisServer};
use serde_json::{Value, json};
use tokio::process::Command;

use crate::chaos::load::Load;
use crate::harness::{
    PATIENCE, Process, Worker, World, binary, demo, enqueue, run, sentinel, until,
};
use crate::history::effects;
use crate::ingest::once::{is_each_once, numbered, numbers};
use crate::ops::try_http_get;

/// Jobs that a rebuild is killed over.
const MANY: usize = 20_000;

/// A server on a Redis of its own, and a fleet.
struct Site {
    world: World,
    redis: RedisServer,
    redis_dir: tempfile::TempDir,
    database: MariaDb,
}

impl Site {
    async fn start(flags: &[&str]) -> Self {
        let redis_dir = tempfile::tempdir().expect("a temporary directory");
        let redis = RedisServer::start(redis_dir.path(), &[]);
        let database = MariaDb::start();
        let (store, ledger) = (redis.url(), database.url());
        sentinel(["migrate", "--ledger-url", &ledger]).await.ok();
        let stores = ["--auto-create-queues", "--store-url", &store, "--ledger-url", &ledger];
        let world = World::with(&[&stores, flags].concat()).await;
        Self { world, redis, redis_dir, database }
    }

    async fn fleet(&self) -> [Worker; 2] {
        let flags = ["--concurrency", "8"];
        [self.world.worker("w0", &flags).await, self.world.worker("w1", &flags).await]
    }

    fn rebuild_args(&self) -> [String; 7] {
        let (store, ledger) = (self.redis.url(), self.database.url());
        ["rebuild", "--yes", "--json", "--store-url", &store, "--ledger-url", &ledger]
            .map(str::to_owned)
    }

    async fn rebuild(&self) -> Value {
        let mut command = Command::new(binary("sentinel"));
        command.args(self.rebuild_args());
        let ended = run(command).await;
        assert_eq!(ended.code, 0, "{}", ended.err);
        serde_json::from_str(&ended.out).expect("one JSON object")
    }

    /// Empty while the server begins anew.
    async fn readiness(&self) -> String {
        let answer = try_http_get(&self.world.server.ops_address, "/readyz").await;
        answer.map(|(_, body)| body).unwrap_or_default()
    }

    /// The server has found out, and says so to whoever asks.
    async fn is_shut(&self) {
        until("the server finds out", PATIENCE, || async {
            self.readiness().await.contains("STORE_ROLLED_BACK").then_some(())
        })
        .await;
        let client = self.world.client();
        let refused = client.get("01a20652-9c1b-7000-a103-f906c768cfc7").await;
        let error = refused.expect_err("nothing is read");
        assert_eq!(error.reason(), Some("STORE_ROLLED_BACK"), "{error}");
    }

    async fn is_open(&self) {
        until("the server begins anew", PATIENCE, || async {
            self.readiness().await.starts_with("ready").then_some(())
        })
        .await;
    }
}

/// Every job is known and ends; no lease was given out twice.
async fn all_end(client: &Client, ids: &BTreeSet<String>, file: &Path) {
    for id in ids {
        until(&format!("job {id} is final"), 2 * PATIENCE, || async {
            match client.get(id).await {
                Ok(job) => is_terminal(job.state()).then_some(()),
                Err(error) if error.reason() == Some("JOB_NOT_FOUND") => panic!("{id} is lost"),
                Err(_) => None,
            }
        })
        .await;
    }
    let lines = effects(file);
    let mut fences: Vec<_> = lines.iter().filter(|line| line.is_start).map(|l| l.fence()).collect();
    let starts = fences.len();
    fences.sort();
    fences.dedup();
    assert_eq!(fences.len(), starts, "no lease was given out twice");
    println!("{} acknowledged jobs ended; {starts} handlers began", ids.len());
}

#[tokio::test]
async fn an_emptied_redis_loses_nothing_that_the_ledger_acknowledged() {
    let site = Site::start(&["--ack", "ledger"]).await;
    let file = site.world.dir.path().join("effects");
    let _fleet = site.fleet().await;
    let mut load = Load::start(&[site.world.server.url()], 1, &file);
    load.acknowledges(200).await;
    site.redis.ask("FLUSHALL").expect("it answers");
    site.is_shut().await;
    let answer = site.rebuild().await;
    assert_eq!(answer["carriedEntries"], 0, "{answer}");
    site.is_open().await;
    // Clients and workers come back by themselves.
    load.acknowledges(100).await;
    load.stop().await;
    all_end(&site.world.client(), &load.acknowledged(), &file).await;
}

/// Where a producer stands is in the ledger with the jobs up to there, so a store that was made
/// out of it takes no item twice.
#[tokio::test]
async fn a_producer_goes_on_over_an_emptied_redis() {
    const HALF: u64 = 700;
    let site = Site::start(&["--ack", "ledger"]).await;
    let client = site.world.client();
    let ingest = client.ingest("orders").await.expect("opened");
    for n in 1..=HALF {
        assert_eq!(ingest.send(numbered(n)).await, Ok(n));
    }
    assert_eq!(ingest.flush().await, Ok(HALF));
    site.redis.ask("FLUSHALL").expect("it answers");
    site.is_shut().await;
    site.rebuild().await;
    site.is_open().await;
    // The stream, and one that a new process opens.
    for n in HALF + 1..=HALF + 10 {
        assert_eq!(ingest.send(numbered(n)).await, Ok(n));
    }
    let done = ingest.finish().await.expect("goes on");
    assert_eq!((done.committed_offset, done.refused_count), (HALF + 10, 0));
    let ingest = client.ingest("orders").await.expect("opened again");
    assert_eq!(ingest.committed(), HALF + 10);
    is_each_once(&numbers(&client).await, HALF + 10);
}

#[tokio::test]
async fn an_older_copy_of_redis_is_refused_and_replaced() {
    let mut site = Site::start(&["--ack", "ledger"]).await;
    let file = site.world.dir.path().join("effects");
    let _fleet = site.fleet().await;
    let mut load = Load::start(&[site.world.server.url()], 2, &file);
    load.acknowledges(100).await;
    let (log, older) =
        (site.redis_dir.path().join("appendonlydir"), site.redis_dir.path().join("older"));
    copy(&log, &older);
    load.acknowledges(100).await;
    site.redis.kill();
    std::fs::remove_dir_all(&log).expect("is removed");
    std::fs::rename(&older, &log).expect("takes its place");
    site.redis.restart();
    site.is_shut().await;
    let answer = site.rebuild().await;
    assert!(answer["was"].is_string() && answer["carriedEntries"] == 0, "{answer}");
    site.is_open().await;
    load.acknowledges(100).await;
    load.stop().await;
    all_end(&site.world.client(), &load.acknowledged(), &file).await;
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir(to).expect("a directory");
    for entry in std::fs::read_dir(from).expect("a directory") {
        let entry = entry.expect("an entry");
        std::fs::copy(entry.path(), to.join(entry.file_name())).expect("is copied");
    }
}

#[tokio::test]
async fn a_rebuild_that_was_killed_is_begun_again() {
    let mut site = Site::start(&[]).await;
    let client = site.world.client();
    let job = demo("progress", json!({})).delay(Duration::from_secs(10_000)).ack(AckLevel::Ledger);
    let specs = vec![job.into_spec(); 1_000];
    for _ in 0..MANY / 1_000 {
        let stored = client.enqueue_batch(specs.clone(), BatchOptions::default()).await;
        assert!(stored.expect("stored").iter().all(Result::is_ok));
    }
    site.world.server.kill().await;
    site.redis.ask("FLUSHALL").expect("it answers");
    // Nobody begins another store beside a ledger that has more.
    refuses_to_start(&site, "sentinel rebuild").await;

    let mut command = Command::new(binary("sentinel"));
    command.args(site.rebuild_args());
    let mut killed = Process::start(command, &site.world.dir.path().join("rebuild.log"));
    let there = || {
        let count = site.redis.ask("HLEN sentinel:{s0}:status").unwrap_or_default();
        count.trim().parse::<usize>().unwrap_or(0)
    };
    until("it is under way", PATIENCE, || async { (there() > 0).then_some(()) }).await;
    killed.kill().await;
    if there() < MANY {
        refuses_to_start(&site, "rebuild").await;
    }
    let answer = site.rebuild().await;
    assert_eq!(answer["jobs"], MANY, "{answer}");
    site.world.server.restart().await;
    let depth = site.redis.ask("HGETALL sentinel:{s0}:depths").expect("it answers");
    assert!(depth.contains(&MANY.to_string()), "{depth}");
    enqueue(&client, demo("progress", json!({})).ack(AckLevel::Ledger)).await;
}

async fn refuses_to_start(site: &Site, why: &str) {
    let (any, store, ledger) = ("127.0.0.1:0", site.redis.url(), site.database.url());
    let stores = ["--store-url", &store, "--ledger-url", &ledger];
    let words = ["serve", "--listen", any, "--ops-listen", any];
    let ended = sentinel(words.into_iter().chain(stores)).await;
    assert_ne!(ended.code, 0);
    assert!(ended.err.contains(why), "{}", ended.err);
}

#[tokio::test]
async fn what_the_journal_still_has_is_carried_over() {
    // Without a projector at work the ledger would be behind; here it is stopped in between.
    let mut site = Site::start(&[]).await;
    let client = site.world.client();
    let first = enqueue(
        &client,
        demo("progress", json!({})).delay(Duration::from_secs(10_000)).ack(AckLevel::Ledger),
    )
    .await;
    let mut last = Vec::new();
    for _ in 0..50 {
        last.push(
            enqueue(&client, demo("progress", json!({})).delay(Duration::from_secs(10_000))).await,
        );
    }
    site.world.server.kill().await;
    site.rebuild().await;
    site.world.server.restart().await;
    for id in last.iter().chain([&first]) {
        client.get(id).await.unwrap_or_else(|error| panic!("{id}: {error}"));
    }
}

#[tokio::test]
async fn a_change_that_is_not_safe_yet_is_told_so_and_made_once() {
    let site = Site::start(&[]).await;
    let client = site.world.client();
    let job = || {
        demo("progress", json!({}))
            .delay(Duration::from_secs(10_000))
            .ack(AckLevel::Replicated)
            .request_id("once")
    };
    let error = client.enqueue(job()).await.expect_err("there are no replicas");
    assert_eq!(error.reason(), Some("NOT_YET_SAFE"), "{error}");
    assert!(matches!(error, Error::Api { retry_after: Some(_), .. }), "{error}");

    let dir = tempfile::tempdir().expect("a temporary directory");
    let of = format!("127.0.0.1 {}", site.redis.port());
    let _replica =
        RedisServer::start(dir.path(), &["--replicaof", &of, "--repl-diskless-sync-delay", "0"]);
    let enqueued =
        until("a replica has it", PATIENCE, || async { client.enqueue(job()).await.ok() }).await;
    assert!(enqueued.deduplicated, "the first call made it");
    assert_eq!(site.redis.ask("HLEN sentinel:{s0}:status").as_deref().map(str::trim), Some("1"));
    let cancelled = client.cancel(&enqueued.job.id, "").await.expect("is safe, too");
    assert!(is_terminal(cancelled.job.state()));
}
