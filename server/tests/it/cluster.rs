//! Three servers over one Redis and one MariaDB, under load: each is replaced, each is killed,
//! and the history keeps every promise.

mod away;
mod isolated;
mod lead;

use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::process::Signal;

use crate::chaos::fault::Fault;
use crate::chaos::site::{Ground, Site};
use crate::chaos::{seed, soak};
use crate::harness::{PATIENCE, binary};

const SERVERS: usize = 3;

/// How often each server is replaced or killed.
const ROUNDS: usize = 2;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_promise_is_kept_when_each_server_is_replaced() {
    let mut site = Site::start("replaced", seed(), Ground::Shared).await;
    for _ in 0..ROUNDS * SERVERS {
        site.load.acknowledges(60).await;
        site.strike(Fault::StopServer, Duration::ZERO).await;
    }
    site.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_promise_is_kept_when_each_server_is_killed() {
    let mut site = Site::start("killed", seed(), Ground::Shared).await;
    for nth in 0..ROUNDS * SERVERS {
        site.load.acknowledges(60).await;
        site.servers[nth % SERVERS].kill().await;
        // The others go on.
        site.load.acknowledges(40).await;
        site.servers[nth % SERVERS].restart().await;
    }
    site.close().await;
}

/// Servers are put back to an older version one by one, and brought forward again with a step
/// back between; at each point one of either version may die.
async fn upgrade(seed: u64, old: &Path) {
    let new = binary("sentinel");
    let mut site = Site::start("upgrade", seed, Ground::Shared).await;
    let back = [(0, old), (1, old), (2, old)];
    let forward = [(0, &*new), (1, &*new), (1, old), (1, &*new), (2, &*new)];
    for (nth, program) in back.into_iter().chain(forward) {
        site.load.acknowledges(60).await;
        let server = &mut site.servers[nth];
        server.signal(Signal::TERM);
        let status = server.end(PATIENCE + Duration::from_secs(10)).await;
        assert!(status.success(), "the drain of server {nth} was not clean: {status}");
        server.program = program.to_owned();
        server.restart().await;
        site.load.acknowledges(60).await;
        for dead in [nth, (nth + 1) % SERVERS] {
            site.servers[dead].kill().await;
            site.load.acknowledges(30).await;
            site.servers[dead].restart().await;
        }
    }
    site.close().await;
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
