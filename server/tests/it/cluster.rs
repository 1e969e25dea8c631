//! Three servers over one Redis and one MariaDB under load. Each server is restarted and killed,
//! and the history checker verifies the guarantees.

mod leader_failover;
mod ledger_outage;
mod redis_partition;

use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::process::Signal;

use crate::chaos::fault::Fault;
use crate::chaos::fixture::{ChaosFixture, Topology};
use crate::chaos::{seed, soak};
use crate::harness::{TIMEOUT, binary};

const SERVERS: usize = 3;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn guarantees_hold_when_each_server_is_restarted_and_killed() {
    let mut fixture =
        ChaosFixture::start("restarts and kills in a cluster", seed(), Topology::Cluster).await;
    for _ in 0..SERVERS {
        fixture.load.wait_acknowledged(60).await;
        fixture.inject(Fault::StopServer, Duration::ZERO).await;
    }
    for nth in 0..SERVERS {
        fixture.load.wait_acknowledged(60).await;
        fixture.servers[nth].kill().await;
        // The other servers continue.
        fixture.load.wait_acknowledged(40).await;
        fixture.servers[nth].restart().await;
    }
    fixture.finish().await;
}

/// Downgrades the servers one by one, then upgrades them again with one downgrade in between. After
/// each step, a server of each version is killed and restarted.
async fn upgrade(seed: u64, old: &Path) {
    let new = binary("sentinel");
    let mut fixture = ChaosFixture::start("upgrade", seed, Topology::Cluster).await;
    let downgrades = [(0, old), (1, old), (2, old)];
    let upgrades = [(0, &*new), (1, &*new), (1, old), (1, &*new), (2, &*new)];
    for (nth, program) in downgrades.into_iter().chain(upgrades) {
        fixture.load.wait_acknowledged(60).await;
        let server = &mut fixture.servers[nth];
        server.signal(Signal::TERM);
        let status = server.wait_exit(TIMEOUT + Duration::from_secs(10)).await;
        assert!(status.success(), "server {nth} did not drain in time: {status}");
        server.program = program.to_owned();
        server.restart().await;
        fixture.load.wait_acknowledged(60).await;
        for killed in [nth, (nth + 1) % SERVERS] {
            fixture.servers[killed].kill().await;
            fixture.load.wait_acknowledged(30).await;
            fixture.servers[killed].restart().await;
        }
    }
    fixture.finish().await;
}

/// `cargo xtask soak` provides the binaries of another version.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "runs for minutes: cargo xtask soak"]
async fn soak_guarantees_hold_with_mixed_versions() {
    let Some(other) = std::env::var_os("SENTINEL_TEST_OTHER") else {
        println!(
            "skipped: SENTINEL_TEST_OTHER is not set to a directory with the binaries of another version"
        );
        return;
    };
    let old = PathBuf::from(other).join("sentinel");
    soak(|seed| upgrade(seed, &old)).await;
}
