//! The first job of a new installation of `sentinel dev`, so that its reader sees one run.

use sentinel_client::{Access, Client, NewJob};

use super::failure::Failure;
use super::job;
use super::out::Out;
use crate::config::Color;

const KIND: &str = "demo.progress";
const PAYLOAD: &str = r#"{"steps": 20, "step_ms": 150}"#;

/// Enqueues a demo job and shows its progress to the end.
pub(crate) async fn run(server: &str, access: &Access, color: Color) -> anyhow::Result<()> {
    let mut out = Out::stdout(false, color);
    first_job(server, access, &mut out).await.map_err(anyhow::Error::from)
}

async fn first_job(server: &str, access: &Access, out: &mut Out) -> Result<(), Failure> {
    let client = Client::connect_with(server, access).await?;
    let enqueued = client.enqueue(NewJob::new("default", KIND).payload(PAYLOAD)).await?;
    out.line(format!("Your first job, {KIND} {PAYLOAD}:"))?;
    job::follow_jobs(vec![enqueued.job.id], &client, out).await?;
    Ok(())
}
