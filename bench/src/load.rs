//! The load: closed loops of Enqueue and EnqueueBatch, the same for the server and the echo server.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use hdrhistogram::Histogram;
use prost_types::Timestamp;
use sentinel_client::Client;
use sentinel_proto::jobs::v1::{
    EnqueueBatchRequest, EnqueueRequest, JobSpec, enqueue_batch_result::Outcome,
};
use tokio::task::JoinSet;

use crate::process::{Jobs, QUEUE};

pub(crate) const PAYLOAD_BYTES: usize = 130;

/// Calls in flight under full load.
pub(crate) const IN_FLIGHT: usize = 64;
pub(crate) const BATCH_JOBS: usize = 100;
pub(crate) const BATCHES_IN_FLIGHT: usize = 8;

/// A histogram of nanoseconds with three significant digits.
pub(crate) type Latencies = Histogram<u64>;

/// A longer call counts as this long.
const LATENCY_MAX_NS: u64 = 60_000_000_000;

pub(crate) fn latencies() -> Latencies {
    Histogram::new_with_max(LATENCY_MAX_NS, 3).expect("the bounds are within those of the crate")
}

pub(crate) fn percentile_ms(latencies: &Latencies, percentile: f64) -> f64 {
    latencies.value_at_percentile(percentile) as f64 / 1e6
}

/// A job with a payload of [`PAYLOAD_BYTES`] that begins with its number.
pub(crate) fn spec(kind: &str, number: u64, labels: u32) -> JobSpec {
    let mut payload = format!("{{\"n\":{number:012},\"pad\":\"");
    while payload.len() < PAYLOAD_BYTES - 2 {
        payload.push('x');
    }
    payload.push_str("\"}");
    JobSpec {
        queue: QUEUE.to_owned(),
        kind: kind.to_owned(),
        payload: payload.into(),
        labels: (0..labels).map(|n| (format!("label{n}"), format!("{}", number % 50))).collect(),
        ..JobSpec::default()
    }
}

/// The number in a payload of [`spec`].
pub(crate) fn number_of(payload: &[u8]) -> Option<usize> {
    std::str::from_utf8(payload.get(5..17)?).ok()?.parse().ok()
}

/// The result of a loop of calls.
pub(crate) struct Loaded {
    pub(crate) per_s: f64,
    pub(crate) latencies: Latencies,
}

/// One call of a loop; `number` is that of its first job.
pub(crate) trait Caller: Clone + Send + 'static {
    /// Jobs in one call.
    const JOBS: u64;
    fn call(&mut self, number: u64) -> impl Future<Output = Result<()>> + Send;
}

/// One job per call, by the generated client.
#[derive(Clone)]
pub(crate) struct Unary(pub(crate) Jobs, pub(crate) u32);

impl Caller for Unary {
    const JOBS: u64 = 1;

    async fn call(&mut self, number: u64) -> Result<()> {
        let spec = Some(spec("demo.noop", number, self.1));
        let request = EnqueueRequest { spec, ..EnqueueRequest::default() };
        self.0.enqueue(request).await.context("Enqueue")?;
        Ok(())
    }
}

/// One job per call by the SDK, with a request id.
#[derive(Clone)]
pub(crate) struct BySdk(pub(crate) Client, pub(crate) u32);

impl Caller for BySdk {
    const JOBS: u64 = 1;

    async fn call(&mut self, number: u64) -> Result<()> {
        self.0.enqueue(spec("demo.noop", number, self.1)).await?;
        Ok(())
    }
}

/// [`BATCH_JOBS`] per call.
#[derive(Clone)]
pub(crate) struct Batch {
    pub(crate) jobs: Jobs,
    pub(crate) labels: u32,
    /// When the jobs are due, in seconds since 1970; none means at once.
    pub(crate) due_s: Option<u64>,
}

impl Batch {
    pub(crate) fn new(jobs: Jobs, labels: u32) -> Self {
        Self { jobs, labels, due_s: None }
    }
}

impl Caller for Batch {
    const JOBS: u64 = BATCH_JOBS as u64;

    async fn call(&mut self, number: u64) -> Result<()> {
        let run_at = self.due_s.map(|s| Timestamp { seconds: s.cast_signed(), nanos: 0 });
        let spec = |n| JobSpec { run_at, ..spec("demo.noop", number + n, self.labels) };
        let specs = (0..Self::JOBS).map(spec).collect();
        let request = EnqueueBatchRequest { specs, ..EnqueueBatchRequest::default() };
        let answer = self.jobs.enqueue_batch(request).await.context("EnqueueBatch")?.into_inner();
        let taken = answer.results.iter().filter(|r| matches!(r.outcome, Some(Outcome::Job(_))));
        if taken.count() as u64 != Self::JOBS {
            bail!("EnqueueBatch refused some of its jobs: {:?}", answer.results.first());
        }
        Ok(())
    }
}

/// Calls for `span` with `in_flight` of them at a time, after a short warm-up.
pub(crate) async fn run<C: Caller>(caller: C, in_flight: usize, span: Duration) -> Result<Loaded> {
    run_for(caller.clone(), in_flight, Duration::from_millis(300)).await?;
    run_for(caller, in_flight, span).await
}

async fn run_for<C: Caller>(caller: C, in_flight: usize, span: Duration) -> Result<Loaded> {
    let numbers = Arc::new(AtomicU64::new(0));
    let begun = Instant::now();
    let mut loops = JoinSet::new();
    for _ in 0..in_flight {
        let (mut caller, numbers) = (caller.clone(), numbers.clone());
        loops.spawn(async move {
            let mut latencies = latencies();
            while begun.elapsed() < span {
                let number = numbers.fetch_add(C::JOBS, Ordering::Relaxed);
                let called = Instant::now();
                caller.call(number).await?;
                latencies.saturating_record(called.elapsed().as_nanos() as u64);
            }
            anyhow::Ok(latencies)
        });
    }
    let mut all = latencies();
    while let Some(ended) = loops.join_next().await {
        all.add(ended??)?;
    }
    let per_s = (all.len() * C::JOBS) as f64 / begun.elapsed().as_secs_f64();
    Ok(Loaded { per_s, latencies: all })
}

/// Enqueues at least `count` jobs, rounded up to whole batches, and returns their number.
pub(crate) async fn preload(batch: &Batch, count: u64) -> Result<u64> {
    let numbers = Arc::new(AtomicU64::new(0));
    let mut loops = JoinSet::new();
    for _ in 0..BATCHES_IN_FLIGHT {
        let (mut caller, numbers) = (batch.clone(), numbers.clone());
        loops.spawn(async move {
            let mut stored = 0;
            loop {
                let number = numbers.fetch_add(Batch::JOBS, Ordering::Relaxed);
                if number >= count {
                    return anyhow::Ok(stored);
                }
                caller.call(number).await?;
                stored += Batch::JOBS;
            }
        });
    }
    let mut stored = 0;
    while let Some(ended) = loops.join_next().await {
        stored += ended??;
    }
    Ok(stored)
}

#[cfg(test)]
mod tests;
