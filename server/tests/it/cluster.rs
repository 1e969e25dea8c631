//! Three servers over one Redis and one MariaDB, under load: each is replaced, each is killed,
//! and the history keeps every promise.

mod away;
mod isolated;
mod lead;

use std::time::Duration;

use crate::chaos::fault::Fault;
use crate::chaos::seed;
use crate::chaos::site::{Ground, Site};

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
