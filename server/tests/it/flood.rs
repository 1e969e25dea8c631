//! Cancel latency, alone and beside a job that floods the server with log lines.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use futures_util::TryStreamExt;
use sentinel_client::proto::jobs::v1::{CancelOutcome, JobState};
use sentinel_client::worker::{JobContext, LogLevel, Outcome, WorkerBuilder};
use sentinel_client::{Client, Error, NewJob};
use tokio::sync::{Notify, watch};

use crate::harness::{
    InProcessWorker, TIMEOUT, TestServer, enqueue, wait_state, wait_terminal, wait_until,
};

/// A handler that waits for its cancel, with the time at which each job received it.
#[derive(Default)]
struct CancelLatency {
    started: watch::Sender<usize>,
    received_at: Mutex<BTreeMap<String, Instant>>,
    changed: Notify,
}

impl CancelLatency {
    fn handler(self: &Arc<Self>, worker: WorkerBuilder) -> WorkerBuilder {
        let cancels = self.clone();
        worker.handler("test.waits", move |job: JobContext| {
            let cancels = cancels.clone();
            async move {
                cancels.started.send_modify(|started| *started += 1);
                job.cancelled().await;
                let now = Instant::now();
                cancels.received_at.lock().unwrap().insert(job.job_id().to_owned(), now);
                cancels.changed.notify_one();
                Outcome::Cancelled
            }
        })
    }

    /// Cancels `count` running jobs one by one and returns the sorted latencies until their
    /// handlers received the cancels.
    async fn measure(&self, client: &Client, count: usize) -> Vec<Duration> {
        let before = *self.started.borrow();
        let mut ids = Vec::with_capacity(count);
        for _ in 0..count {
            ids.push(enqueue(client, NewJob::new("default", "test.waits")).await);
        }
        let mut started = self.started.subscribe();
        let all = started.wait_for(|started| *started == before + count);
        tokio::time::timeout(TIMEOUT, all).await.expect("all handlers start in time").unwrap();
        let mut took = Vec::with_capacity(count);
        for id in &ids {
            let start = Instant::now();
            let reply = client.cancel(id, "").await.unwrap();
            assert_eq!(reply.outcome, CancelOutcome::Requested);
            took.push(self.wait_received(id).await.duration_since(start));
        }
        for id in &ids {
            wait_state(client, id, JobState::Cancelled).await;
        }
        took.sort();
        took
    }

    async fn wait_received(&self, id: &str) -> Instant {
        let received = async {
            loop {
                let changed = self.changed.notified();
                if let Some(at) = self.received_at.lock().unwrap().get(id) {
                    return *at;
                }
                changed.await;
            }
        };
        tokio::time::timeout(TIMEOUT, received)
            .await
            .expect("the handler receives its cancel in time")
    }
}

/// Returns a percentile of sorted values.
fn percentile(sorted: &[Duration], percent: usize) -> Duration {
    sorted[(sorted.len() * percent / 100).min(sorted.len() - 1)]
}

const CANCELS: usize = 500;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_running_handler_receives_its_cancel_immediately() {
    let server = TestServer::start().await;
    let cancels = Arc::new(CancelLatency::default());
    let worker = InProcessWorker::builder(&server.address, "w1").concurrency(600);
    let worker = InProcessWorker::start(cancels.handler(worker));
    let took = cancels.measure(&server.client(), CANCELS).await;
    let (median, p99) = (percentile(&took, 50), percentile(&took, 99));
    println!("{CANCELS} cancels: p50 {median:?}, p99 {p99:?}, max {:?}", took[CANCELS - 1]);
    assert!(median < Duration::from_millis(10), "{median:?}");
    assert!(p99 < P99_LIMIT, "{p99:?}");
    worker.stop().await;
}

/// `cargo xtask bench` verifies the requirement of 10 ms for the 99th percentile on an idle
/// machine; this test verifies it for the median.
const P99_LIMIT: Duration = Duration::from_millis(60);

/// The length of a line of the flood.
const LINE_BYTES: usize = 1_000;

/// The log limit of one attempt; the oldest lines are dropped first.
const LOG_LIMIT_BYTES: usize = 10 << 20;

/// Adds a handler that logs as fast as possible until it is cancelled.
fn with_flood_handler(worker: WorkerBuilder) -> WorkerBuilder {
    worker.handler("test.flood", async |job: JobContext| {
        let mut lines = 0_u64;
        while !job.is_cancelled() {
            lines += 1;
            job.log(LogLevel::Info, format!("{lines:0LINE_BYTES$}"));
            // The handler would block its thread without this.
            if lines.is_multiple_of(64) {
                tokio::task::yield_now().await;
            }
        }
        Outcome::Succeed(lines.to_string().into())
    })
}

/// The median latency of other jobs of the same worker during the flood.
const LATENCY_LIMIT: Duration = Duration::from_millis(250);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flood_of_log_lines_delays_neither_reports_nor_cancels() {
    // Late pings would end the session.
    let flags = ["--auto-create-queues", "--session-ttl", "2s", "--ping-interval", "300ms"];
    let server = TestServer::with_flags(&flags).await;
    let client = server.client();
    let cancels = Arc::new(CancelLatency::default());
    let worker = InProcessWorker::builder(&server.address, "w1").concurrency(300);
    let worker = worker.handler("test.noop", async |_: JobContext| {});
    let worker = InProcessWorker::start(cancels.handler(with_flood_handler(worker)));
    let flood = enqueue(&client, NewJob::new("default", "test.flood")).await;
    wait_until("the flood exceeds its log limit", TIMEOUT, || async {
        let lines = client.read_logs(&flood, 0, false).await.ok()?;
        let first = Box::pin(lines).try_next().await.ok()??;
        (first.seq > 1).then_some(())
    })
    .await;
    let took = cancels.measure(&client, 100).await;
    let mut latencies = Vec::new();
    for _ in 0..100 {
        let start = Instant::now();
        wait_terminal(&client, &enqueue(&client, NewJob::new("default", "test.noop")).await).await;
        latencies.push(start.elapsed());
    }
    latencies.sort();
    let cancelled = client.cancel(&flood, "").await.unwrap().outcome;
    assert_eq!(cancelled, CancelOutcome::Requested);
    let job = wait_terminal(&client, &flood).await;
    let written: u64 = std::str::from_utf8(&job.result).unwrap().parse().unwrap();
    println!(
        "during {written} lines: cancels p50 {:?} p99 {:?}, jobs p50 {:?} p99 {:?}",
        percentile(&took, 50),
        percentile(&took, 99),
        percentile(&latencies, 50),
        percentile(&latencies, 99),
    );
    assert!(percentile(&took, 50) < LATENCY_LIMIT, "{took:?}");
    assert!(percentile(&took, 99) < 4 * LATENCY_LIMIT, "{took:?}");
    assert!(percentile(&latencies, 50) < LATENCY_LIMIT, "{latencies:?}");
    assert!(percentile(&latencies, 99) < 4 * LATENCY_LIMIT, "{latencies:?}");
    let session_ends = server.log().lines().filter(|l| l.contains("worker stream closed")).count();
    assert_eq!(session_ends, 0, "the session must not end");
    assert_log_limit(&client, &flood, written).await;
    worker.stop().await;
}

/// Asserts that the newest lines are stored within the limit, and that the sequence numbers show
/// the gap before them.
async fn assert_log_limit(client: &Client, flood: &str, written: u64) {
    let stored = async || -> Result<Vec<_>, Error> {
        client.read_logs(flood, 0, false).await?.try_collect().await
    };
    wait_until("the last line is stored", TIMEOUT, || async {
        (stored().await.ok()?.last()?.seq == written).then_some(())
    })
    .await;
    // Read again: the log is read in pages and does not change any more.
    let lines = stored().await.unwrap();
    let bytes: usize = lines.iter().map(|line| line.text.len()).sum();
    println!("{} of {written} lines are kept, {bytes} bytes", lines.len());
    assert!(bytes <= LOG_LIMIT_BYTES, "{bytes}");
    assert!(lines[0].seq > 1, "the first sequence number must show that lines were dropped");
    assert!(lines.is_sorted_by_key(|line| line.seq));
}
