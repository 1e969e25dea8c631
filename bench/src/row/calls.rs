//! Enqueue and EnqueueBatch beside the echo of the same messages. The two alternate within
//! a row, so that both see the same noise.

use std::io::Write as _;
use std::time::{Duration, Instant};

use anyhow::Result;
use sentinel_client::Client;

use super::Bench;
use crate::args::{Row, Store};
use crate::load::{self, BATCHES_IN_FLIGHT, Batch, BySdk, IN_FLIGHT, Latencies, Unary};
use crate::stores::redis_ceiling;

const SYNCS: usize = 200;
const SYNC_BYTES: usize = 4_096;

/// Slices of a row, one of each kind in turn.
const SLICES: u32 = 2;

pub(super) async fn ceiling(bench: &mut Bench) -> Result<()> {
    let path = bench.data_parent.join("sync");
    let synced = tokio::task::spawn_blocking(move || fdatasync(&path)).await??;
    bench.note("fdatasync_ms", load::percentile_ms(&synced, 50.0));
    if bench.args.store == Store::Redis {
        let parent = bench.data_parent.clone();
        let rate = tokio::task::spawn_blocking(move || redis_ceiling(&parent)).await??;
        if let Some(rate) = rate {
            bench.note("redis_hset_per_s", rate);
        }
    }
    let (span, labels) = (bench.args.span() / 2, bench.args.labels);
    let echo = bench.echo.jobs.clone();
    if !bench.args.wants(Row::Enqueue) {
        let alone = load::run(Unary(echo.clone(), labels), 1, span).await?;
        bench.note("echo_alone_ms", load::percentile_ms(&alone.latencies, 50.0));
        let full = load::run(Unary(echo.clone(), labels), IN_FLIGHT, span).await?;
        bench.note("echo_per_s", full.per_s);
    }
    if !bench.args.wants(Row::Batch) {
        let batch = load::run(Batch::new(echo, labels), BATCHES_IN_FLIGHT, span).await?;
        bench.note("echo_batch_per_s", batch.per_s);
    }
    Ok(())
}

/// Appends, as the journal does.
fn fdatasync(path: &std::path::Path) -> Result<Latencies> {
    let mut file = std::fs::File::create(path)?;
    let mut latencies = load::latencies();
    for _ in 0..SYNCS {
        file.write_all(&[7; SYNC_BYTES])?;
        let begun = Instant::now();
        file.sync_data()?;
        latencies.saturating_record(begun.elapsed().as_nanos() as u64);
    }
    std::fs::remove_file(path)?;
    Ok(latencies)
}

pub(super) async fn enqueue(bench: &mut Bench) -> Result<()> {
    let (_stores, server) = bench.server().await?;
    let (span, labels) = (bench.args.span() / SLICES, bench.args.labels);
    let echo = Unary(bench.echo.jobs.clone(), labels);
    let real = Unary(server.jobs.clone(), labels);
    let sdk = BySdk(Client::connect(server.endpoint()).await?, labels);
    let alone = (load::run(echo.clone(), 1, span).await?, load::run(real.clone(), 1, span).await?);
    bench.note("echo_alone_ms", load::percentile_ms(&alone.0.latencies, 50.0));
    bench.note("enqueue_alone_ms", load::percentile_ms(&alone.1.latencies, 50.0));
    let (mut ceiling, mut rate, mut by_sdk) = (0.0, 0.0, 0.0);
    let (mut latencies, mut cpu_s, mut calls) = (load::latencies(), 0.0, 0.0);
    for _ in 0..SLICES {
        ceiling += load::run(echo.clone(), IN_FLIGHT, span).await?.per_s;
        let cpu = server.process.cpu_s();
        let loaded = load::run(real.clone(), IN_FLIGHT, span).await?;
        cpu_s += server.process.cpu_s() - cpu;
        calls += loaded.per_s * with_warm_up(span).as_secs_f64();
        rate += loaded.per_s;
        latencies.add(loaded.latencies)?;
        by_sdk += load::run(sdk.clone(), IN_FLIGHT, span).await?.per_s;
    }
    let slices = f64::from(SLICES);
    bench.note("echo_per_s", ceiling / slices);
    bench.note("enqueue_per_s", rate / slices);
    bench.note("enqueue_share", 100.0 * rate / ceiling);
    bench.note("enqueue_p50_ms", load::percentile_ms(&latencies, 50.0));
    bench.note("enqueue_p99_ms", load::percentile_ms(&latencies, 99.0));
    bench.note("enqueue_cpu_us", 1e6 * cpu_s / calls);
    bench.note("enqueue_sdk_per_s", by_sdk / slices);
    Ok(())
}

/// The CPU time of the server includes that of the warm-up, at about the same rate.
fn with_warm_up(span: Duration) -> Duration {
    span + Duration::from_millis(300)
}

pub(super) async fn batch(bench: &mut Bench) -> Result<()> {
    let (_stores, server) = bench.server().await?;
    let (span, labels) = (bench.args.span() / SLICES, bench.args.labels);
    let echo = Batch::new(bench.echo.jobs.clone(), labels);
    let real = Batch::new(server.jobs.clone(), labels);
    let (mut ceiling, mut rate, mut cpu_s, mut jobs) = (0.0, 0.0, 0.0, 0.0);
    for _ in 0..SLICES {
        ceiling += load::run(echo.clone(), BATCHES_IN_FLIGHT, span).await?.per_s;
        let cpu = server.process.cpu_s();
        let loaded = load::run(real.clone(), BATCHES_IN_FLIGHT, span).await?;
        cpu_s += server.process.cpu_s() - cpu;
        jobs += loaded.per_s * with_warm_up(span).as_secs_f64();
        rate += loaded.per_s;
    }
    let slices = f64::from(SLICES);
    bench.note("echo_batch_per_s", ceiling / slices);
    bench.note("batch_per_s", rate / slices);
    bench.note("batch_share", 100.0 * rate / ceiling);
    bench.note("batch_cpu_us", 1e6 * cpu_s / jobs);
    Ok(())
}
