//! `sentinel job get`, `list`, `logs`, `output` and `counts`: print jobs as text or as JSON.

use clap::Args;
use futures_util::{StreamExt, TryStreamExt};
use prost_types::Timestamp;
use sentinel_client::proto::jobs::v1::{Job, JobView, QueueCounts};
use sentinel_client::{Client, LogStream, OutputStream};

use super::super::error::{CliError, NOT_FOUND};
use super::super::output::Output;
use super::super::state_style::{STATES, style};
use super::super::table::{self, StyledCell};
use super::super::terminal;
use super::super::{json, text};
use super::filter::FilterArgs;

#[derive(Debug, Args)]
pub(super) struct ListArgs {
    #[command(flatten)]
    filter: FilterArgs,
    /// Maximum number of jobs to show.
    #[arg(long, value_name = "N", default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..))]
    limit: u32,
    /// Show all jobs.
    #[arg(long, conflicts_with = "limit")]
    all: bool,
}

const PAGE_MAX: u32 = 1_000;

/// Runs `sentinel job list`.
pub(super) async fn list(
    args: ListArgs,
    client: &Client,
    out: &mut Output,
) -> Result<u8, CliError> {
    let limit =
        if args.all { usize::MAX } else { usize::try_from(args.limit).unwrap_or(usize::MAX) };
    let page_size = if args.all { PAGE_MAX } else { args.limit.min(PAGE_MAX) };
    let page_size = i32::try_from(page_size).unwrap_or(i32::MAX);
    let jobs = client.list_all(args.filter.into_proto(), page_size, JobView::Basic).take(limit);
    let mut jobs = std::pin::pin!(jobs);
    if out.json {
        while let Some(job) = jobs.try_next().await? {
            out.json_line(&json::job(&job))?;
        }
        return Ok(0);
    }
    let mut rows = Vec::new();
    while let Some(job) = jobs.try_next().await? {
        rows.push(row(&job, out));
    }
    if rows.is_empty() && out.terminal {
        eprintln!("no jobs match");
        return Ok(0);
    }
    table::write(out, &HEADER, rows)?;
    Ok(0)
}

const HEADER: [&str; 7] = ["ID", "STATE", "QUEUE", "KIND", "ATTEMPT", "AGE", "DETAILS"];

/// A table row below [`HEADER`].
fn row(job: &Job, out: &Output) -> Vec<StyledCell> {
    let style = style(job.state());
    let spec = job.spec.clone().unwrap_or_default();
    vec![
        job.id.clone().into(),
        StyledCell::new(style.name, style.color),
        spec.queue.into(),
        spec.kind.into(),
        job.attempt.to_string().into(),
        text::age(job.created_at.as_ref(), out.now).into(),
        text::details(job, out.now).into(),
    ]
}

/// Runs `sentinel job get`. Returns [`NOT_FOUND`] when a job does not exist.
pub(super) async fn get(
    ids: Vec<String>,
    client: &Client,
    out: &mut Output,
) -> Result<u8, CliError> {
    if let [id] = &ids[..] {
        print(&client.get(id).await?, out)?;
        return Ok(0);
    }
    let mut code = 0;
    let found = client.batch_get(ids.clone(), JobView::Full).await?;
    for (index, (id, job)) in ids.iter().zip(found).enumerate() {
        match job {
            Some(job) => {
                if index > 0 && !out.json {
                    out.line("")?;
                }
                print(&job, out)?;
            }
            None => {
                code = NOT_FOUND;
                eprintln!("job {id} does not exist");
            }
        }
    }
    Ok(code)
}

fn print(job: &Job, out: &mut Output) -> Result<(), CliError> {
    if out.json {
        return out.json_line(&json::job(job));
    }
    for (name, text) in fields(job, out) {
        out.line(format!("{name:12} {text}"))?;
    }
    let detail = job.error.as_ref().map_or("", |error| &error.detail);
    for line in detail.lines() {
        out.line(format!("{:12} {}", "", terminal::printable(line)))?;
    }
    Ok(())
}

/// The set fields of a job as names and texts.
fn fields(job: &Job, out: &Output) -> Vec<(&'static str, String)> {
    let style = style(job.state());
    let spec = job.spec.clone().unwrap_or_default();
    let max = spec.retry.map_or(0, |retry| retry.max_attempts);
    let attempt =
        if max > 0 { format!("{} of {max}", job.attempt) } else { job.attempt.to_string() };
    let labels: Vec<String> =
        spec.labels.iter().map(|(key, value)| format!("{key}={value}")).collect();
    let at = |time: &Option<Timestamp>| match time {
        Some(stamp) => format!("{stamp} ({})", text::age(Some(stamp), out.now)),
        None => String::new(),
    };
    let took = text::between(job.started_at.as_ref(), job.finished_at.as_ref());
    let error = job.error.as_ref().map_or(String::new(), |error| match error.code.as_str() {
        "" => error.message.clone(),
        code => format!("{code}: {}", error.message),
    });
    let is_json = json::is_json(&spec.content_type);
    let mut fields = vec![
        ("id", job.id.clone()),
        ("state", style.color.paint(&format!("{} {}", style.symbol, style.name), out.colors)),
        ("details", text::details(job, out.now)),
        ("queue", spec.queue),
        ("kind", spec.kind),
        ("priority", spec.priority.to_string()),
        ("run", job.run.to_string()),
        ("attempt", attempt),
        ("crashes", if job.crashes > 0 { job.crashes.to_string() } else { String::new() }),
        ("worker", job.worker.clone()),
        ("labels", labels.join(" ")),
        ("depends on", spec.depends_on.join(" ")),
        ("created", at(&job.created_at)),
        ("ready", at(&job.ready_at)),
        ("started", at(&job.started_at)),
        ("finished", at(&job.finished_at)),
        ("took", took.map_or(String::new(), text::short_duration)),
        ("progress", text::progress(job.progress.as_ref())),
        ("error", terminal::one_line(&error)),
        ("payload", bytes_text(&spec.payload, is_json)),
        ("checkpoint", bytes_text(&job.checkpoint, is_json)),
        ("result", bytes_text(&job.result, true)),
    ];
    fields.retain(|(_, text)| !text.is_empty());
    for (name, text) in &mut fields {
        // The state has a colour.
        if *name != "state" {
            *text = terminal::printable(text);
        }
    }
    fields
}

/// Returns JSON as it is, and only the length of other bytes, which a terminal cannot show.
fn bytes_text(bytes: &[u8], is_json: bool) -> String {
    if bytes.is_empty() {
        return String::new();
    }
    match serde_json::from_slice::<serde_json::Value>(bytes) {
        Ok(value) if is_json => value.to_string(),
        _ => format!("{} bytes, not JSON; --json prints them as base64", bytes.len()),
    }
}

/// Runs `sentinel job logs`: prints log lines as they arrive.
pub(super) async fn logs(mut lines: LogStream, out: &mut Output) -> Result<u8, CliError> {
    while let Some(line) = lines.try_next().await? {
        if out.json {
            out.json_line(&json::log_line(&line))?;
        } else {
            out.line(text::log_line(&line, out.colors))?;
        }
    }
    Ok(0)
}

/// Runs `sentinel job output`: prints raw bytes, or with `--json` one object per chunk.
pub(super) async fn output(mut chunks: OutputStream, out: &mut Output) -> Result<u8, CliError> {
    while let Some(chunk) = chunks.try_next().await? {
        if out.json {
            out.json_line(&json::output(&chunk))?;
        } else {
            out.bytes(&chunk.data)?;
        }
    }
    Ok(0)
}

/// Runs `sentinel job counts`.
pub(super) async fn counts(
    queues: Vec<String>,
    client: &Client,
    out: &mut Output,
) -> Result<u8, CliError> {
    let counts = client.counts(queues).await?;
    if out.json {
        out.json_lines(&counts.queues, json::counts)?;
        return Ok(0);
    }
    let states: Vec<String> =
        STATES.iter().map(|state| style(*state).name.to_uppercase()).collect();
    let header: Vec<&str> =
        std::iter::once("QUEUE").chain(states.iter().map(String::as_str)).collect();
    let rows = counts.queues.iter().map(counts_row).collect();
    table::write(out, &header, rows)?;
    Ok(0)
}

/// A table row: the queue, then one count per state in the order of [`STATES`].
fn counts_row(counts: &QueueCounts) -> Vec<StyledCell> {
    let cell = |state| {
        let count = counts.states.iter().find(|count| count.state() == state);
        match count {
            Some(count) if count.capped => {
                StyledCell::new(format!("{}+", count.count), style(state).color)
            }
            Some(count) if count.count > 0 => {
                StyledCell::new(count.count.to_string(), style(state).color)
            }
            _ => StyledCell::from("0"),
        }
    };
    std::iter::once(counts.queue.clone().into()).chain(STATES.into_iter().map(cell)).collect()
}

#[cfg(test)]
mod tests;
