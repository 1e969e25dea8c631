//! A side effect that can be counted afterwards: crash tests read the file to learn which
//! attempts began, which came to their end, and where.

use std::fs::OpenOptions;
use std::io::{self, Write};
use std::time::Duration;

use sentinel_client::worker::{HandlerError, JobContext, Outcome};

use super::MAX_MS;
use crate::payload::Fields;

pub(super) async fn effect(job: JobContext) -> Result<Outcome, HandlerError> {
    let mut fields = Fields::of(&job)?;
    let file = fields.text("file", None)?;
    let pause = Duration::from_millis(fields.number("ms", Some(0), MAX_MS)?);
    fields.end()?;
    mark(&job, &file, "start").await?;
    if !pause.is_zero() {
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            () = job.cancelled() => return Ok(Outcome::Cancelled),
        }
    }
    mark(&job, &file, "end").await?;
    Ok(job.fencing_token().into())
}

async fn mark(job: &JobContext, file: &str, what: &'static str) -> Result<(), HandlerError> {
    let line = format!("{}\t{}\t{what}\n", job.fencing_token(), job.instance());
    let path = file.to_owned();
    // fsync takes milliseconds; other handlers share the runtime's threads.
    let appended = tokio::task::spawn_blocking(move || append(&path, &line));
    let result = appended.await.map_err(HandlerError::from)?;
    result.map_err(|error| HandlerError::retryable(format!("payload.file {file:?}: {error}")))
}

/// One write per line under O_APPEND, so that lines of several processes never mix.
fn append(path: &str, line: &str) -> io::Result<()> {
    let mut file = OpenOptions::new().append(true).create(true).open(path)?;
    file.write_all(line.as_bytes())?;
    file.sync_all()
}
