//! Everything dies, stops and is cut off under load, again and again, and the history keeps
//! every promise.

mod fault;
mod health;
pub(crate) mod load;
pub(crate) mod recorder;
pub(crate) mod site;

use std::time::{Duration, Instant};

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use fault::Fault;
use site::Site;

/// Deaths of the server in a row in one dose.
const SERVER_DEATHS: usize = 30;

/// Deaths of a worker in one dose.
const WORKER_DEATHS: usize = 5;

/// Stops of the server by SIGTERM in one dose.
const STOPS: usize = 5;

/// Mixed faults in one round.
const MIXED: usize = 14;

fn seed() -> u64 {
    let seed = std::env::var("SENTINEL_TEST_SEED").ok().and_then(|seed| seed.parse().ok());
    seed.unwrap_or(1)
}

/// Deaths of the server, then deaths of workers.
async fn deaths(seed: u64) {
    let mut site = Site::start("deaths", seed, false).await;
    for _ in 0..SERVER_DEATHS {
        site.load.acknowledges(100).await;
        site.strike(Fault::KillServer, Duration::ZERO).await;
    }
    for _ in 0..WORKER_DEATHS {
        site.load.acknowledges(80).await;
        site.strike(Fault::KillWorker, Duration::ZERO).await;
    }
    site.close().await;
}

/// The server is replaced again and again: GoAway, drain, start.
async fn rolling(seed: u64) {
    let mut site = Site::start("rolling", seed, false).await;
    for _ in 0..STOPS {
        site.load.acknowledges(80).await;
        site.strike(Fault::StopServer, Duration::ZERO).await;
    }
    site.close().await;
}

/// Faults of all kinds in an order that the seed gives, each for up to `longest`.
async fn mixed(seed: u64, faults: &[Fault], longest: Duration) {
    let mut dice = StdRng::seed_from_u64(seed);
    let mut site = Site::start("mixed", seed, faults.contains(&Fault::FillDisk)).await;
    for _ in 0..MIXED {
        let fault = faults[dice.random_range(0..faults.len())];
        let length = longest.mul_f64(dice.random_range(0.2..1.0));
        site.strike(fault, length).await;
        site.load.acknowledges(40).await;
    }
    site.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_promise_is_kept_when_servers_and_workers_die() {
    deaths(seed()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_promise_is_kept_when_the_server_is_replaced() {
    rolling(seed()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_promise_is_kept_under_mixed_faults() {
    mixed(seed(), Fault::SHORT, Duration::from_millis(1_500)).await;
}

/// Doses with rising seeds for SENTINEL_SOAK_MINUTES, 10 unless set.
pub(crate) async fn soak<F: Future<Output = ()>>(dose: impl Fn(u64) -> F) {
    let minutes = std::env::var("SENTINEL_SOAK_MINUTES").ok().and_then(|text| text.parse().ok());
    let length = Duration::from_secs(60 * minutes.unwrap_or(10));
    let start = Instant::now();
    let mut next = seed();
    while start.elapsed() < length {
        dose(next).await;
        next += 1;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "runs for minutes; the profile soak runs it"]
async fn soak_every_promise_is_kept_when_servers_and_workers_die() {
    soak(deaths).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "runs for minutes; the profile soak runs it"]
async fn soak_every_promise_is_kept_under_mixed_faults() {
    // Longer than a session lives: leases are lost, too.
    soak(|seed| mixed(seed, &Fault::ALL, Duration::from_secs(8))).await;
}
