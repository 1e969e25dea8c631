//! Three servers over one Redis and one MariaDB, under load: each is replaced, each is killed,
//! and the history keeps every promise.

mod balancer;

use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::process::Signal;
use sentinel_client::Client;
use sentinel_faults::{MariaDb, RedisServer};
use serde_json::json;

use crate::chaos::load::Load;
use crate::chaos::recorder::Recorder;
use crate::chaos::site::{ends, list};
use crate::chaos::soak;
use crate::harness::{PATIENCE, Server, Worker, binary, demo, end_of, enqueue, sentinel, until};
use crate::history::{Look, check, effects};
use balancer::Balancer;

const SERVERS: usize = 3;
const WORKERS: usize = 3;

/// How often each server is replaced or killed.
const ROUNDS: usize = 2;

/// A replaced server hands its workers on; one that is killed leaves their sessions to expire.
const FLAGS: [&str; 7] =
    ["--auto-create-queues", "--session-ttl", "4s", "--ping", "1s", "--drain-timeout", "10s"];

/// Fields are dropped in order: the stores last.
struct Cluster {
    load: Load,
    recorders: Vec<Recorder>,
    workers: Vec<Worker>,
    servers: Vec<Server>,
    /// Between the workers and whichever server is up.
    _balancer: Balancer,
    file: PathBuf,
    _redis: RedisServer,
    _ledger: MariaDb,
    _dir: tempfile::TempDir,
}

impl Cluster {
    async fn start(seed: u64) -> Self {
        Self::start_program(seed, binary("sentinel")).await
    }

    /// With servers of another version, on a database that this one has migrated.
    async fn start_program(seed: u64, program: PathBuf) -> Self {
        println!("SENTINEL_TEST_SEED={seed}");
        let dir = tempfile::tempdir().expect("a temporary directory");
        let place = |name: &str| {
            let place = dir.path().join(name);
            std::fs::create_dir(&place).expect("a directory");
            place
        };
        let redis = RedisServer::start(&place("redis"), &[]);
        let ledger = MariaDb::start();
        let ledger_url = format!("--ledger-url={}", ledger.url());
        sentinel(["migrate", &ledger_url, "--json"]).await.ok();
        let broker_url = format!("--broker-url={}", redis.url());
        let flags: Vec<&str> = FLAGS.into_iter().chain([&*broker_url, &*ledger_url]).collect();
        let mut servers = Vec::with_capacity(SERVERS);
        for nth in 0..SERVERS {
            let place = place(&format!("server{nth}"));
            servers.push(Server::start_program(program.clone(), &place, &flags).await);
        }
        let urls: Vec<String> = servers.iter().map(Server::url).collect();
        let recorders: Vec<Recorder> = urls.iter().map(|url| Recorder::start(url)).collect();
        until("the watches begin", PATIENCE, || async {
            recorders.iter().all(Recorder::has_begun).then_some(())
        })
        .await;
        let balancer = Balancer::start(servers.iter().map(Server::socket_address).collect()).await;
        let url = format!("http://{}", balancer.address());
        let worker =
            |nth| Worker::start(dir.path(), &url, &format!("w{nth}"), &["--concurrency", "32"]);
        let workers = (0..WORKERS).map(worker).collect();
        let file = dir.path().join("effects");
        let load = Load::start(&urls, seed, &file);
        Self {
            load,
            recorders,
            workers,
            servers,
            _balancer: balancer,
            file,
            _redis: redis,
            _ledger: ledger,
            _dir: dir,
        }
    }

    fn client(&self, nth: usize) -> Client {
        Client::lazy(self.servers[nth % SERVERS].url()).expect("the address of a server")
    }

    /// Replaces a server, if need be by one of another version.
    async fn replace(&mut self, nth: usize, program: Option<&Path>) {
        let server = &mut self.servers[nth % SERVERS];
        server.signal(Signal::TERM);
        let status = server.end(PATIENCE + Duration::from_secs(10)).await;
        assert!(status.success(), "the drain of server {nth} was not clean: {status}");
        if let Some(program) = program {
            server.program = program.to_owned();
        }
        server.restart().await;
    }

    /// Ends the load, waits until nothing moves, and judges the history.
    async fn close(mut self) {
        let mut history = self.load.stop().await;
        ends(&self.client(0), &mut history).await;
        // A watch keeps the order: what shows this one has shown all before.
        let last = enqueue(&self.client(1), demo("noop", json!({}))).await;
        let end = end_of(&self.client(2), &last).await;
        history.got.insert(last.clone(), Look::from(&end));
        until("the watches show the last job", PATIENCE, || async {
            self.recorders.iter().all(|recorder| recorder.has_end_of(&last)).then_some(())
        })
        .await;
        history.acknowledged.insert(last.clone());
        list(&self.client(1), &last, &mut history).await;
        history.effects = effects(&self.file);
        history.watches = self.recorders.drain(..).map(Recorder::stop).collect();
        let begun = history.effects.iter().filter(|line| line.is_start).count();
        println!("{} jobs, {begun} handlers begun", history.acknowledged.len());
        let violations = check(&history);
        assert!(violations.is_empty(), "{violations:#?}");
        for worker in &mut self.workers {
            assert_eq!(worker.ended(), None, "a worker outlives every server");
        }
    }
}

fn seed() -> u64 {
    let seed = std::env::var("SENTINEL_TEST_SEED").ok().and_then(|seed| seed.parse().ok());
    seed.unwrap_or(1)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_promise_is_kept_when_each_server_is_replaced() {
    let mut cluster = Cluster::start(seed()).await;
    for nth in 0..ROUNDS * SERVERS {
        cluster.load.acknowledges(60).await;
        cluster.replace(nth, None).await;
    }
    cluster.close().await;
}

/// An upgrade server by server, with one step back and a death on either side, under load.
async fn upgrade(seed: u64, old: &Path) {
    let new = binary("sentinel");
    let mut cluster = Cluster::start_program(seed, old.to_owned()).await;
    // Of three servers: one is new, killed and back, then two, one again, two, all.
    let steps = [(0, &*new), (1, &*new), (1, old), (1, &*new), (2, &*new)];
    for (nth, program) in steps {
        cluster.load.acknowledges(60).await;
        cluster.replace(nth, Some(program)).await;
        cluster.load.acknowledges(60).await;
        for dead in [nth, nth + 1] {
            cluster.servers[dead % SERVERS].kill().await;
            cluster.load.acknowledges(30).await;
            cluster.servers[dead % SERVERS].restart().await;
        }
    }
    let dose = json!({
        "dose": "upgrade",
        "seed": seed,
        "faults": {"replaced": steps.len(), "killed": 2 * steps.len()},
        "checked": {"jobs": cluster.load.acknowledged().len()},
    });
    cluster.close().await;
    // Read by `cargo xtask soak`.
    println!("dose {dose}");
}

/// `cargo xtask soak` names the programs of another version.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "runs for minutes; the profile soak runs it"]
async fn soak_every_promise_is_kept_when_versions_are_mixed() {
    let Some(other) = std::env::var_os("SENTINEL_TEST_OTHER") else {
        println!("skipped: SENTINEL_TEST_OTHER names no directory with another version");
        return;
    };
    let old = PathBuf::from(other).join("sentinel");
    soak(|seed| upgrade(seed, &old)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_promise_is_kept_when_each_server_is_killed() {
    let mut cluster = Cluster::start(seed()).await;
    for nth in 0..ROUNDS * SERVERS {
        cluster.load.acknowledges(60).await;
        cluster.servers[nth % SERVERS].kill().await;
        // The others go on.
        cluster.load.acknowledges(40).await;
        cluster.servers[nth % SERVERS].restart().await;
    }
    cluster.close().await;
}
