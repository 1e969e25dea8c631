//! `sentinel job ingest`: enqueues one job per line of a file, exactly once per line even when
//! the command is interrupted and run again.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

use clap::Args;
use sentinel_client::proto::jobs::v1::IngestRefused;
use sentinel_client::{Client, IngestStream, NewJob};
use serde::Deserialize;
use serde_json::json;
use tokio::sync::mpsc;

use super::super::error::{CliError, LINES_REFUSED};
use super::super::output::Output;
use super::super::parse::{self, ParseError};

pub(super) const EXAMPLES: &str = r#"Examples:
  sentinel job ingest orders.ndjson --producer orders-2026-11 --kind order.ship
  export-mails | sentinel job ingest - --producer mails --queue mail

Each line is one job, a JSON object:
  {"kind":"mail.send","queue":"mail","payload":{"to":"a@example.org"},"priority":5}
Fields: kind, queue, payload, contentType, priority, runAt (a time, or a duration from now),
labels, uniqueKey, maxAttempts, dependsOn. A line without kind or queue takes that of the flag.

The server stores for each --producer how many lines it has committed, for 7 days after the last
one. Running the command again with the same file continues after the last committed line; lines
may be appended to the file. A line that the server refuses is printed with its number, and the
command exits with 1. A line that is no valid job stops the command: correct it, then run the
command again."#;

/// The largest line. Far above the largest payload; it limits memory for files without line
/// breaks.
const LINE_MAX_BYTES: u64 = 32 << 20;

/// Lines that are read ahead of the stream.
const READ_AHEAD_LINES: usize = 64;

#[derive(Debug, Args)]
pub(super) struct IngestArgs {
    /// File with one JSON object per line. `-` reads standard input.
    file: PathBuf,
    /// Id of the producer. The server uses it to recognize lines that it has committed before, so
    /// use one id per file.
    #[arg(long, value_name = "NAME")]
    producer: String,
    /// Kind of the lines without one.
    #[arg(long)]
    kind: Option<String>,
    /// Queue of the lines without one.
    #[arg(long, default_value = "default")]
    queue: String,
}

/// The JSON object of a line.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Line {
    kind: Option<String>,
    queue: Option<String>,
    payload: Option<serde_json::Value>,
    content_type: Option<String>,
    priority: Option<u32>,
    run_at: Option<String>,
    #[serde(default)]
    labels: BTreeMap<String, String>,
    unique_key: Option<String>,
    max_attempts: Option<u32>,
    #[serde(default)]
    depends_on: Vec<String>,
}

/// Why a line is no valid job. Each message is a predicate of the line.
#[derive(Debug, thiserror::Error)]
enum InvalidLine {
    #[error("is empty: expected a JSON object")]
    Empty,
    #[error("is not a job: {0}")]
    Json(#[from] serde_json::Error),
    #[error("has no kind: add a kind to the line, or pass --kind for all lines")]
    NoKind,
    #[error("has an invalid runAt: {0}")]
    RunAt(#[from] ParseError),
    #[error("has an invalid payload: {0}")]
    Payload(#[from] sentinel_client::Error),
}

/// Prints refused lines and the number of committed lines.
#[derive(Default)]
struct Report {
    refused: u64,
    committed: u64,
}

/// Runs `sentinel job ingest`: sends the lines that are not committed yet.
pub(super) async fn run(
    args: IngestArgs,
    client: &Client,
    out: &mut Output,
) -> Result<u8, CliError> {
    let mut lines = read_lines(&args.file)?;
    let ingest = client.ingest(&args.producer).await?;
    let committed_before = ingest.committed_offset();
    let (mut report, mut number) = (Report::default(), 0);
    let mut invalid = None;
    while let Some(line) = lines.recv().await {
        number += 1;
        let line = line.map_err(|source| CliError::File { path: args.file.clone(), source })?;
        if number <= committed_before {
            continue;
        }
        match job_of_line(&line, &args, out) {
            Ok(job) => drop(ingest.send(job).await?),
            Err(error) => {
                invalid = Some((number, error));
                break;
            }
        }
        report.update(&ingest, out)?;
    }
    if number < committed_before && invalid.is_none() {
        let reason = format!(
            "has {committed_before} committed lines, but {} has only {number}: use another \
             producer id for another file",
            args.file.display()
        );
        return Err(CliError::InvalidFlag { flag: "--producer", reason });
    }
    ingest.flush().await?;
    report.update(&ingest, out)?;
    let (committed, refused) = (ingest.finish().await?.committed_offset, report.refused);
    if out.json {
        let sent = committed - committed_before;
        out.json_line(&json!({ "committed": committed, "sent": sent, "refused": refused }))?;
    } else {
        let before = if committed_before > 0 {
            format!(", {committed_before} of them before this run")
        } else {
            String::new()
        };
        out.line(format!("{committed} lines committed{before}, {refused} refused"))?;
    }
    match invalid {
        Some((number, error)) => {
            Err(CliError::InvalidFlag { flag: "FILE", reason: format!("line {number} {error}") })
        }
        None => Ok(if refused > 0 { LINES_REFUSED } else { 0 }),
    }
}

impl Report {
    fn update(&mut self, ingest: &IngestStream, out: &mut Output) -> Result<(), CliError> {
        for IngestRefused { offset, reason, message, field } in ingest.take_refused() {
            self.refused += 1;
            if out.json {
                out.json_line(&json!({
                    "line": offset, "reason": reason, "message": message, "field": field,
                }))?;
            } else {
                let field = if field.is_empty() { field } else { format!("{field} ") };
                eprintln!("line {offset}: {field}{message} ({reason})");
            }
        }
        let committed = ingest.committed_offset();
        if out.terminal && !out.json && committed != self.committed {
            eprint!("\r{committed} lines committed\r");
        }
        self.committed = committed;
        Ok(())
    }
}

fn job_of_line(line: &[u8], args: &IngestArgs, out: &Output) -> Result<NewJob, InvalidLine> {
    if line.trim_ascii().is_empty() {
        return Err(InvalidLine::Empty);
    }
    let line: Line = serde_json::from_slice(line)?;
    let kind = line.kind.or_else(|| args.kind.clone()).ok_or(InvalidLine::NoKind)?;
    let mut job = NewJob::new(line.queue.as_deref().unwrap_or(&args.queue), kind);
    if let Some(payload) = &line.payload {
        job = job.json(payload)?;
    }
    if let Some(content_type) = line.content_type {
        job = job.content_type(content_type);
    }
    if let Some(priority) = line.priority {
        job = job.priority(priority);
    }
    if let Some(at) = line.run_at {
        job = job.run_at(parse::time(&at)?.resolve(out.now));
    }
    if let Some(key) = line.unique_key {
        job = job.unique_key(key);
    }
    if let Some(max) = line.max_attempts {
        job = job.max_attempts(max);
    }
    for (key, value) in line.labels {
        job = job.label(key, value);
    }
    Ok(line.depends_on.into_iter().fold(job, NewJob::depends_on))
}

type Lines = mpsc::Receiver<std::io::Result<Vec<u8>>>;

/// Reads lines in a separate thread, because a read can block for long and the stream must stay
/// responsive.
fn read_lines(path: &Path) -> Result<Lines, CliError> {
    let failed = |source| CliError::File { path: path.to_owned(), source };
    let input: Box<dyn Read + Send> = if path == Path::new("-") {
        Box::new(std::io::stdin())
    } else {
        Box::new(File::open(path).map_err(failed)?)
    };
    let (sender, lines) = mpsc::channel(READ_AHEAD_LINES);
    let read = move || {
        let mut input = BufReader::new(input);
        loop {
            let Some(line) = next_line(&mut input).transpose() else { return };
            let is_last = line.is_err();
            if sender.blocking_send(line).is_err() || is_last {
                return;
            }
        }
    };
    // Not joined: the thread may be blocked in a read from a terminal.
    std::thread::Builder::new().name("lines".into()).spawn(read).map_err(failed)?;
    Ok(lines)
}

/// Returns the next line without its line break, or none at the end of the input.
fn next_line(input: &mut impl BufRead) -> std::io::Result<Option<Vec<u8>>> {
    let mut line = Vec::new();
    if input.by_ref().take(LINE_MAX_BYTES).read_until(b'\n', &mut line)? == 0 {
        return Ok(None);
    }
    match line.pop_if(|last| *last == b'\n') {
        None if line.len() as u64 == LINE_MAX_BYTES => {
            Err(std::io::Error::other(format!("a line is longer than {LINE_MAX_BYTES} bytes")))
        }
        _ => Ok(Some(line)),
    }
}
