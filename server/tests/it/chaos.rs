//! Everything dies, stops and is cut off under load, again and again, and the history keeps
//! every promise.

mod close;
pub(crate) mod fault;
mod health;
pub(crate) mod load;
pub(crate) mod recorder;
pub(crate) mod site;
mod stores;

use std::time::{Duration, Instant};

use rand::rngs::StdRng;
use rand::seq::{IteratorRandom, SliceRandom};
use rand::{RngExt, SeedableRng};

use fault::Fault;
use site::{Ground, Site};

/// Deaths of the server in a row in one dose.
const SERVER_DEATHS: usize = 30;

/// Deaths of a worker in one dose.
const WORKER_DEATHS: usize = 5;

/// Stops of the server by SIGTERM in one dose.
const STOPS: usize = 5;

/// Mixed faults in one round.
const MIXED: usize = 14;

/// Faults of several servers and their stores in one short round.
const SHARED: usize = 16;

/// Pairs of faults in one dose.
const STORMS: usize = 16;

pub(crate) fn seed() -> u64 {
    let seed = std::env::var("SENTINEL_TEST_SEED").ok().and_then(|seed| seed.parse().ok());
    seed.unwrap_or(1)
}

/// Deaths of the server, then deaths of workers.
async fn deaths(seed: u64) {
    let mut site = Site::start("deaths", seed, Ground::Directory).await;
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
    let mut site = Site::start("rolling", seed, Ground::Directory).await;
    for _ in 0..STOPS {
        site.load.acknowledges(80).await;
        site.strike(Fault::StopServer, Duration::ZERO).await;
    }
    site.close().await;
}

/// Faults of all kinds in an order that the seed gives, each for up to `longest`.
async fn mixed(seed: u64, faults: &[Fault], longest: Duration) {
    let mut entropy = StdRng::seed_from_u64(seed);
    let has_disk = faults.contains(&Fault::FillDisk);
    let ground = if has_disk { Ground::SmallDisk } else { Ground::Directory };
    let mut site = Site::start("mixed", seed, ground).await;
    for _ in 0..MIXED {
        let fault = faults[entropy.random_range(0..faults.len())];
        let length = longest.mul_f64(entropy.random_range(0.2..1.0));
        site.strike(fault, length).await;
        site.load.acknowledges(40).await;
    }
    site.close().await;
}

/// Faults of several servers over one Redis and one MariaDB, each once in an order that the
/// seed gives, and so many of them; after each, all is well again in time.
async fn shared(seed: u64, mut faults: Vec<Fault>, count: usize, longest: Duration) {
    let mut entropy = StdRng::seed_from_u64(seed);
    faults.shuffle(&mut entropy);
    let mut site = Site::start("shared", seed, Ground::Shared).await;
    for fault in faults.into_iter().take(count) {
        let length = longest.mul_f64(entropy.random_range(0.2..1.0));
        site.strike(fault, length).await;
        site.recovers(fault).await;
        site.load.acknowledges(40).await;
    }
    site.close().await;
}

/// The same with two faults at once, again and again.
async fn storms(seed: u64, count: usize, longest: Duration) {
    let mut entropy = StdRng::seed_from_u64(seed);
    let faults = Fault::of_many();
    let mut site = Site::start("storms", seed, Ground::Shared).await;
    for _ in 0..count {
        let first = faults[entropy.random_range(0..faults.len())];
        let others = faults.iter().filter(|other| other.target() != first.target());
        let second = *others.choose(&mut entropy).expect("a fault of something else");
        let length = longest.mul_f64(entropy.random_range(0.2..1.0));
        site.strike_twice([first, second], length).await;
        site.recovers(second).await;
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
    mixed(seed(), Fault::SHORT_OF_ONE, Duration::from_millis(1_500)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_promise_is_kept_by_many_servers_when_they_and_their_stores_fail() {
    shared(seed(), Fault::short_of_many(), SHARED, Duration::from_millis(1_500)).await;
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
    soak(|seed| mixed(seed, &Fault::OF_ONE, Duration::from_secs(8))).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "runs for minutes; the profile soak runs it"]
async fn soak_every_promise_is_kept_by_many_servers_when_they_and_their_stores_fail() {
    soak(|seed| shared(seed, Fault::of_many(), usize::MAX, Duration::from_secs(8))).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "runs for minutes; the profile soak runs it"]
async fn soak_every_promise_is_kept_when_two_things_fail_at_once() {
    soak(|seed| storms(seed, STORMS, Duration::from_secs(6))).await;
}
