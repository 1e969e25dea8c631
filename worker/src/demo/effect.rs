//! A handler with a countable side effect. Crash tests read its file to find out which attempts
//! have started and finished, and on which worker.

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
    fields.finish()?;
    append_mark(&job, &file, "start").await?;
    if !pause.is_zero() {
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            () = job.cancelled() => return Ok(Outcome::Cancelled),
        }
    }
    append_mark(&job, &file, "end").await?;
    Ok(job.fencing_token().into())
}

async fn append_mark(
    job: &JobContext,
    file: &str,
    event: &'static str,
) -> Result<(), HandlerError> {
    let line = format!("{}\t{}\t{event}\n", job.fencing_token(), job.instance());
    let path = file.to_owned();
    // fsync takes milliseconds and would block a thread of the runtime.
    let appended = tokio::task::spawn_blocking(move || append(&path, &line));
    let result = appended.await.map_err(HandlerError::from)?;
    result.map_err(|error| HandlerError::retryable(format!("payload.file {file:?}: {error}")))
}

/// Appends with a single write under O_APPEND, so that lines of several processes do not mix.
fn append(path: &str, line: &str) -> io::Result<()> {
    let mut file = OpenOptions::new().append(true).create(true).open(path)?;
    file.write_all(line.as_bytes())?;
    file.sync_all()
}
