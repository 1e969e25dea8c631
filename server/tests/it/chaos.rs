//! Fault injection under load: processes are killed, stopped and disconnected repeatedly, and the
//! history checker verifies the documented guarantees.

pub(crate) mod fault;
mod finish;
pub(crate) mod fixture;
mod health;
pub(crate) mod load;
pub(crate) mod recorder;
mod stores;

use std::time::{Duration, Instant};

use rand::rngs::StdRng;
use rand::seq::{IteratorRandom, SliceRandom};
use rand::{RngExt, SeedableRng};

use fault::Fault;
use fixture::{ChaosFixture, Topology};

/// How often one run of [`kills`] kills or stops each process.
struct Kills {
    server: usize,
    worker: usize,
    /// Stops of the server by SIGTERM.
    stops: usize,
}

const SHORT: Kills = Kills { server: 12, worker: 3, stops: 2 };

const LONG: Kills = Kills { server: 30, worker: 5, stops: 5 };

/// Faults in one run of [`mixed_faults`].
const MIXED_FAULTS: usize = 14;

/// Faults in one short run of [`cluster_faults`].
const CLUSTER_FAULTS: usize = 12;

/// Pairs of faults in one run of [`fault_pairs`].
const FAULT_PAIRS: usize = 16;

/// Returns `SENTINEL_TEST_SEED`, or 1 when it is not set.
pub(crate) fn seed() -> u64 {
    let seed = std::env::var("SENTINEL_TEST_SEED").ok().and_then(|seed| seed.parse().ok());
    seed.unwrap_or(1)
}

/// Kills the server repeatedly, then workers, then restarts the server with a graceful shutdown.
async fn kills(seed: u64, kills: &Kills) {
    let mut fixture = ChaosFixture::start("kills", seed, Topology::SingleServer).await;
    let faults = [
        (Fault::KillServer, kills.server),
        (Fault::KillWorker, kills.worker),
        (Fault::StopServer, kills.stops),
    ];
    for (fault, count) in faults {
        for _ in 0..count {
            fixture.load.wait_acknowledged(80).await;
            fixture.inject(fault, Duration::ZERO).await;
        }
    }
    fixture.finish().await;
}

/// Injects faults of all kinds, chosen by the seed, each for up to `longest`.
async fn mixed_faults(seed: u64, faults: &[Fault], longest: Duration) {
    let mut entropy = StdRng::seed_from_u64(seed);
    let has_disk = faults.contains(&Fault::FillDisk);
    let topology = if has_disk { Topology::SmallDisk } else { Topology::SingleServer };
    let mut fixture = ChaosFixture::start("mixed faults", seed, topology).await;
    for _ in 0..MIXED_FAULTS {
        let fault = faults[entropy.random_range(0..faults.len())];
        let length = longest.mul_f64(entropy.random_range(0.2..1.0));
        fixture.inject(fault, length).await;
        fixture.load.wait_acknowledged(40).await;
    }
    fixture.finish().await;
}

/// Injects up to `count` faults of several servers over one Redis and one MariaDB, each once, in an
/// order chosen by the seed. After each fault the system must recover in time.
async fn cluster_faults(seed: u64, mut faults: Vec<Fault>, count: usize, longest: Duration) {
    let mut entropy = StdRng::seed_from_u64(seed);
    faults.shuffle(&mut entropy);
    let mut fixture = ChaosFixture::start("cluster faults", seed, Topology::Cluster).await;
    for fault in faults.into_iter().take(count) {
        let length = longest.mul_f64(entropy.random_range(0.2..1.0));
        fixture.inject(fault, length).await;
        fixture.assert_recovers(fault).await;
        fixture.load.wait_acknowledged(40).await;
    }
    fixture.finish().await;
}

/// Injects pairs of simultaneous faults into a cluster.
async fn fault_pairs(seed: u64, count: usize, longest: Duration) {
    let mut entropy = StdRng::seed_from_u64(seed);
    let faults = Fault::of_cluster();
    let mut fixture = ChaosFixture::start("fault pairs", seed, Topology::Cluster).await;
    for _ in 0..count {
        let first = faults[entropy.random_range(0..faults.len())];
        let others = faults.iter().filter(|other| other.target() != first.target());
        let second = *others.choose(&mut entropy).expect("a fault with another target");
        let length = longest.mul_f64(entropy.random_range(0.2..1.0));
        fixture.inject_pair([first, second], length).await;
        fixture.assert_recovers(second).await;
        fixture.load.wait_acknowledged(40).await;
    }
    fixture.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn guarantees_hold_when_processes_are_killed_and_restarted() {
    kills(seed(), &SHORT).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn guarantees_hold_under_mixed_faults() {
    mixed_faults(seed(), Fault::SHORT_OF_SINGLE_SERVER, Duration::from_millis(1_500)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn guarantees_hold_in_a_cluster_with_failing_servers_and_stores() {
    cluster_faults(seed(), Fault::short_of_cluster(), CLUSTER_FAULTS, Duration::from_millis(1_500))
        .await;
}

/// Repeats a scenario with increasing seeds for `SENTINEL_SOAK_MINUTES`, 10 when not set.
pub(crate) async fn soak<F: Future<Output = ()>>(scenario: impl Fn(u64) -> F) {
    let minutes = std::env::var("SENTINEL_SOAK_MINUTES").ok().and_then(|text| text.parse().ok());
    let length = Duration::from_secs(60 * minutes.unwrap_or(10));
    let start = Instant::now();
    let mut next = seed();
    while start.elapsed() < length {
        scenario(next).await;
        next += 1;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "runs for minutes: cargo xtask soak"]
async fn soak_guarantees_hold_when_processes_are_killed_and_restarted() {
    soak(|seed| kills(seed, &LONG)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "runs for minutes: cargo xtask soak"]
async fn soak_guarantees_hold_under_mixed_faults() {
    // Longer than the session TTL, so that leases expire too.
    soak(|seed| mixed_faults(seed, &Fault::OF_SINGLE_SERVER, Duration::from_secs(8))).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "runs for minutes: cargo xtask soak"]
async fn soak_guarantees_hold_in_a_cluster_with_failing_servers_and_stores() {
    soak(|seed| cluster_faults(seed, Fault::of_cluster(), usize::MAX, Duration::from_secs(8)))
        .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "runs for minutes: cargo xtask soak"]
async fn soak_guarantees_hold_under_pairs_of_simultaneous_faults() {
    soak(|seed| fault_pairs(seed, FAULT_PAIRS, Duration::from_secs(6))).await;
}
