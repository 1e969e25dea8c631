//! Exactly once: producers of the SDK, the server and the way between them die under load, and
//! every item is one job.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use futures_util::TryStreamExt;
use sentinel_client::proto::jobs::v1::{AckLevel, Job, JobFilter, JobView};
use sentinel_client::{Client, Error, NewJob};
use sentinel_faults::Proxy;
use tokio::task::JoinHandle;
use tonic::Code;

use crate::harness::{PATIENCE, World, until};

const ITEMS: u64 = 5_000;

/// A payload that makes a commit take longer than a frame.
pub(crate) fn numbered(number: u64) -> NewJob {
    NewJob::new("default", "raw").payload(format!("{number:064}"))
}

fn number(job: &Job) -> u64 {
    let payload = &job.spec.as_ref().expect("a spec").payload;
    std::str::from_utf8(payload).expect("text").parse().expect("a number")
}

/// How often each number is there, of all jobs. The ledger has everything that was committed.
pub(crate) async fn numbers(client: &Client) -> BTreeMap<u64, usize> {
    let last = numbered(0).ack(AckLevel::Ledger);
    client.enqueue(last).await.expect("enqueued");
    let jobs = client.list_all(JobFilter::default(), 1_000, JobView::Full);
    let jobs: Vec<Job> = jobs.try_collect().await.expect("all jobs");
    let mut numbers = BTreeMap::new();
    for job in jobs.iter().filter(|job| number(job) > 0) {
        *numbers.entry(number(job)).or_default() += 1;
    }
    numbers
}

pub(crate) fn is_each_once(numbers: &BTreeMap<u64, usize>, items: u64) {
    let more: Vec<_> = numbers.iter().filter(|(_, count)| **count > 1).collect();
    assert!(more.is_empty(), "twice or more: {more:?}");
    let missing: Vec<u64> = (1..=items).filter(|n| !numbers.contains_key(n)).collect();
    assert!(missing.is_empty(), "missing: {missing:?}");
    assert_eq!(numbers.len() as u64, items);
}

/// A program that sends all items from where the server stands, and dies when it is aborted.
struct Program {
    committed: Arc<AtomicU64>,
    running: JoinHandle<Result<u64, Error>>,
}

impl Program {
    fn start(client: Client) -> Self {
        let committed = Arc::new(AtomicU64::new(0));
        let seen = committed.clone();
        let running = tokio::spawn(async move {
            let ingest = loop {
                match client.ingest("shop").await {
                    Err(error) if error.is_unavailable() || error == Error::Timeout => {}
                    ingest => break ingest?,
                }
            };
            for number in ingest.committed() + 1..=ITEMS {
                assert_eq!(ingest.send(numbered(number)).await?, number);
                seen.store(ingest.committed(), Ordering::Relaxed);
            }
            let report = ingest.finish().await?;
            seen.store(report.committed_offset, Ordering::Relaxed);
            assert_eq!(report.refused, []);
            Ok(report.committed_offset)
        });
        Self { committed, running }
    }

    async fn reaches(&self, offset: u64) {
        until(&format!("{offset} is committed"), PATIENCE, || async {
            let is_there = self.committed.load(Ordering::Relaxed) >= offset;
            (is_there || self.running.is_finished()).then_some(())
        })
        .await;
    }

    /// It is there no more when this returns; nobody says good-bye to the server.
    async fn kill(self) {
        self.running.abort();
        let _ = self.running.await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_item_is_one_job_whoever_dies() {
    let mut world = World::start().await;
    let proxy = Proxy::start(world.server.socket_address()).await.expect("a proxy");
    // Each program has a connection of its own.
    let client = || Client::lazy(format!("http://{}", proxy.address())).expect("an address");
    let mut program = Program::start(client());
    for (at, fault) in (1..).zip("kckcpckpc".chars()) {
        program.reaches(at * ITEMS / 10).await;
        match fault {
            'k' => {
                world.server.kill().await;
                world.server.restart().await;
            }
            'c' => drop(proxy.cut()),
            _ => {
                program.kill().await;
                program = Program::start(client());
            }
        }
    }
    let ended = tokio::time::timeout(PATIENCE, program.running).await.expect("it ends");
    assert_eq!(ended.expect("no panic").expect("all committed"), ITEMS);
    is_each_once(&numbers(&world.client()).await, ITEMS);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_producer_that_was_taken_over_is_told_and_repeats_nothing() {
    let world = World::start().await;
    let old = world.client().ingest("shop").await.expect("a stream");
    for number in 1..=100 {
        old.send(numbered(number)).await.expect("handed over");
    }
    assert_eq!(old.flush().await.expect("committed"), 100);
    let new = world.client().ingest("shop").await.expect("a stream");
    assert_eq!(new.committed(), 100);
    for number in 101..=200 {
        new.send(numbered(number)).await.expect("handed over");
        // Until it hears of it, the old one sends too.
        let _ = old.send(numbered(number)).await;
    }
    let moved = old.flush().await.expect_err("it holds the producer no more");
    assert_eq!((moved.code(), moved.reason()), (Some(Code::Aborted), Some("PRODUCER_MOVED")));
    assert_eq!(old.send(numbered(201)).await.expect_err("still so").reason(), moved.reason());
    assert_eq!(new.finish().await.expect("committed").committed_offset, 200);
    is_each_once(&numbers(&world.client()).await, 200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_stops_sends_producers_away_after_the_commit() {
    let mut world = World::start().await;
    let client = world.client();
    let ingest = client.ingest("shop").await.expect("a stream");
    for number in 1..=1_500 {
        ingest.send(numbered(number)).await.expect("handed over");
    }
    world.server.signal(rustix::process::Signal::TERM);
    assert!(world.server.end(PATIENCE).await.success());
    world.server.restart().await;
    ingest.send(numbered(1_501)).await.expect("handed over");
    assert_eq!(ingest.finish().await.expect("committed").committed_offset, 1_501);
    is_each_once(&numbers(&client).await, 1_501);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_position_that_is_lost_is_told_and_nothing_is_sent_again() {
    let mut world = World::start().await;
    let ingest = world.client().ingest("shop").await.expect("a stream");
    for number in 1..=20 {
        ingest.send(numbered(number)).await.expect("handed over");
    }
    ingest.flush().await.expect("committed");
    world.server.kill().await;
    let data = world.dir.path().join("data");
    std::fs::remove_dir_all(&data).expect("the data are lost");
    world.server.restart().await;
    let lost = ingest.send(numbered(21)).await;
    let lost = match lost {
        Ok(_) => ingest.flush().await.expect_err("the position is lost"),
        Err(lost) => lost,
    };
    assert_eq!(lost, Error::PositionLost { known: 20, found: 0 });
    is_each_once(&numbers(&world.client()).await, 0);
}
