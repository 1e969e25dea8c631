//! A worker and a client of a typed job in one process: enqueues a batch and prints the results.

use anyhow::Context as _;
use sentinel_client::worker::{HandlerError, JobContext, LogLevel, Worker};
use sentinel_client::{BatchOptions, Client, DEFAULT_ENDPOINT, Job};
use serde::{Deserialize, Serialize};
use tokio::sync::oneshot;

#[derive(Serialize, Deserialize)]
struct Greet {
    name: String,
}

impl Job for Greet {
    const KIND: &'static str = "example.greet";
    const QUEUE: &'static str = "default";
    type Result = String;
}

async fn greet(job: JobContext, payload: Greet) -> Result<String, HandlerError> {
    if payload.name.is_empty() {
        // A retry would fail the same way.
        return Err(HandlerError::non_retryable("the name is empty"));
    }
    job.log(LogLevel::Info, format!("greeting {}", payload.name));
    job.progress(1, 1, "greeted");
    Ok(format!("hello {}", payload.name))
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let server = std::env::args().nth(1).unwrap_or_else(|| DEFAULT_ENDPOINT.to_owned());
    for line in run(&server).await? {
        println!("{line}");
    }
    Ok(())
}

/// Runs a worker and three jobs; returns a line per job.
pub(crate) async fn run(server: &str) -> anyhow::Result<Vec<String>> {
    let worker = Worker::builder(server).queue(Greet::QUEUE).job(greet).build()?;
    let (shutdown, shutdown_requested) = oneshot::channel::<()>();
    let worker = worker.run(async {
        let _ = shutdown_requested.await;
    });
    let (worker_result, lines) = tokio::join!(worker, async {
        let lines = enqueue(server).await;
        drop(shutdown);
        lines
    });
    worker_result?;
    lines
}

async fn enqueue(server: &str) -> anyhow::Result<Vec<String>> {
    let client = Client::connect(server).await.context("start a server with `cargo xtask dev`")?;
    let payloads = ["Ada", "Grace", ""].map(|name| Greet { name: name.to_owned() });
    let jobs = client.submit_batch(&payloads, BatchOptions::default()).await?;
    let mut lines = Vec::new();
    for job in jobs {
        let job = job.map_err(|error| anyhow::anyhow!("refused: {}", error.message))?;
        lines.push(match job.result().await {
            Ok(greeting) => greeting,
            Err(error) => error.to_string().replace(job.id(), "ID"),
        });
    }
    Ok(lines)
}
