//! `sentinel job ingest`: the lines of a file, each a job once, however often it is run.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

use clap::Args;
use sentinel_client::proto::jobs::v1::IngestRefused;
use sentinel_client::{Client, Ingest, NewJob};
use serde::Deserialize;
use serde_json::json;
use tokio::sync::mpsc;

use super::super::failure::{Failure, LINES_REFUSED};
use super::super::out::Out;
use super::super::value::{BadValue, moment};

pub(super) const EXAMPLES: &str = r#"Examples:
  sentinel job ingest orders.ndjson --producer orders-2026-11 --kind order.ship
  export-mails | sentinel job ingest - --producer mails --queue mail

A line is one job, a JSON object:
  {"kind":"mail.send","queue":"mail","payload":{"to":"a@example.org"},"priority":5}
Its fields: kind, queue, payload, contentType, priority, runAt (a time, or a duration from now),
labels, uniqueKey, maxAttempts, dependsOn. Without a kind or a queue it has that of the flag.

The server remembers under --producer how many lines it has taken in, for 7 days. So the command
may be killed and run again with the same file, and every line is one job; lines may be added at
the end. A line that the server refuses is told with its number, and the command exits 1. One
that can not be read ends it: mend the line and run it again."#;

/// Far above the largest payload; a file without line breaks is not read as a whole.
const LINE_BYTES: u64 = 32 << 20;

/// Lines that are read ahead.
const AHEAD: usize = 64;

/// `sentinel job ingest`.
#[derive(Debug, Args)]
pub(super) struct IngestFlags {
    /// The lines; `-` reads standard input.
    file: PathBuf,
    /// Names these lines: line 7 is the same job under the same name, whenever it is sent.
    #[arg(long, value_name = "NAME")]
    producer: String,
    /// The kind of lines that have none.
    #[arg(long)]
    kind: Option<String>,
    /// The queue of lines that have none.
    #[arg(long, default_value = "default")]
    queue: String,
}

/// A job as a line says it.
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

/// Why a line is not sent.
#[derive(Debug, thiserror::Error)]
enum BadLine {
    #[error("is empty: expected a JSON object")]
    Empty,
    #[error("can not be read: {0}")]
    Json(#[from] serde_json::Error),
    #[error("has no kind: give it one, or --kind for all lines")]
    NoKind,
    #[error("has a bad runAt: {0}")]
    RunAt(#[from] BadValue),
    #[error("can not be sent: {0}")]
    Payload(#[from] sentinel_client::Error),
}

/// What the command has told so far.
#[derive(Default)]
struct Told {
    refused: u64,
    committed: u64,
}

/// Sends what is not committed yet, and tells what was refused.
pub(super) async fn run(flags: IngestFlags, client: &Client, out: &mut Out) -> Result<u8, Failure> {
    let mut lines = read(&flags.file)?;
    let ingest = client.ingest(&flags.producer).await?;
    let done = ingest.committed();
    let (mut told, mut number) = (Told::default(), 0);
    let mut unreadable = None;
    while let Some(line) = lines.recv().await {
        number += 1;
        let line = line.map_err(|source| Failure::File { path: flags.file.clone(), source })?;
        if number <= done {
            continue;
        }
        match job(&line, &flags, out) {
            Ok(job) => drop(ingest.send(job).await?),
            Err(why) => {
                unreadable = Some((number, why));
                break;
            }
        }
        told.tell(&ingest, out)?;
    }
    if number < done && unreadable.is_none() {
        let reason = format!(
            "has {done} lines committed, and {} has {number}: is it another file?",
            flags.file.display()
        );
        return Err(Failure::Flag { flag: "--producer", reason });
    }
    ingest.flush().await?;
    told.tell(&ingest, out)?;
    let report = ingest.finish().await?;
    let (committed, refused) = (report.committed_offset, told.refused);
    if out.json {
        out.object(
            &json!({ "committed": committed, "sent": committed - done, "refused": refused }),
        )?;
    } else {
        let before = if done > 0 { format!(", {done} of them before") } else { String::new() };
        out.line(format!("{committed} lines committed{before}, {refused} refused"))?;
    }
    match unreadable {
        Some((number, why)) => {
            Err(Failure::Flag { flag: "FILE", reason: format!("line {number} {why}") })
        }
        None => Ok(if refused > 0 { LINES_REFUSED } else { 0 }),
    }
}

impl Told {
    fn tell(&mut self, ingest: &Ingest, out: &mut Out) -> Result<(), Failure> {
        for IngestRefused { offset, reason, message, field } in ingest.take_refused() {
            self.refused += 1;
            if out.json {
                let line =
                    json!({ "line": offset, "reason": reason, "message": message, "field": field });
                out.object(&line)?;
            } else {
                let field = if field.is_empty() { field } else { format!("{field} ") };
                eprintln!("line {offset}: {field}{message} ({reason})");
            }
        }
        let committed = ingest.committed();
        if out.terminal && !out.json && committed != self.committed {
            eprint!("\r{committed} committed\r");
        }
        self.committed = committed;
        Ok(())
    }
}

/// The job of a line, or what is wrong with the line.
fn job(line: &[u8], flags: &IngestFlags, out: &Out) -> Result<NewJob, BadLine> {
    if line.trim_ascii().is_empty() {
        return Err(BadLine::Empty);
    }
    let line: Line = serde_json::from_slice(line)?;
    let kind = line.kind.or_else(|| flags.kind.clone()).ok_or(BadLine::NoKind)?;
    let mut job = NewJob::new(line.queue.as_deref().unwrap_or(&flags.queue), kind);
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
        job = job.run_at(moment(&at)?.since(out.now));
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

/// Reads in a thread of its own: a read may wait for long, and the stream must not.
fn read(path: &Path) -> Result<Lines, Failure> {
    let failed = |source| Failure::File { path: path.to_owned(), source };
    let input: Box<dyn Read + Send> = if path == Path::new("-") {
        Box::new(std::io::stdin())
    } else {
        Box::new(File::open(path).map_err(failed)?)
    };
    let (sender, lines) = mpsc::channel(AHEAD);
    let pump = move || {
        let mut input = BufReader::new(input);
        loop {
            let line = next_line(&mut input).transpose();
            let Some(line) = line else { return };
            let is_over = line.is_err();
            if sender.blocking_send(line).is_err() || is_over {
                return;
            }
        }
    };
    // Not joined: it may wait for a terminal where nobody types any more.
    std::thread::Builder::new().name("lines".into()).spawn(pump).map_err(failed)?;
    Ok(lines)
}

/// A line without its end; none after the last one.
fn next_line(input: &mut impl BufRead) -> std::io::Result<Option<Vec<u8>>> {
    let mut line = Vec::new();
    if input.by_ref().take(LINE_BYTES).read_until(b'\n', &mut line)? == 0 {
        return Ok(None);
    }
    match line.pop_if(|last| *last == b'\n') {
        None if line.len() as u64 == LINE_BYTES => {
            Err(std::io::Error::other(format!("a line is over {LINE_BYTES} bytes")))
        }
        _ => Ok(Some(line)),
    }
}
