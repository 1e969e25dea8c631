//! Data loss in Redis: servers stop serving immediately, and `sentinel rebuild` restores what the
//! ledger has.

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
    Process, TIMEOUT, TestServer, WorkerProcess, binary, demo_job, enqueue, run, sentinel,
    wait_until,
};
use crate::history::side_effects;
use crate::ingest::exactly_once::{assert_each_once, numbered, numbers};
use crate::ops::try_http_get;

/// Jobs in the ledger of a rebuild that is killed.
const MANY: usize = 20_000;

/// A server with its own Redis and MariaDB.
struct RebuildFixture {
    server: TestServer,
    redis: RedisServer,
    redis_dir: tempfile::TempDir,
    database: MariaDb,
}

impl RebuildFixture {
    async fn start(flags: &[&str]) -> Self {
        let redis_dir = tempfile::tempdir().expect("a temporary directory");
        let redis = RedisServer::start(redis_dir.path(), &[]);
        let database = MariaDb::start();
        let (store, ledger) = (redis.url(), database.url());
        sentinel(["migrate", "--ledger-url", &ledger]).await.ok();
        let stores = ["--auto-create-queues", "--store-url", &store, "--ledger-url", &ledger];
        let server = TestServer::with_flags(&[&stores, flags].concat()).await;
        Self { server, redis, redis_dir, database }
    }

    async fn start_workers(&self) -> [WorkerProcess; 2] {
        let flags = ["--concurrency", "8"];
        [self.server.start_worker("w0", &flags).await, self.server.start_worker("w1", &flags).await]
    }

    fn rebuild_args(&self) -> [String; 7] {
        let (store, ledger) = (self.redis.url(), self.database.url());
        ["rebuild", "--yes", "--json", "--store-url", &store, "--ledger-url", &ledger]
            .map(str::to_owned)
    }

    async fn rebuild(&self) -> Value {
        let mut command = Command::new(binary("sentinel"));
        command.args(self.rebuild_args());
        let output = run(command).await;
        assert_eq!(output.code, 0, "{}", output.stderr);
        serde_json::from_str(&output.stdout).expect("one JSON object")
    }

    /// Returns the body of `/readyz`, or an empty string while the server restarts.
    async fn readiness(&self) -> String {
        let response = try_http_get(&self.server.ops_address, "/readyz").await;
        response.map(|(_, body)| body).unwrap_or_default()
    }

    /// Waits until the server has detected the loss and refuses calls.
    async fn wait_refusing(&self) {
        wait_until("the server detects the loss", TIMEOUT, || async {
            self.readiness().await.contains("STORE_ROLLED_BACK").then_some(())
        })
        .await;
        let client = self.server.client();
        let result = client.get("01a20652-9c1b-7000-a103-f906c768cfc7").await;
        let error = result.expect_err("an error");
        assert_eq!(error.reason(), Some("STORE_ROLLED_BACK"), "{error}");
    }

    /// Waits until the server is ready.
    async fn wait_ready(&self) {
        wait_until("the server is ready again", TIMEOUT, || async {
            self.readiness().await.starts_with("ready").then_some(())
        })
        .await;
    }
}

/// Asserts that every job exists and finishes, and that no lease was granted twice.
async fn assert_all_finish(client: &Client, ids: &BTreeSet<String>, file: &Path) {
    for id in ids {
        wait_until(&format!("job {id} is terminal"), 2 * TIMEOUT, || async {
            match client.get(id).await {
                Ok(job) => is_terminal(job.state()).then_some(()),
                Err(error) if error.reason() == Some("JOB_NOT_FOUND") => panic!("{id} is lost"),
                Err(_) => None,
            }
        })
        .await;
    }
    let lines = side_effects(file);
    let mut fences: Vec<_> = lines.iter().filter(|line| line.is_start).map(|l| l.fence()).collect();
    let starts = fences.len();
    fences.sort();
    fences.dedup();
    assert_eq!(fences.len(), starts, "a lease was granted twice");
    println!("{} acknowledged jobs finished; {starts} handlers started", ids.len());
}

#[tokio::test]
async fn a_rebuild_after_data_loss_restores_all_jobs_with_ledger_durability() {
    let fixture = RebuildFixture::start(&["--ack", "ledger"]).await;
    let file = fixture.server.dir.path().join("effects");
    let _workers = fixture.start_workers().await;
    let mut load = Load::start(&[fixture.server.url()], 1, &file);
    load.wait_acknowledged(200).await;
    fixture.redis.ask("FLUSHALL").expect("a reply of Redis");
    fixture.wait_refusing().await;
    let report = fixture.rebuild().await;
    assert_eq!(report["projectedEntries"], 0, "{report}");
    fixture.wait_ready().await;
    // Clients and workers reconnect automatically.
    load.wait_acknowledged(100).await;
    load.stop().await;
    assert_all_finish(&fixture.server.client(), &load.acknowledged(), &file).await;
}

/// The ledger has the committed offset of a producer, so a rebuilt store accepts no item twice.
#[tokio::test]
async fn a_producer_continues_after_a_rebuild() {
    const HALF: u64 = 700;
    let fixture = RebuildFixture::start(&["--ack", "ledger"]).await;
    let client = fixture.server.client();
    let ingest = client.ingest("orders").await.expect("open a stream");
    for n in 1..=HALF {
        assert_eq!(ingest.send(numbered(n)).await, Ok(n));
    }
    assert_eq!(ingest.flush().await, Ok(HALF));
    fixture.redis.ask("FLUSHALL").expect("a reply of Redis");
    fixture.wait_refusing().await;
    fixture.rebuild().await;
    fixture.wait_ready().await;
    // The existing stream continues, and so does a new one.
    for n in HALF + 1..=HALF + 10 {
        assert_eq!(ingest.send(numbered(n)).await, Ok(n));
    }
    let done = ingest.finish().await.expect("no error");
    assert_eq!((done.committed_offset, done.refused_count), (HALF + 10, 0));
    let ingest = client.ingest("orders").await.expect("open a stream again");
    assert_eq!(ingest.committed_offset(), HALF + 10);
    assert_each_once(&numbers(&client).await, HALF + 10);
}

#[tokio::test]
async fn an_older_copy_of_redis_is_refused_and_rebuilt() {
    let mut fixture = RebuildFixture::start(&["--ack", "ledger"]).await;
    let file = fixture.server.dir.path().join("effects");
    let _workers = fixture.start_workers().await;
    let mut load = Load::start(&[fixture.server.url()], 2, &file);
    load.wait_acknowledged(100).await;
    let (log, older) =
        (fixture.redis_dir.path().join("appendonlydir"), fixture.redis_dir.path().join("older"));
    copy(&log, &older);
    load.wait_acknowledged(100).await;
    fixture.redis.kill();
    std::fs::remove_dir_all(&log).expect("remove a directory");
    std::fs::rename(&older, &log).expect("rename the older copy");
    fixture.redis.restart();
    fixture.wait_refusing().await;
    let report = fixture.rebuild().await;
    assert!(report["previousPosition"].is_string() && report["projectedEntries"] == 0, "{report}");
    fixture.wait_ready().await;
    load.wait_acknowledged(100).await;
    load.stop().await;
    assert_all_finish(&fixture.server.client(), &load.acknowledged(), &file).await;
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir(to).expect("a directory");
    for entry in std::fs::read_dir(from).expect("a directory") {
        let entry = entry.expect("an entry");
        std::fs::copy(entry.path(), to.join(entry.file_name())).expect("copy a file");
    }
}

#[tokio::test]
async fn a_killed_rebuild_starts_again() {
    let mut fixture = RebuildFixture::start(&[]).await;
    let client = fixture.server.client();
    let job =
        demo_job("progress", json!({})).delay(Duration::from_secs(10_000)).ack(AckLevel::Ledger);
    let specs = vec![job.into_spec(); 1_000];
    for _ in 0..MANY / 1_000 {
        let stored = client.enqueue_batch(specs.clone(), BatchOptions::default()).await;
        assert!(stored.expect("a response").iter().all(Result::is_ok));
    }
    fixture.server.kill().await;
    fixture.redis.ask("FLUSHALL").expect("a reply of Redis");
    // A server does not start with an empty store when the ledger has jobs.
    assert_start_refused(&fixture, "sentinel rebuild").await;

    let mut command = Command::new(binary("sentinel"));
    command.args(fixture.rebuild_args());
    let mut killed = Process::start(command, &fixture.server.dir.path().join("rebuild.log"));
    let jobs_in_redis = || {
        let count = fixture.redis.ask("HLEN sentinel:{s0}:status").unwrap_or_default();
        count.trim().parse::<usize>().unwrap_or(0)
    };
    wait_until("the rebuild has started", TIMEOUT, || async {
        (jobs_in_redis() > 0).then_some(())
    })
    .await;
    killed.kill().await;
    if jobs_in_redis() < MANY {
        assert_start_refused(&fixture, "rebuild").await;
    }
    let report = fixture.rebuild().await;
    assert_eq!(report["jobs"], MANY, "{report}");
    fixture.server.restart().await;
    let depth = fixture.redis.ask("HGETALL sentinel:{s0}:depths").expect("a reply of Redis");
    assert!(depth.contains(&MANY.to_string()), "{depth}");
    enqueue(&client, demo_job("progress", json!({})).ack(AckLevel::Ledger)).await;
}

async fn assert_start_refused(fixture: &RebuildFixture, expected: &str) {
    let (any, store, ledger) = ("127.0.0.1:0", fixture.redis.url(), fixture.database.url());
    let stores = ["--store-url", &store, "--ledger-url", &ledger];
    let words = ["serve", "--listen", any, "--ops-listen", any];
    let output = sentinel(words.into_iter().chain(stores)).await;
    assert_ne!(output.code, 0);
    assert!(output.stderr.contains(expected), "{}", output.stderr);
}

#[tokio::test]
async fn a_rebuild_projects_the_remaining_journal_entries() {
    // The server is killed before the projector has caught up.
    let mut fixture = RebuildFixture::start(&[]).await;
    let client = fixture.server.client();
    let first = enqueue(
        &client,
        demo_job("progress", json!({})).delay(Duration::from_secs(10_000)).ack(AckLevel::Ledger),
    )
    .await;
    let mut last = Vec::new();
    for _ in 0..50 {
        last.push(
            enqueue(&client, demo_job("progress", json!({})).delay(Duration::from_secs(10_000)))
                .await,
        );
    }
    fixture.server.kill().await;
    fixture.rebuild().await;
    fixture.server.restart().await;
    for id in last.iter().chain([&first]) {
        client.get(id).await.unwrap_or_else(|error| panic!("{id}: {error}"));
    }
}

#[tokio::test]
async fn a_change_that_is_not_yet_safe_gets_an_error_and_is_applied_once() {
    let fixture = RebuildFixture::start(&[]).await;
    let client = fixture.server.client().with_deadline(Duration::from_secs(5));
    let job = || {
        demo_job("progress", json!({}))
            .delay(Duration::from_secs(10_000))
            .ack(AckLevel::Replicated)
            .request_id("once")
    };
    let error = client.enqueue(job()).await.expect_err("an error without replicas");
    assert_eq!(error.reason(), Some("NOT_YET_SAFE"), "{error}");
    assert!(matches!(error, Error::Api { retry_after: Some(_), .. }), "{error}");

    let dir = tempfile::tempdir().expect("a temporary directory");
    let primary = format!("127.0.0.1 {}", fixture.redis.port());
    let _replica = RedisServer::start(
        dir.path(),
        &["--replicaof", &primary, "--repl-diskless-sync-delay", "0"],
    );
    let enqueued =
        wait_until("a replica has the job", TIMEOUT, || async { client.enqueue(job()).await.ok() })
            .await;
    assert!(enqueued.deduplicated, "the first call stored the job");
    assert_eq!(fixture.redis.ask("HLEN sentinel:{s0}:status").as_deref().map(str::trim), Some("1"));
    let cancelled = client.cancel(&enqueued.job.id, "").await.expect("cancel the job");
    assert!(is_terminal(cancelled.job.state()));
}
