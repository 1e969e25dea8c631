//! Exactly-once ingest: the SDK's producers, the server and the connection between them fail under
//! load, and every item becomes one job.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use futures_util::TryStreamExt;
use sentinel_client::proto::jobs::v1::{AckLevel, Job, JobFilter, JobView};
use sentinel_client::{Client, Error, NewJob};
use sentinel_faults::Proxy;
use tokio::task::JoinHandle;
use tonic::Code;

use crate::harness::{TIMEOUT, TestServer, wait_until};

const ITEMS: u64 = 5_000;

/// Returns a job that carries its number in a payload of 64 bytes.
pub(crate) fn numbered(number: u64) -> NewJob {
    NewJob::new("default", "raw").payload(format!("{number:064}"))
}

fn number(job: &Job) -> u64 {
    let payload = &job.spec.as_ref().expect("a spec").payload;
    std::str::from_utf8(payload).expect("text").parse().expect("a number")
}

/// Returns how many jobs have each number. First waits until the ledger has everything that was
/// committed.
pub(crate) async fn numbers(client: &Client) -> BTreeMap<u64, usize> {
    let last = numbered(0).ack(AckLevel::Ledger);
    client.enqueue(last).await.expect("enqueue a job");
    let jobs = client.list_all(JobFilter::default(), 1_000, JobView::Full);
    let jobs: Vec<Job> = jobs.try_collect().await.expect("all jobs");
    let mut numbers = BTreeMap::new();
    for job in jobs.iter().filter(|job| number(job) > 0) {
        *numbers.entry(number(job)).or_default() += 1;
    }
    numbers
}

/// Asserts that each number from 1 to `items` occurs exactly once.
pub(crate) fn assert_each_once(numbers: &BTreeMap<u64, usize>, items: u64) {
    let repeated: Vec<_> = numbers.iter().filter(|(_, count)| **count > 1).collect();
    assert!(repeated.is_empty(), "more than once: {repeated:?}");
    let missing: Vec<u64> = (1..=items).filter(|n| !numbers.contains_key(n)).collect();
    assert!(missing.is_empty(), "missing: {missing:?}");
    assert_eq!(numbers.len() as u64, items);
}

/// A task that sends all items from the server's committed offset. Aborting it simulates a crash.
struct ProducerTask {
    committed: Arc<AtomicU64>,
    running: JoinHandle<Result<u64, Error>>,
}

impl ProducerTask {
    fn start(client: Client) -> Self {
        let committed = Arc::new(AtomicU64::new(0));
        let reported = committed.clone();
        let running = tokio::spawn(async move {
            let ingest = loop {
                match client.ingest("shop").await {
                    Err(error) if error.is_unavailable() || error == Error::Timeout => {}
                    ingest => break ingest?,
                }
            };
            for number in ingest.committed_offset() + 1..=ITEMS {
                assert_eq!(ingest.send(numbered(number)).await?, number);
                reported.store(ingest.committed_offset(), Ordering::Relaxed);
            }
            let report = ingest.finish().await?;
            reported.store(report.committed_offset, Ordering::Relaxed);
            assert_eq!(report.refused, []);
            Ok(report.committed_offset)
        });
        Self { committed, running }
    }

    async fn wait_committed(&self, offset: u64) {
        wait_until(&format!("{offset} is committed"), TIMEOUT, || async {
            let is_reached = self.committed.load(Ordering::Relaxed) >= offset;
            (is_reached || self.running.is_finished()).then_some(())
        })
        .await;
    }

    /// Aborts the task and waits for its end, without closing the stream properly.
    async fn kill(self) {
        self.running.abort();
        let _ = self.running.await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_item_becomes_one_job_under_faults() {
    let mut server = TestServer::start().await;
    let proxy = Proxy::start(server.socket_address()).await.expect("a proxy");
    // Each producer has its own connection.
    let client =
        || Client::connect_lazy(format!("http://{}", proxy.address())).expect("a valid address");
    let mut producer = ProducerTask::start(client());
    for (at, fault) in (1..).zip("kckcpckpc".chars()) {
        producer.wait_committed(at * ITEMS / 10).await;
        match fault {
            'k' => {
                server.kill().await;
                server.restart().await;
            }
            'c' => drop(proxy.cut()),
            _ => {
                producer.kill().await;
                producer = ProducerTask::start(client());
            }
        }
    }
    let result =
        tokio::time::timeout(TIMEOUT, producer.running).await.expect("the task ends in time");
    assert_eq!(result.expect("no panic").expect("no error"), ITEMS);
    assert_each_once(&numbers(&server.client()).await, ITEMS);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replaced_producer_gets_an_error_and_repeats_nothing() {
    let server = TestServer::start().await;
    let old = server.client().ingest("shop").await.expect("open a stream");
    for number in 1..=100 {
        old.send(numbered(number)).await.expect("send an item");
    }
    assert_eq!(old.flush().await.expect("commit all items"), 100);
    let new = server.client().ingest("shop").await.expect("open a stream");
    assert_eq!(new.committed_offset(), 100);
    for number in 101..=200 {
        new.send(numbered(number)).await.expect("send an item");
        // The old producer still sends until it gets the error.
        let _ = old.send(numbered(number)).await;
    }
    let moved = old.flush().await.expect_err("an error after the takeover");
    assert_eq!((moved.code(), moved.reason()), (Some(Code::Aborted), Some("PRODUCER_MOVED")));
    assert_eq!(old.send(numbered(201)).await.expect_err("the same error").reason(), moved.reason());
    assert_eq!(new.finish().await.expect("commit all items").committed_offset, 200);
    assert_each_once(&numbers(&server.client()).await, 200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stopping_server_closes_producer_streams_after_the_commit() {
    let mut server = TestServer::start().await;
    let client = server.client();
    let ingest = client.ingest("shop").await.expect("open a stream");
    for number in 1..=1_500 {
        ingest.send(numbered(number)).await.expect("send an item");
    }
    server.signal(rustix::process::Signal::TERM);
    assert!(server.wait_exit(TIMEOUT).await.success());
    server.restart().await;
    ingest.send(numbered(1_501)).await.expect("send an item");
    assert_eq!(ingest.finish().await.expect("commit all items").committed_offset, 1_501);
    assert_each_once(&numbers(&client).await, 1_501);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lost_producer_offset_is_an_error_and_nothing_is_sent_again() {
    let mut server = TestServer::start().await;
    let ingest = server.client().ingest("shop").await.expect("open a stream");
    for number in 1..=20 {
        ingest.send(numbered(number)).await.expect("send an item");
    }
    ingest.flush().await.expect("commit all items");
    server.kill().await;
    let data = server.dir.path().join("data");
    std::fs::remove_dir_all(&data).expect("remove the data directory");
    server.restart().await;
    let lost = ingest.send(numbered(21)).await;
    let lost = match lost {
        Ok(_) => ingest.flush().await.expect_err("an error for a lost position"),
        Err(lost) => lost,
    };
    assert_eq!(lost, Error::ProducerOffsetLost { committed: 20, server_offset: 0 });
    assert_each_once(&numbers(&server.client()).await, 0);
}
