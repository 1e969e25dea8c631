//! The first job of a new `sentinel dev` directory. It shows how a job runs.

use sentinel_client::{Client, ConnectOptions, NewJob};

use super::error::CliError;
use super::job;
use super::output::Output;
use crate::config::Color;

const KIND: &str = "demo.progress";
const PAYLOAD: &str = r#"{"steps": 20, "step_ms": 150}"#;

/// Enqueues a demo job and prints its progress until it finishes.
pub(super) async fn run(
    server: &str,
    connect_options: &ConnectOptions,
    color: Color,
) -> anyhow::Result<()> {
    let mut out = Output::stdout(false, color);
    first_job(server, connect_options, &mut out).await.map_err(anyhow::Error::from)
}

async fn first_job(
    server: &str,
    connect_options: &ConnectOptions,
    out: &mut Output,
) -> Result<(), CliError> {
    let client = Client::connect_with(server, connect_options).await?;
    let enqueued = client.enqueue(NewJob::new("default", KIND).payload(PAYLOAD)).await?;
    out.line(format!("Your first job, {KIND} {PAYLOAD}:"))?;
    job::watch_jobs(vec![enqueued.job.id], &client, out).await?;
    Ok(())
}
