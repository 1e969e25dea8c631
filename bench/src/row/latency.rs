//! How long it takes until a handler starts, and until it sees a cancel. The worker runs in
//! this process, over the same gRPC, so that one clock reads both ends.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use sentinel_client::Client;
use sentinel_client::worker::{JobContext, Outcome, Worker};
use tokio::sync::{Semaphore, oneshot};
use tokio::task::JoinSet;

use super::Bench;
use crate::load::{self, number_of};
use crate::process::QUEUE;
use crate::process::Server;

const STAMP: &str = "bench.stamp";
const HOLD: &str = "bench.hold";
const CONCURRENCY: u32 = 512;
const CANCELS: usize = 500;

/// Enqueues of the open loop are this far apart.
const PACE: Duration = Duration::from_millis(1);

/// Starts before the measurement, so that connections and caches are warm.
const WARM_UP: u64 = 200;

const PATIENCE: Duration = Duration::from_secs(30);

/// Moments by the number of a job, in nanoseconds after a common start.
struct Moments {
    start: Instant,
    at_ns: Vec<AtomicU64>,
    noted: Semaphore,
}

impl Moments {
    fn new(count: usize) -> Arc<Self> {
        Self::since(Instant::now(), count)
    }

    fn since(start: Instant, count: usize) -> Arc<Self> {
        let at_ns = (0..count).map(|_| AtomicU64::new(0)).collect();
        Arc::new(Self { start, at_ns, noted: Semaphore::new(0) })
    }

    fn now_ns(&self) -> u64 {
        self.start.elapsed().as_nanos() as u64
    }

    /// The first one of a job counts.
    fn note(&self, job: &JobContext) {
        let now = self.now_ns();
        let slot = number_of(job.payload()).and_then(|number| self.at_ns.get(number));
        let is_first = slot.is_some_and(|slot| {
            slot.compare_exchange(0, now, Ordering::Relaxed, Ordering::Relaxed).is_ok()
        });
        if is_first {
            self.noted.add_permits(1);
        }
    }

    async fn wait_for(&self, count: usize) -> Result<()> {
        let all = self.noted.acquire_many(count as u32);
        let all = tokio::time::timeout(PATIENCE, all).await.context("the handlers did not run")?;
        all?.forget();
        Ok(())
    }
}

/// A worker in this process. It drains when told to.
struct InProcess {
    stop: oneshot::Sender<()>,
    running: JoinSet<Result<(), sentinel_client::Error>>,
}

impl InProcess {
    fn start(server: &Server, started: &Arc<Moments>, seen: &Arc<Moments>) -> Result<Self> {
        let (stamped, held, seen) = (started.clone(), started.clone(), seen.clone());
        let worker = Worker::builder(server.endpoint())
            .queue(QUEUE)
            .concurrency(CONCURRENCY)
            .handler(STAMP, move |job: JobContext| {
                stamped.note(&job);
                async {}
            })
            .handler(HOLD, move |job: JobContext| {
                held.note(&job);
                let seen = seen.clone();
                async move {
                    job.cancelled().await;
                    seen.note(&job);
                    Outcome::Cancelled
                }
            })
            .build()?;
        let (stop, stopped) = oneshot::channel::<()>();
        let mut running = JoinSet::new();
        running.spawn(worker.run(async {
            // A sender that is gone asks for the end, too.
            let _ = stopped.await;
        }));
        Ok(Self { stop, running })
    }

    async fn stop(mut self) -> Result<()> {
        drop(self.stop);
        while let Some(ended) = self.running.join_next().await {
            ended??;
        }
        Ok(())
    }
}

/// Enqueues `count` jobs of [`STAMP`], one each [`PACE`] whether or not the one before was
/// answered; notes the moments of the calls.
async fn open_loop(client: &Client, first: u64, count: u64, called: &Arc<Moments>) -> Result<()> {
    let mut pace = tokio::time::interval(PACE);
    let mut calls = JoinSet::new();
    for number in first..first + count {
        pace.tick().await;
        let (client, called) = (client.clone(), called.clone());
        calls.spawn(async move {
            let spec = load::spec(STAMP, number, 0);
            called.at_ns[number as usize].store(called.now_ns(), Ordering::Relaxed);
            client.enqueue(spec).await
        });
    }
    while let Some(ended) = calls.join_next().await {
        ended??;
    }
    Ok(())
}

pub(super) async fn start(bench: &mut Bench) -> Result<()> {
    let (_stores, server) = bench.server().await?;
    let count = bench.args.starts();
    let all = (WARM_UP + count) as usize;
    let started = Moments::new(all);
    let called = Moments::since(started.start, all);
    let worker = InProcess::start(&server, &started, &Moments::new(0))?;
    let client = Client::connect(server.endpoint()).await?;
    open_loop(&client, 0, WARM_UP, &called).await?;
    started.wait_for(WARM_UP as usize).await?;
    open_loop(&client, WARM_UP, count, &called).await?;
    started.wait_for(count as usize).await?;
    let mut latencies = load::latencies();
    for number in WARM_UP as usize..all {
        let at = |moments: &Moments| moments.at_ns[number].load(Ordering::Relaxed);
        latencies.saturating_record(at(&started).saturating_sub(at(&called)));
    }
    bench.note("start_p50_ms", load::percentile_ms(&latencies, 50.0));
    bench.note("start_p99_ms", load::percentile_ms(&latencies, 99.0));
    bench.note("start_p999_ms", load::percentile_ms(&latencies, 99.9));
    worker.stop().await
}

pub(super) async fn cancel(bench: &mut Bench) -> Result<()> {
    let (_stores, server) = bench.server().await?;
    let (started, seen) = (Moments::new(CANCELS), Moments::new(CANCELS));
    let worker = InProcess::start(&server, &started, &seen)?;
    let client = Client::connect(server.endpoint()).await?;
    let mut ids = Vec::with_capacity(CANCELS);
    for number in 0..CANCELS as u64 {
        ids.push(client.enqueue(load::spec(HOLD, number, 0)).await?.job.id);
    }
    started.wait_for(CANCELS).await?;
    let mut latencies = load::latencies();
    for (number, id) in ids.into_iter().enumerate() {
        let called_ns = seen.now_ns();
        client.cancel(id, "").await?;
        seen.wait_for(1).await?;
        let seen_ns = seen.at_ns[number].load(Ordering::Relaxed);
        ensure!(seen_ns >= called_ns, "another handler than the cancelled one stopped");
        latencies.saturating_record(seen_ns - called_ns);
    }
    bench.note("cancel_p50_ms", load::percentile_ms(&latencies, 50.0));
    bench.note("cancel_p99_ms", load::percentile_ms(&latencies, 99.0));
    worker.stop().await
}
