//! Producers that stream their jobs, as many as there are batches in flight elsewhere.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use sentinel_client::Client;
use tokio::task::JoinSet;

use super::Bench;
use crate::load::{self, BATCHES_IN_FLIGHT};

pub(super) async fn ingest(bench: &mut Bench) -> Result<()> {
    let (_stores, server) = bench.server().await?;
    let client = Client::connect(server.endpoint()).await?;
    let (span, labels) = (bench.args.span(), bench.args.labels);
    let cpu_s = server.process.cpu_s();
    let begun = Instant::now();
    let mut producers = JoinSet::new();
    for number in 0..BATCHES_IN_FLIGHT {
        producers.spawn(produce(client.clone(), format!("bench-{number}"), span, labels));
    }
    let mut committed = 0;
    while let Some(ended) = producers.join_next().await {
        committed += ended??;
    }
    bench.note("ingest_per_s", committed as f64 / begun.elapsed().as_secs_f64());
    bench.note("ingest_cpu_us", 1e6 * (server.process.cpu_s() - cpu_s) / committed as f64);
    Ok(())
}

/// How many items were committed.
async fn produce(client: Client, id: String, span: Duration, labels: u32) -> Result<u64> {
    let begun = Instant::now();
    let ingest = client.ingest(id).await?;
    let mut sent = 0;
    while begun.elapsed() < span {
        sent = ingest.send(load::spec("demo.noop", sent, labels)).await?;
    }
    let report = ingest.finish().await?;
    ensure!(report.committed_offset == sent && report.refused.is_empty(), "items were refused");
    Ok(sent)
}
