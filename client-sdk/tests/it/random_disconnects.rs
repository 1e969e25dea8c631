//! A property test: with disconnects at random points, every job is recorded exactly once, no lease
//! is held forever, and all credit is granted again.

use std::collections::{BTreeMap, BTreeSet};

use sentinel_client::proto::workers::v1::session_request::Frame as RequestFrame;
use sentinel_client::proto::workers::v1::{HeldVerdict, Hello, Lease, Verdict};
use sentinel_client::worker::{JobContext, LogLevel};

use crate::scripted_server::{RunningWorker, ScriptedServer, SessionStream, job, lease_of};

const JOBS: u32 = 400;
const CONCURRENCY: u32 = 16;

/// A linear congruential generator, so that the seed determines the whole test.
struct Rng(u64);

impl Rng {
    /// A value in `0..limit`.
    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (self.0 >> 33) % limit
    }
}

/// The server's view: waiting jobs, leases and recorded jobs.
#[derive(Default)]
struct ServerModel {
    waiting: Vec<String>,
    leased: BTreeMap<String, Lease>,
    recorded: BTreeSet<String>,
    epoch: u64,
}

impl ServerModel {
    fn held_verdict(&self, lease: &Lease) -> HeldVerdict {
        if self.recorded.contains(&lease.job_id) {
            return HeldVerdict::AlreadyRecorded;
        }
        match self.leased.get(&lease.job_id) {
            Some(current) if current == lease => HeldVerdict::Keep,
            _ => HeldVerdict::Revoked,
        }
    }

    /// Handles Hello: leases that the worker does not hold were lost with an assignment, so their
    /// jobs go back to the queue.
    fn hello(&mut self, hello: &Hello) -> Vec<HeldVerdict> {
        let held: BTreeSet<&str> = hello.held.iter().map(|lease| lease.job_id.as_str()).collect();
        let lost: Vec<String> =
            self.leased.keys().filter(|id| !held.contains(id.as_str())).cloned().collect();
        for id in lost {
            self.leased.remove(&id);
            self.waiting.push(id);
        }
        hello.held.iter().map(|lease| self.held_verdict(lease)).collect()
    }

    async fn assign(&mut self, stream: &mut SessionStream, credit: &mut u32, rng: &mut Rng) {
        let count = u64::from(*credit).min(1 + rng.below(6)).min(self.waiting.len() as u64);
        let mut items = Vec::new();
        for _ in 0..count {
            let id = self.waiting.pop().unwrap();
            self.epoch += 1;
            let mut item = job(&id, "log");
            item.lease.as_mut().unwrap().epoch = self.epoch;
            self.leased.insert(id, item.lease.clone().unwrap());
            items.push(item);
            *credit -= 1;
        }
        if !items.is_empty() {
            stream.assign(items).await;
        }
    }

    fn report(&mut self, lease: &Lease, rng: &mut Rng) -> Verdict {
        if self.recorded.contains(&lease.job_id) {
            return Verdict::Duplicate;
        }
        if self.leased.get(&lease.job_id) != Some(lease) {
            return Verdict::Fenced;
        }
        if rng.below(10) == 0 {
            return Verdict::RetryLater;
        }
        self.leased.remove(&lease.job_id);
        assert!(self.recorded.insert(lease.job_id.clone()), "a job was recorded twice");
        Verdict::Recorded
    }
}

async fn handler(job: JobContext) {
    job.log(LogLevel::Info, "started");
    job.progress(1, 2, "half");
    tokio::task::yield_now().await;
}

async fn run(seed: u64) {
    let mut rng = Rng(seed);
    let mut server = ScriptedServer::start().await;
    let builder = server.worker().handler("log", handler).concurrency(CONCURRENCY);
    let _worker = RunningWorker::start(builder);
    let mut model = ServerModel {
        waiting: (0..JOBS).map(|n| format!("j{n}")).collect(),
        ..ServerModel::default()
    };
    let mut disconnects = 0;
    loop {
        let mut stream = server.accept().await;
        let hello = stream.hello().await;
        let verdicts = model.hello(&hello);
        let mut credit = hello.credit.unwrap().jobs;
        if rng.below(8) == 0 {
            continue;
        }
        stream.welcome("s1", &verdicts).await;
        if serve(&mut stream, &mut model, &mut credit, &mut rng).await {
            assert_eq!(credit, CONCURRENCY, "credit was lost");
            break;
        }
        disconnects += 1;
        match rng.below(2) {
            0 => drop(stream),
            _ => stream.disconnect().await,
        }
    }
    assert!(disconnects > 5, "only {disconnects} disconnects");
    assert_eq!(model.recorded.len(), JOBS as usize);
}

/// Serves the stream. Returns `false` to disconnect, and `true` when all jobs are recorded and all
/// credit is granted.
async fn serve(
    stream: &mut SessionStream,
    model: &mut ServerModel,
    credit: &mut u32,
    rng: &mut Rng,
) -> bool {
    for _ in 0..10 + rng.below(60) {
        model.assign(stream, credit, rng).await;
        let all_recorded = model.recorded.len() == JOBS as usize;
        if all_recorded && *credit == CONCURRENCY {
            return true;
        }
        match stream.next().await {
            Some(RequestFrame::Credit(granted)) => *credit += granted.jobs,
            Some(RequestFrame::Report(report)) => {
                for item in &report.items {
                    let lease = lease_of(item);
                    let verdict = model.report(&lease, rng);
                    // Sometimes the acknowledgement is lost with its stream.
                    if rng.below(20) == 0 {
                        return false;
                    }
                    stream.ack(&lease, verdict).await;
                }
            }
            Some(_) => {}
            None => return false,
        }
    }
    false
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_job_is_recorded_once_despite_random_disconnects() {
    for seed in [1, 20, 300] {
        run(seed).await;
    }
}
