//! An installation under load with a proxy on each side, and what is noted about it.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use futures_util::TryStreamExt;
use sentinel_client::proto::jobs::v1::{JobFilter, JobState, JobView};
use sentinel_client::{Client, is_final};
use sentinel_faults::{Disk, Proxy};
use serde_json::json;

use super::fault::Fault;
use super::load::Load;
use super::recorder::Recorder;
use crate::harness::{PATIENCE, Worker, World, demo, end_of, enqueue, pass, until};
use crate::history::{History, Look, Seen, check, effects};

const WORKERS: usize = 2;

/// The ballast of the server, twice that to take it again, and what a dose writes.
const DISK_MEGABYTES: u32 = 768;

/// A worker that dies before it has found the new server is missed when its leases end.
const FLAGS: [&str; 7] =
    ["--auto-create-queues", "--session-ttl", "4s", "--ping", "1s", "--drain-timeout", "5s"];

/// Fields are dropped in order: the directory last.
pub(super) struct Site {
    pub(super) load: Load,
    pub(super) recorders: Vec<Recorder>,
    /// Between workers and the server.
    pub(super) to_workers: Proxy,
    /// Between half of the clients and the server.
    pub(super) to_clients: Proxy,
    /// Where the handlers write.
    pub(super) file: PathBuf,
    fleet: Vec<(String, Worker)>,
    hired: usize,
    turn: usize,
    faults: BTreeMap<&'static str, usize>,
    name: &'static str,
    seed: u64,
    begun: Instant,
    /// Unmounted lazily, and before the directory that it is mounted in is removed.
    disk: Option<Disk>,
    pub(super) world: World,
}

impl Site {
    /// With a load that has begun. `wants_disk`: the data is on a disk that can be filled.
    pub(super) async fn start(name: &'static str, seed: u64, wants_disk: bool) -> Self {
        println!("SENTINEL_TEST_SEED={seed}");
        let dir = tempfile::tempdir().expect("a temporary directory");
        let data = dir.path().join("data");
        let disk = if wants_disk { Disk::mount(&data, DISK_MEGABYTES) } else { None };
        let world = World::in_dir(dir, &FLAGS).await;
        let proxy = || Proxy::start(world.server.socket_address());
        let to_workers = proxy().await.expect("a proxy");
        let to_clients = proxy().await.expect("a proxy");
        let urls = [world.server.url(), format!("http://{}", to_clients.address())];
        let recorders: Vec<_> = urls.iter().map(|url| Recorder::start(url)).collect();
        until("the watches begin", PATIENCE, || async {
            recorders.iter().all(Recorder::has_begun).then_some(())
        })
        .await;
        let file = world.dir.path().join("effects");
        let load = Load::start(&urls, seed, &file);
        let faults = BTreeMap::new();
        let (fleet, hired, turn) = (Vec::new(), 0, 0);
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
            begun: Instant::now(),
            disk,
            world,
        };
        for _ in 0..WORKERS {
            let worker = site.hire();
            site.world.joined(&worker.0, 1).await;
            site.fleet.push(worker);
        }
        site
    }

    fn hire(&mut self) -> (String, Worker) {
        let name = format!("w{}", self.hired);
        self.hired += 1;
        let queues = format!("default,{name}");
        let url = format!("http://{}", self.to_workers.address());
        let flags = ["--concurrency", "64", "--queues", &queues];
        let worker = Worker::start(self.world.dir.path(), &url, &name, &flags);
        (name, worker)
    }

    pub(super) fn workers(&self) -> impl Iterator<Item = &String> {
        self.fleet.iter().map(|(name, _)| name)
    }

    pub(super) fn note(&mut self, fault: Fault, length: Duration) {
        println!("{:>7.3} s: {} for {length:?}", self.begun.elapsed().as_secs_f64(), fault.name());
        *self.faults.entry(fault.name()).or_default() += 1;
    }

    /// Whether some connection may be half-open.
    pub(super) fn has_holes(&self) -> bool {
        let holes = [Fault::HalfOpenWorkers, Fault::HalfOpenClients];
        holes.iter().any(|fault| self.faults.contains_key(fault.name()))
    }

    /// They take turns.
    pub(super) fn next_worker(&mut self) -> &Worker {
        self.turn += 1;
        &self.fleet[self.turn % WORKERS].1
    }

    /// kill -9; another one takes its place.
    pub(super) async fn replace_worker(&mut self) {
        self.turn += 1;
        let at = self.turn % WORKERS;
        self.fleet[at].1.kill().await;
        self.fleet[at] = self.hire();
    }

    /// Left out where no disk can be mounted.
    pub(super) async fn fill_disk(&mut self, length: Duration) {
        match &self.disk {
            Some(disk) => {
                disk.fill(0);
                pass(length).await;
                disk.free();
            }
            None => {
                self.faults.remove(Fault::FillDisk.name());
                println!("fill_disk is left out: only root may mount a disk");
            }
        }
    }

    /// Ends the load, waits until all is well and nothing moves, and judges the history.
    pub(super) async fn close(mut self) {
        self.to_workers.restore();
        self.to_clients.restore();
        let health = self.health().await;
        let mut history = self.load.stop().await;
        history.acknowledged.extend(health.jobs);
        history.ailments = health.ailments;
        let client = self.world.client();
        ends(&client, &mut history).await;
        // A watch keeps the order: what shows this one has shown all before.
        let last = enqueue(&client, demo("noop", json!({}))).await;
        history.got.insert(last.clone(), Look::from(&end_of(&client, &last).await));
        until("the watches show the last job", PATIENCE, || async {
            self.recorders.iter().all(|recorder| recorder.has_end_of(&last)).then_some(())
        })
        .await;
        history.acknowledged.insert(last.clone());
        list(&client, &last, &mut history).await;
        history.effects = effects(&self.file);
        history.watches = self.recorders.drain(..).map(Recorder::stop).collect();
        let dose = json!({
            "dose": self.name,
            "seed": self.seed,
            "faults": self.faults,
            "well_after_ms": u64::try_from(health.took.as_millis()).expect("a short time"),
            "checked": counts(&history),
        });
        // Read by `cargo xtask soak`.
        println!("dose {dose}");
        let violations = check(&history);
        assert!(violations.is_empty(), "seed {}: {violations:#?}", self.seed);
    }
}

/// Waits until nothing moves any more: the ends that the hot store tells.
pub(crate) async fn ends(client: &Client, history: &mut History) {
    for id in &history.acknowledged {
        let what = format!("job {id} is final");
        let job = until(&what, PATIENCE, || async {
            client.get(id).await.ok().filter(|job| is_final(job.state()))
        });
        history.got.insert(id.clone(), Look::from(&job.await));
    }
}

/// The ends that the ledger tells, which follows; what calls without an answer stored must
/// end, too.
pub(crate) async fn list(client: &Client, last: &str, history: &mut History) {
    history.listed = until("the list has all ends", PATIENCE, || async {
        let jobs = client.list_all(JobFilter::default(), 1_000, JobView::Basic);
        let jobs: Vec<_> =
            jobs.map_ok(|job| (job.id.clone(), Look::from(&job))).try_collect().await.ok()?;
        let has_last = jobs.iter().any(|(id, _)| id == last);
        (has_last && jobs.iter().all(|(_, look)| is_final(look.state))).then_some(jobs)
    })
    .await;
}

fn counts(history: &History) -> serde_json::Value {
    let of = |state| history.got.values().filter(|look| look.state == state).count();
    json!({
        "jobs": history.acknowledged.len(),
        "succeeded": of(JobState::Succeeded),
        "cancelled": of(JobState::Cancelled),
        "failed": of(JobState::Failed),
        "handlers_begun": history.effects.iter().filter(|line| line.is_start).count(),
        "cancels": history.cancels.len(),
        "retries": history.retries.len(),
        "calls_without_answer": history.unknown_jobs,
        "changes_seen": history.watches.iter().map(Vec::len).sum::<usize>(),
        "gaps_declared": history
            .watches
            .iter()
            .flatten()
            .filter(|seen| matches!(seen, Seen::Gap))
            .count(),
    })
}
