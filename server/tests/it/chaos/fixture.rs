//! Servers and workers under load, with proxies around them and recorded observations.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use sentinel_client::Client;
use sentinel_faults::{Disk, Proxy};

use super::fault::Fault;
use super::load::Load;
use super::recorder::WatchRecorder;
use super::stores::SharedStores;
use crate::harness::{ServerProcess, TIMEOUT, WorkerProcess, wait_until};

/// Room for the server's reserve file, for twice that to recreate it, and for the data of a run.
const DISK_MEGABYTES: u32 = 768;

/// A short session TTL, because a worker that dies while its server is down is detected only when
/// its leases expire.
const FLAGS: [&str; 5] = ["--auto-create-queues", "--session-ttl", "4s", "--ping-interval", "1s"];

const DRAIN: &str = "--drain-timeout=5s";
/// Servers of a cluster have more to hand over.
const CLUSTER_DRAIN: &str = "--drain-timeout=10s";

/// The servers and the stores of a fixture.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Topology {
    /// One server with its data directory.
    SingleServer,
    /// One server whose data directory is on a disk that can be filled.
    SmallDisk,
    /// Three servers over one Redis and one MariaDB.
    Cluster,
}

impl Topology {
    /// Returns the number of servers and of workers.
    const fn sizes(self) -> (usize, usize) {
        match self {
            Self::SingleServer | Self::SmallDisk => (1, 2),
            Self::Cluster => (3, 3),
        }
    }
}

/// The system under test. Fields are dropped in order: the directory last.
pub(crate) struct ChaosFixture {
    pub(crate) load: Load,
    pub(crate) recorders: Vec<WatchRecorder>,
    /// Between the workers and the server, or the load balancer of a cluster.
    pub(super) to_workers: Proxy,
    /// The same for some of the clients; the others connect directly to one server each.
    pub(super) to_clients: Proxy,
    /// The file that handlers write to.
    pub(super) file: PathBuf,
    pub(super) workers: Vec<(String, WorkerProcess)>,
    workers_started: usize,
    turn: usize,
    pub(super) faults: BTreeMap<&'static str, usize>,
    pub(super) name: &'static str,
    pub(super) seed: u64,
    /// The longest recovery so far.
    pub(super) worst_recovery: Duration,
    started: Instant,
    pub(crate) servers: Vec<ServerProcess>,
    /// Only in a cluster.
    stores: Option<SharedStores>,
    /// Unmounted lazily, and before its parent directory is removed.
    pub(super) disk: Option<Disk>,
    dir: tempfile::TempDir,
}

impl ChaosFixture {
    /// Starts servers, workers and the load.
    pub(crate) async fn start(name: &'static str, seed: u64, topology: Topology) -> Self {
        println!("SENTINEL_TEST_SEED={seed}");
        let dir = tempfile::tempdir().expect("a temporary directory");
        let wants_disk = topology == Topology::SmallDisk;
        let data = dir.path().join("data");
        let disk = if wants_disk { Disk::mount(&data, DISK_MEGABYTES) } else { None };
        let (server_count, worker_count) = topology.sizes();
        let (stores, servers) = if topology == Topology::Cluster {
            let flags = [&FLAGS[..], &[CLUSTER_DRAIN]].concat();
            let (stores, servers) = SharedStores::start(dir.path(), server_count, &flags).await;
            (Some(stores), servers)
        } else {
            let flags = [&FLAGS[..], &[DRAIN]].concat();
            (None, vec![ServerProcess::start(dir.path(), &flags).await])
        };
        let entry =
            stores.as_ref().map_or_else(|| servers[0].socket_address(), SharedStores::address);
        let to_workers = Proxy::start(entry).await.expect("a proxy");
        let to_clients = Proxy::start(entry).await.expect("a proxy");
        let proxy_url = format!("http://{}", to_clients.address());
        let urls: Vec<_> = servers.iter().map(ServerProcess::url).chain([proxy_url]).collect();
        let recorders: Vec<_> = urls.iter().map(|url| WatchRecorder::start(url)).collect();
        wait_until("all watches start", TIMEOUT, || async {
            recorders.iter().all(WatchRecorder::has_started).then_some(())
        })
        .await;
        let file = dir.path().join("effects");
        let load = Load::start(&urls, seed, &file);
        let (workers_started, turn, workers, faults) = Default::default();
        let mut fixture = Self {
            load,
            recorders,
            to_workers,
            to_clients,
            file,
            workers,
            workers_started,
            turn,
            faults,
            name,
            seed,
            worst_recovery: Duration::ZERO,
            started: Instant::now(),
            servers,
            stores,
            disk,
            dir,
        };
        for _ in 0..worker_count {
            let worker = fixture.spawn_worker();
            let sessions =
                || fixture.servers.iter().map(|server| server.sessions_of(&worker.0)).sum();
            wait_until(&format!("worker {} starts a session", worker.0), TIMEOUT, || async {
                let sessions: usize = sessions();
                (sessions > 0).then_some(())
            })
            .await;
            fixture.workers.push(worker);
        }
        fixture
    }

    /// Starts a worker that serves the queue `default` and a queue with its own name.
    pub(super) fn spawn_worker(&mut self) -> (String, WorkerProcess) {
        let name = format!("w{}", self.workers_started);
        self.workers_started += 1;
        let queues = format!("default,{name}");
        let url = format!("http://{}", self.to_workers.address());
        let flags = ["--concurrency", "64", "--queues", &queues, "--drain-timeout", "10s"];
        let worker = WorkerProcess::start(self.dir.path(), &url, &name, &flags);
        (name, worker)
    }

    /// Returns the shared stores; panics when the fixture has one server.
    pub(crate) fn stores(&mut self) -> &mut SharedStores {
        self.stores.as_mut().expect("a cluster")
    }

    /// Returns the names of the workers. Each name is also a queue that only this worker serves.
    pub(crate) fn worker_names(&self) -> impl Iterator<Item = &String> {
        self.workers.iter().map(|(name, _)| name)
    }

    /// Returns a client of server `nth`, modulo the number of servers.
    pub(crate) fn client(&self, nth: usize) -> Client {
        let server = &self.servers[nth % self.servers.len()];
        Client::connect_lazy(server.url()).expect("a valid server address")
    }

    /// Counts and prints a fault.
    pub(crate) fn record_fault(&mut self, fault: Fault, length: Duration) {
        println!(
            "{:>7.3} s: {} for {length:?}",
            self.started.elapsed().as_secs_f64(),
            fault.name()
        );
        *self.faults.entry(fault.name()).or_default() += 1;
    }

    /// Returns whether a connection of a worker or a client may be half-open.
    pub(super) fn has_half_open_connections(&self) -> bool {
        let half_open = [Fault::HalfOpenWorkers, Fault::HalfOpenClients];
        half_open.iter().any(|fault| self.faults.contains_key(fault.name()))
    }

    /// Returns a counter that selects the next server, worker or proxy in turn.
    pub(super) fn next_turn(&mut self) -> usize {
        self.turn += 1;
        self.turn
    }

    pub(super) fn next_server(&mut self) -> usize {
        self.next_turn() % self.servers.len()
    }

    pub(super) fn next_worker(&mut self) -> usize {
        self.next_turn() % self.workers.len()
    }

    /// Asserts that every worker still runs.
    pub(crate) fn assert_workers_alive(&mut self) {
        for (name, worker) in &mut self.workers {
            assert_eq!(worker.exit_status(), None, "worker {name} must survive the faults");
        }
    }

    /// Drops all traffic from one server to Redis until [`ChaosFixture::restore`].
    pub(crate) fn isolate_from_redis(&mut self, nth: usize) {
        self.stores().to_redis[nth].discard();
    }

    /// Ends all network faults.
    pub(crate) fn restore(&self) {
        self.to_workers.restore();
        self.to_clients.restore();
        self.stores.iter().for_each(SharedStores::restore);
    }
}
