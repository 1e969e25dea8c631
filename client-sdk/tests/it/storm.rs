//! A long series of breaks at random places: whatever is cut, each job is recorded once, nothing
//! is held for ever, and the room comes back.

use std::collections::{BTreeMap, BTreeSet};

use sentinel_client::proto::workers::v1::session_request::Frame as Up;
use sentinel_client::proto::workers::v1::{HeldVerdict, Hello, Lease, Verdict};
use sentinel_client::worker::{JobContext, LogLevel};

use crate::peer::{Peer, Running, Stream, job, lease_of};

const JOBS: u32 = 400;
const CONCURRENCY: u32 = 16;

/// A linear congruential generator: the seed is the whole of the script.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (self.0 >> 33) % sides
    }
}

/// What a server knows: who holds what, and what is recorded.
#[derive(Default)]
struct Book {
    waiting: Vec<String>,
    leased: BTreeMap<String, Lease>,
    recorded: BTreeSet<String>,
    epoch: u64,
}

impl Book {
    fn verdict(&mut self, lease: &Lease) -> HeldVerdict {
        if self.recorded.contains(&lease.job_id) {
            return HeldVerdict::AlreadyRecorded;
        }
        match self.leased.get(&lease.job_id) {
            Some(live) if live == lease => HeldVerdict::Keep,
            _ => HeldVerdict::Revoked,
        }
    }

    /// What the worker does not hold any more goes back, as after a lost assignment.
    fn adopt(&mut self, hello: &Hello) -> Vec<HeldVerdict> {
        let held: BTreeSet<&str> = hello.held.iter().map(|lease| lease.job_id.as_str()).collect();
        let gone: Vec<String> =
            self.leased.keys().filter(|id| !held.contains(id.as_str())).cloned().collect();
        for id in gone {
            self.leased.remove(&id);
            self.waiting.push(id);
        }
        hello.held.iter().map(|lease| self.verdict(lease)).collect()
    }

    async fn assign(&mut self, stream: &mut Stream, room: &mut u32, dice: &mut Dice) {
        let n = u64::from(*room).min(1 + dice.roll(6)).min(self.waiting.len() as u64);
        let mut items = Vec::new();
        for _ in 0..n {
            let id = self.waiting.pop().unwrap();
            self.epoch += 1;
            let mut item = job(&id, "work");
            item.lease.as_mut().unwrap().epoch = self.epoch;
            self.leased.insert(id, item.lease.clone().unwrap());
            items.push(item);
            *room -= 1;
        }
        if !items.is_empty() {
            stream.assign(items).await;
        }
    }

    fn report(&mut self, lease: &Lease, dice: &mut Dice) -> Verdict {
        if self.recorded.contains(&lease.job_id) {
            return Verdict::Duplicate;
        }
        if self.leased.get(&lease.job_id) != Some(lease) {
            return Verdict::Fenced;
        }
        if dice.roll(10) == 0 {
            return Verdict::RetryLater;
        }
        self.leased.remove(&lease.job_id);
        assert!(self.recorded.insert(lease.job_id.clone()), "recorded twice");
        Verdict::Recorded
    }
}

async fn work(job: JobContext) {
    job.log(LogLevel::Info, "works");
    job.progress(1, 2, "half");
    tokio::task::yield_now().await;
}

async fn storm(seed: u64) {
    let mut dice = Dice(seed);
    let mut peer = Peer::listen().await;
    let _worker = Running::start(peer.worker().handler("work", work).concurrency(CONCURRENCY));
    let mut book =
        Book { waiting: (0..JOBS).map(|n| format!("j{n}")).collect(), ..Book::default() };
    let mut breaks = 0;
    loop {
        let mut stream = peer.accept().await;
        let hello = stream.hello().await;
        let verdicts = book.adopt(&hello);
        let mut room = hello.credit.unwrap().jobs;
        if dice.roll(8) == 0 {
            continue;
        }
        stream.welcome("s1", &verdicts).await;
        if serve(&mut stream, &mut book, &mut room, &mut dice).await {
            assert_eq!(room, CONCURRENCY, "room was lost");
            break;
        }
        breaks += 1;
        match dice.roll(2) {
            0 => drop(stream),
            _ => stream.cut().await,
        }
    }
    assert!(breaks > 5, "only {breaks} breaks");
    assert_eq!(book.recorded.len(), JOBS as usize);
}

/// Until the next break (`false`) or until all is recorded and the room is back (`true`).
async fn serve(stream: &mut Stream, book: &mut Book, room: &mut u32, dice: &mut Dice) -> bool {
    for _ in 0..10 + dice.roll(60) {
        book.assign(stream, room, dice).await;
        let all = book.recorded.len() == JOBS as usize;
        if all && *room == CONCURRENCY {
            return true;
        }
        match stream.next().await {
            Some(Up::Credit(credit)) => *room += credit.jobs,
            Some(Up::Report(report)) => {
                for item in &report.items {
                    let lease = lease_of(item);
                    let verdict = book.report(&lease, dice);
                    // An acknowledgement may get lost with its stream.
                    if dice.roll(20) == 0 {
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
async fn every_job_is_recorded_once_whatever_is_cut() {
    for seed in [1, 20, 300] {
        storm(seed).await;
    }
}
