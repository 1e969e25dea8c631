//! A producer that enqueues each line of a file exactly once, even when it is restarted after a
//! crash.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use sentinel_client::{Client, DEFAULT_ENDPOINT, NewJob};

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let mut args = std::env::args().skip(1);
    let file: PathBuf = args.next().context("usage: ingest FILE [SERVER]")?.into();
    let server = args.next().unwrap_or_else(|| DEFAULT_ENDPOINT.to_owned());
    println!("{}", run(&server, &file).await?);
    Ok(())
}

/// Enqueues the lines that no earlier run has enqueued; returns a summary.
pub(crate) async fn run(server: &str, file: &Path) -> anyhow::Result<String> {
    let client = Client::connect(server).await.context("start a server with `cargo xtask dev`")?;
    let lines = std::fs::read_to_string(file)?;
    let ingest = client.ingest("example-lines").await?;
    // The server stores the offset, so the producer needs no state.
    let committed = ingest.committed_offset();
    for line in lines.lines().skip(usize::try_from(committed)?) {
        ingest.send(NewJob::new("default", "example.line").payload(line.to_owned())).await?;
    }
    let report = ingest.finish().await?;
    for refused in &report.refused {
        eprintln!("line {}: {}", refused.offset, refused.message);
    }
    Ok(format!("{committed} lines before, {} now", report.committed_offset))
}
