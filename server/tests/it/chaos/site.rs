//! An installation under load with a proxy on each side, and what is noted about it.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use sentinel_client::Client;
use sentinel_faults::{Disk, Proxy};

use super::fault::Fault;
use super::load::Load;
use super::recorder::Recorder;
use super::stores::Stores;
use crate::harness::{PATIENCE, Server, Worker, until};

/// The ballast of the server, twice that to take it again, and what a dose writes.
const DISK_MEGABYTES: u32 = 768;

/// A worker that dies before it has found the new server is missed when its leases end.
const FLAGS: [&str; 5] = ["--auto-create-queues", "--session-ttl", "4s", "--ping", "1s"];

/// Of several, each has more to hand on.
const DRAIN: &str = "--drain-timeout=5s";
const DRAIN_OF_MANY: &str = "--drain-timeout=10s";

/// What an installation stands on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ground {
    /// One server and its directory.
    Directory,
    /// The same, on a disk that can be filled.
    SmallDisk,
    /// Several servers over one Redis and one MariaDB.
    Shared,
}

impl Ground {
    /// How many servers and workers it has.
    const fn sizes(self) -> (usize, usize) {
        match self {
            Self::Directory | Self::SmallDisk => (1, 2),
            Self::Shared => (3, 3),
        }
    }
}

/// Fields are dropped in order: the directory last.
pub(crate) struct Site {
    pub(crate) load: Load,
    pub(crate) recorders: Vec<Recorder>,
    /// Between workers and the server, or the balancer of several.
    pub(super) to_workers: Proxy,
    /// The same for some of the clients; the others go straight to a server each.
    pub(super) to_clients: Proxy,
    /// Where the handlers write.
    pub(super) file: PathBuf,
    pub(super) fleet: Vec<(String, Worker)>,
    hired: usize,
    turn: usize,
    pub(super) faults: BTreeMap<&'static str, usize>,
    pub(super) name: &'static str,
    pub(super) seed: u64,
    /// The longest that it took until all was well.
    pub(super) worst_well_after: Duration,
    begun: Instant,
    pub(crate) servers: Vec<Server>,
    /// Of several servers.
    stores: Option<Stores>,
    /// Unmounted lazily, and before the directory that it is mounted in is removed.
    pub(super) disk: Option<Disk>,
    dir: tempfile::TempDir,
}

impl Site {
    /// With a load that has begun.
    pub(crate) async fn start(name: &'static str, seed: u64, ground: Ground) -> Self {
        println!("SENTINEL_TEST_SEED={seed}");
        let dir = tempfile::tempdir().expect("a temporary directory");
        let wants_disk = ground == Ground::SmallDisk;
        let data = dir.path().join("data");
        let disk = if wants_disk { Disk::mount(&data, DISK_MEGABYTES) } else { None };
        let (servers, workers) = ground.sizes();
        let (stores, servers) = if ground == Ground::Shared {
            let flags = [&FLAGS[..], &[DRAIN_OF_MANY]].concat();
            let (stores, servers) = Stores::start(dir.path(), servers, &flags).await;
            (Some(stores), servers)
        } else {
            let flags = [&FLAGS[..], &[DRAIN]].concat();
            (None, vec![Server::start(dir.path(), &flags).await])
        };
        let front = stores.as_ref().map_or_else(|| servers[0].socket_address(), Stores::front);
        let to_workers = Proxy::start(front).await.expect("a proxy");
        let to_clients = Proxy::start(front).await.expect("a proxy");
        let by_proxy = format!("http://{}", to_clients.address());
        let urls: Vec<_> = servers.iter().map(Server::url).chain([by_proxy]).collect();
        let recorders: Vec<_> = urls.iter().map(|url| Recorder::start(url)).collect();
        until("the watches begin", PATIENCE, || async {
            recorders.iter().all(Recorder::has_begun).then_some(())
        })
        .await;
        let file = dir.path().join("effects");
        let load = Load::start(&urls, seed, &file);
        let (hired, turn, fleet, faults) = Default::default();
        let mut site = Self {
            load,
            recorders,
            to_workers,
            to_clients,
            file,
            fleet,
            hired,
            turn,
            faults,
            name,
            seed,
            worst_well_after: Duration::ZERO,
            begun: Instant::now(),
            servers,
            stores,
            disk,
            dir,
        };
        for _ in 0..workers {
            let worker = site.hire();
            let begun = || site.servers.iter().map(|server| server.sessions_of(&worker.0)).sum();
            until(&format!("worker {} joins", worker.0), PATIENCE, || async {
                let begun: usize = begun();
                (begun > 0).then_some(())
            })
            .await;
            site.fleet.push(worker);
        }
        site
    }

    pub(super) fn hire(&mut self) -> (String, Worker) {
        let name = format!("w{}", self.hired);
        self.hired += 1;
        let queues = format!("default,{name}");
        let url = format!("http://{}", self.to_workers.address());
        let flags = ["--concurrency", "64", "--queues", &queues, "--drain-timeout", "10s"];
        let worker = Worker::start(self.dir.path(), &url, &name, &flags);
        (name, worker)
    }

    /// What several servers share.
    pub(crate) fn stores(&mut self) -> &mut Stores {
        self.stores.as_mut().expect("an installation of several servers")
    }

    /// Their names: each alone serves a queue of its name.
    pub(crate) fn workers(&self) -> impl Iterator<Item = &String> {
        self.fleet.iter().map(|(name, _)| name)
    }

    /// Of one server, whichever number is named.
    pub(crate) fn client(&self, nth: usize) -> Client {
        let server = &self.servers[nth % self.servers.len()];
        Client::lazy(server.url()).expect("the address of a server")
    }

    pub(crate) fn note(&mut self, fault: Fault, length: Duration) {
        println!("{:>7.3} s: {} for {length:?}", self.begun.elapsed().as_secs_f64(), fault.name());
        *self.faults.entry(fault.name()).or_default() += 1;
    }

    /// Whether some connection of a worker or a client may be half-open.
    pub(super) fn has_holes(&self) -> bool {
        let holes = [Fault::HalfOpenWorkers, Fault::HalfOpenClients];
        holes.iter().any(|fault| self.faults.contains_key(fault.name()))
    }

    /// Those of one sort take turns.
    pub(super) fn next_turn(&mut self) -> usize {
        self.turn += 1;
        self.turn
    }

    pub(super) fn next_server(&mut self) -> usize {
        self.next_turn() % self.servers.len()
    }

    pub(super) fn next_worker(&mut self) -> usize {
        self.next_turn() % self.fleet.len()
    }

    /// No worker of the fleet is gone.
    pub(crate) fn assert_fleet(&mut self) {
        for (name, worker) in &mut self.fleet {
            assert_eq!(worker.ended(), None, "worker {name} outlives every server");
        }
    }

    /// Whatever that server asks Redis for is lost, until [`Site::restore`].
    pub(crate) fn cut_off_from_redis(&mut self, nth: usize) {
        self.stores().to_redis[nth].swallow();
    }

    /// Ends the faults of the network.
    pub(crate) fn restore(&self) {
        self.to_workers.restore();
        self.to_clients.restore();
        self.stores.iter().for_each(Stores::restore);
    }
}
