//! A producer that may die at any moment: the lines of a file, each enqueued once, however often
//! the program is started.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use sentinel_client::{Client, DEFAULT_ENDPOINT, NewJob};

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let mut args = std::env::args().skip(1);
    let file: PathBuf = args.next().context("which file?")?.into();
    let server = args.next().unwrap_or_else(|| DEFAULT_ENDPOINT.to_owned());
    println!("{}", run(&server, &file).await?);
    Ok(())
}

/// Enqueues the lines that no start before this one has enqueued; tells what came of it.
pub(crate) async fn run(server: &str, file: &Path) -> anyhow::Result<String> {
    let client = Client::connect(server).await.context("start a server with `cargo xtask dev`")?;
    let lines = std::fs::read_to_string(file)?;
    let ingest = client.ingest("example-lines").await?;
    // The server knows how many there are already, also if nobody was told.
    let done = ingest.committed_offset();
    for line in lines.lines().skip(usize::try_from(done)?) {
        ingest.send(NewJob::new("default", "example.line").payload(line.to_owned())).await?;
    }
    let report = ingest.finish().await?;
    for refused in &report.refused {
        eprintln!("line {}: {}", refused.offset, refused.message);
    }
    Ok(format!("{done} lines before, {} now", report.committed_offset))
}
