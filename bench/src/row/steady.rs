//! Enqueue, run and record at the same time, with a bounded backlog.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::Result;
use tokio::task::JoinSet;

use super::Bench;
use crate::load::{Batch, Caller};

/// Jobs that may wait; then the callers wait, too.
const BACKLOG_MAX: u64 = 5_000;
const CALLS_IN_FLIGHT: usize = 4;
const WARM_UP: Duration = Duration::from_secs(1);
const POLL: Duration = Duration::from_millis(10);

#[derive(Default)]
struct Flow {
    enqueued: AtomicU64,
    recorded: AtomicU64,
    is_over: AtomicBool,
}

impl Flow {
    fn backlog(&self) -> u64 {
        let enqueued = self.enqueued.load(Ordering::Relaxed);
        enqueued.saturating_sub(self.recorded.load(Ordering::Relaxed))
    }
}

async fn call_while_wanted(mut caller: Batch, flow: Arc<Flow>) -> Result<()> {
    while !flow.is_over.load(Ordering::Relaxed) {
        if flow.backlog() >= BACKLOG_MAX {
            tokio::time::sleep(Duration::from_millis(1)).await;
            continue;
        }
        let number = flow.enqueued.fetch_add(Batch::JOBS, Ordering::Relaxed);
        caller.call(number).await?;
    }
    Ok(())
}

pub(super) async fn steady(bench: &mut Bench) -> Result<()> {
    let (_stores, server) = bench.server().await?;
    let worker = server.start_worker(bench.args.concurrency)?;
    let flow = Arc::new(Flow::default());
    let mut callers = JoinSet::new();
    for _ in 0..CALLS_IN_FLIGHT {
        let caller = Batch::new(server.jobs.clone(), bench.args.labels);
        callers.spawn(call_while_wanted(caller, flow.clone()));
    }
    let begun = Instant::now();
    let mut from: Option<(u64, Instant, f64)> = None;
    let (recorded, until) = loop {
        let recorded = server.recorded().await?;
        flow.recorded.store(recorded, Ordering::Relaxed);
        let now = Instant::now();
        if from.is_none() && now >= begun + WARM_UP {
            from = Some((recorded, now, server.process.cpu_s()));
        }
        if now >= begun + WARM_UP + bench.args.steady() {
            break (recorded, now);
        }
        tokio::time::sleep(POLL).await;
    };
    let (before, since, cpu_s) = from.unwrap_or((0, begun, 0.0));
    let count = (recorded - before) as f64;
    bench.note("steady_per_s", count / (until - since).as_secs_f64());
    bench.note("steady_server_cpu_us", 1e6 * (server.process.cpu_s() - cpu_s) / count);
    bench.note("steady_lag_s", server.ledger_lag_s().await?);
    flow.is_over.store(true, Ordering::Relaxed);
    while let Some(ended) = callers.join_next().await {
        ended??;
    }
    drop(worker);
    Ok(())
}
