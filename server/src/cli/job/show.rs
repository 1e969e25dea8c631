//! `sentinel job get | list | logs | counts`: what is known, as a table or as JSON.

use clap::Args;
use futures_util::{StreamExt, TryStreamExt};
use prost_types::Timestamp;
use sentinel_client::proto::jobs::v1::{Job, JobView, LogLevel, LogLine, QueueCounts};
use sentinel_client::{Client, LogStream, OutputStream};

use super::super::failure::{Failure, NOT_FOUND};
use super::super::look::{Hue, STATES, look};
use super::super::out::Out;
use super::super::table::{self, Painted};
use super::super::{json, text};
use super::Filter;

/// `sentinel job list`.
#[derive(Debug, Args)]
pub(super) struct List {
    #[command(flatten)]
    filter: Filter,
    /// At most so many.
    #[arg(long, value_name = "N", default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..))]
    limit: u32,
    /// All of them.
    #[arg(long, conflicts_with = "limit")]
    all: bool,
}

const PAGE_MAX: u32 = 1_000;

/// Lists jobs.
pub(super) async fn list(list: List, client: &Client, out: &mut Out) -> Result<u8, Failure> {
    let most =
        if list.all { usize::MAX } else { usize::try_from(list.limit).unwrap_or(usize::MAX) };
    let page = if list.all { PAGE_MAX } else { list.limit.min(PAGE_MAX) };
    let page = i32::try_from(page).unwrap_or(i32::MAX);
    let jobs = client.list_all(list.filter.into_proto(), page, JobView::Basic).take(most);
    let mut jobs = std::pin::pin!(jobs);
    if out.json {
        while let Some(job) = jobs.try_next().await? {
            out.object(&json::job(&job))?;
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

pub(super) const HEADER: [&str; 7] = ["ID", "STATE", "QUEUE", "KIND", "ATTEMPT", "AGE", "REMARK"];

/// A job as a row under [`HEADER`].
pub(super) fn row(job: &Job, out: &Out) -> Vec<Painted> {
    let look = look(job.state());
    let spec = job.spec.clone().unwrap_or_default();
    vec![
        job.id.clone().into(),
        Painted::new(look.word, look.hue),
        spec.queue.into(),
        spec.kind.into(),
        job.attempt.to_string().into(),
        text::age(job.created_at.as_ref(), out.now).into(),
        text::remark(job, out.now).into(),
    ]
}

/// Shows jobs, each as the only one.
pub(super) async fn get(ids: Vec<String>, client: &Client, out: &mut Out) -> Result<u8, Failure> {
    if let [id] = &ids[..] {
        show(&client.get(id).await?, out)?;
        return Ok(0);
    }
    let mut code = 0;
    let found = client.batch_get(ids.clone(), JobView::Full).await?;
    for (at, (id, job)) in ids.iter().zip(found).enumerate() {
        match job {
            Some(job) => {
                if at > 0 && !out.json {
                    out.line("")?;
                }
                show(&job, out)?;
            }
            None => {
                code = NOT_FOUND;
                eprintln!("no job has the id {id}");
            }
        }
    }
    Ok(code)
}

fn show(job: &Job, out: &mut Out) -> Result<(), Failure> {
    if out.json {
        return out.object(&json::job(job));
    }
    for (name, text) in details(job, out) {
        out.line(format!("{name:12} {text}"))?;
    }
    Ok(())
}

/// What is known of a job, as names and texts; what is not set is left out.
pub(super) fn details(job: &Job, out: &Out) -> Vec<(&'static str, String)> {
    let look = look(job.state());
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
    let mut rows = vec![
        ("id", job.id.clone()),
        ("state", look.hue.paint(&format!("{} {}", look.mark, look.word), out.colors)),
        ("remark", text::remark(job, out.now)),
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
        ("took", took.map_or(String::new(), text::short)),
        ("progress", text::progress(job.progress.as_ref())),
        ("error", text::one_line(&error)),
        ("payload", blob(&spec.payload, is_json)),
        ("checkpoint", blob(&job.checkpoint, is_json)),
        ("result", blob(&job.result, true)),
    ];
    rows.retain(|(_, text)| !text.is_empty());
    rows
}

/// JSON as JSON; other bytes by their number, since a terminal can not show them.
fn blob(bytes: &[u8], is_json: bool) -> String {
    if bytes.is_empty() {
        return String::new();
    }
    match serde_json::from_slice::<serde_json::Value>(bytes) {
        Ok(value) if is_json => value.to_string(),
        _ => format!("{} bytes, not JSON; --json shows them in base64", bytes.len()),
    }
}

/// Shows log lines as they come.
pub(super) async fn logs(mut lines: LogStream, out: &mut Out) -> Result<u8, Failure> {
    while let Some(line) = lines.try_next().await? {
        if out.json {
            out.object(&json::log_line(&line))?;
        } else {
            out.line(log_text(&line, out.colors))?;
        }
    }
    Ok(0)
}

/// The bytes as they are; as JSON, piece by piece.
pub(super) async fn output(mut pieces: OutputStream, out: &mut Out) -> Result<u8, Failure> {
    while let Some(piece) = pieces.try_next().await? {
        if out.json {
            out.object(&json::output(&piece))?;
        } else {
            out.bytes(&piece.data)?;
        }
    }
    Ok(0)
}

/// `time level text`.
pub(super) fn log_text(line: &LogLine, colors: bool) -> String {
    let (word, hue) = match line.level() {
        LogLevel::Debug => ("DEBUG", Hue::Gray),
        LogLevel::Unspecified | LogLevel::Info => ("INFO", Hue::Green),
        LogLevel::Warn => ("WARN", Hue::Yellow),
        LogLevel::Error => ("ERROR", Hue::Red),
    };
    let time = line.time.as_ref().map_or("-".to_owned(), ToString::to_string);
    format!("{time} {} {}", hue.paint(&format!("{word:5}"), colors), text::one_line(&line.text))
}

/// Counts jobs.
pub(super) async fn counts(
    queues: Vec<String>,
    client: &Client,
    out: &mut Out,
) -> Result<u8, Failure> {
    let counts = client.counts(queues).await?;
    if out.json {
        for one in &counts.queues {
            out.object(&json::counts(one))?;
        }
        return Ok(0);
    }
    let words: Vec<String> = STATES.iter().map(|state| look(*state).word.to_uppercase()).collect();
    let header: Vec<&str> =
        std::iter::once("QUEUE").chain(words.iter().map(String::as_str)).collect();
    let rows = counts.queues.iter().map(counts_row).collect();
    table::write(out, &header, rows)?;
    Ok(0)
}

/// One count per state, in the order of [`STATES`].
pub(super) fn counts_row(counts: &QueueCounts) -> Vec<Painted> {
    let cell = |state| {
        let count = counts.states.iter().find(|count| count.state() == state);
        match count {
            Some(count) if count.capped => {
                Painted::new(format!("{}+", count.count), look(state).hue)
            }
            Some(count) if count.count > 0 => {
                Painted::new(count.count.to_string(), look(state).hue)
            }
            _ => Painted::from("0"),
        }
    };
    std::iter::once(counts.queue.clone().into()).chain(STATES.into_iter().map(cell)).collect()
}

#[cfg(test)]
mod tests;
