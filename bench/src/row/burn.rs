//! What a server does with many waiting jobs: hold them, find them again, run them.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use sentinel_proto::jobs::v1::{GetRequest, JobState};

use super::{Bench, until_in_ledger, until_recorded};
use crate::load::{self, Batch, PAYLOAD_BYTES};
use crate::process::Server;

/// The slowest preload that is waited for, and what it takes beside that.
const PRELOAD_PER_S: u64 = 20_000;
const LEAD_S: u64 = 10;

pub(super) async fn burn(bench: &mut Bench) -> Result<()> {
    let (stores, server) = bench.server().await?;
    let begun = Instant::now();
    let count = bench.preload(&server).await?;
    bench.note("preload_per_s", count as f64 / begun.elapsed().as_secs_f64());
    // The row is about running jobs, so the ledger has no work left over from the preload.
    until_in_ledger(&server, JobState::Ready, count).await?;
    let commits = server.metric("sentinel_journal_commit_duration_seconds_count", "").await?;
    let (server_cpu, redis_cpu) = (server.process.cpu_s(), stores.redis_cpu_s());
    let begun = Instant::now();
    let worker = server.start_worker(bench.args.concurrency)?;
    until_recorded(&server, count).await?;
    let took_s = begun.elapsed().as_secs_f64();
    let per_job_us = 1e6 / count as f64;
    bench.note("burn_per_s", count as f64 / took_s);
    bench.note("burn_server_cpu_us", (server.process.cpu_s() - server_cpu) * per_job_us);
    bench.note("burn_worker_cpu_us", worker.cpu_s() * per_job_us);
    if let (Some(before), Some(after)) = (redis_cpu, stores.redis_cpu_s()) {
        bench.note("burn_redis_cpu_us", (after - before) * per_job_us);
    }
    let commits =
        server.metric("sentinel_journal_commit_duration_seconds_count", "").await? - commits;
    bench.note("burn_jobs_per_commit", count as f64 / commits);
    let recorded = Instant::now();
    until_in_ledger(&server, JobState::Succeeded, count).await?;
    bench.note("burn_catch_up_s", recorded.elapsed().as_secs_f64());
    bench.note("burn_in_ledger_per_s", count as f64 / begun.elapsed().as_secs_f64());
    Ok(())
}

/// All jobs are due in the same second, while a worker waits for them.
pub(super) async fn due(bench: &mut Bench) -> Result<()> {
    let (_stores, server) = bench.server().await?;
    let due_s = crate::machine::unix_s() + LEAD_S + bench.args.jobs() / PRELOAD_PER_S;
    let batch = Batch { due_s: Some(due_s), ..bench.batch(&server) };
    let count = load::preload(&batch, bench.args.jobs()).await?;
    until_in_ledger(&server, JobState::Scheduled, count).await?;
    let _worker = server.start_worker(bench.args.concurrency)?;
    ensure!(
        crate::machine::unix_s() < due_s,
        "storing the jobs took longer than until they were due"
    );
    while crate::machine::unix_s() < due_s {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let begun = Instant::now();
    until_recorded(&server, count).await?;
    let per_s = count as f64 / begun.elapsed().as_secs_f64();
    bench.note("due_per_s", per_s);
    if let Some(burn_per_s) = bench.round.get("burn_per_s").copied() {
        bench.note("due_share", 100.0 * per_s / burn_per_s);
    }
    Ok(())
}

pub(super) async fn memory(bench: &mut Bench) -> Result<()> {
    let (stores, server) = bench.server().await?;
    let (before, in_redis) = (server.process.resident_bytes(), stores.redis_bytes());
    let count = bench.preload(&server).await?;
    until_in_ledger(&server, JobState::Ready, count).await?;
    let per_job = (server.process.resident_bytes() - before) / count as f64;
    bench.note("memory_b", per_job - PAYLOAD_BYTES as f64);
    if let (Some(before), Some(after)) = (in_redis, stores.redis_bytes()) {
        bench.note("memory_redis_b", (after - before) / count as f64 - PAYLOAD_BYTES as f64);
    }
    Ok(())
}

pub(super) async fn restart(bench: &mut Bench) -> Result<()> {
    let (stores, server) = bench.server().await?;
    let count = bench.preload(&server).await?;
    let one = load::spec("demo.noop", count, 0);
    let client = sentinel_client::Client::connect(server.endpoint()).await?;
    let id = client.enqueue(one).await?.job.id;
    // Dropping kills it with SIGKILL, in the middle of whatever the ledger was doing.
    drop(server);
    let begun = Instant::now();
    let mut server = Server::start(&bench.args, &stores).await?;
    let job = server.jobs.get(GetRequest { id, ..GetRequest::default() }).await?.into_inner().job;
    bench.note("restart_s", begun.elapsed().as_secs_f64());
    ensure!(job.is_some_and(|job| job.state() == JobState::Ready), "the last job was lost");
    Ok(())
}
