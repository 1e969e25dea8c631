//! Formats times, durations, progress and jobs for people.

use super::terminal::one_line;
use std::time::{Duration, SystemTime};

use prost_types::Timestamp;
use sentinel_client::proto::jobs::v1::{Job, JobState, LogLevel, LogLine, Progress, StateReason};

use super::output::Output;
use super::state_style::{TextColor, style};

/// Returns the time since `then` in its largest unit (`3s`, `5m`, `2h`, `4d`), `in 5m` for a
/// future time, and `-` without one.
pub(super) fn age(then: Option<&Timestamp>, now: SystemTime) -> String {
    let Some(then) = then.and_then(|then| SystemTime::try_from(*then).ok()) else {
        return "-".to_owned();
    };
    match now.duration_since(then) {
        Ok(age) => short_duration(age),
        Err(ahead) => format!("in {}", short_duration(ahead.duration())),
    }
}

/// Returns a duration in its largest unit, rounded down.
pub(super) fn short_duration(duration: Duration) -> String {
    let seconds = duration.as_secs();
    match seconds {
        0 => format!("{}ms", duration.as_millis()),
        1..=119 => format!("{seconds}s"),
        120..=7_199 => format!("{}m", seconds / 60),
        7_200..=172_799 => format!("{}h", seconds / 3_600),
        _ => format!("{}d", seconds / 86_400),
    }
}

/// Returns the time between two timestamps, when both are set.
pub(super) fn between(from: Option<&Timestamp>, to: Option<&Timestamp>) -> Option<Duration> {
    let from = SystemTime::try_from(*from?).ok()?;
    SystemTime::try_from(*to?).ok()?.duration_since(from).ok()
}

/// Returns progress as `45/100 45% message`, or an empty string without any.
pub(super) fn progress(progress: Option<&Progress>) -> String {
    let Some(progress) = progress else { return String::new() };
    let mut parts = Vec::new();
    if progress.total > 0 {
        let percent = u128::from(progress.done) * 100 / u128::from(progress.total);
        parts.push(format!("{}/{} {percent}%", progress.done, progress.total));
    } else if progress.done > 0 {
        parts.push(progress.done.to_string());
    }
    if !progress.message.is_empty() {
        parts.push(one_line(&progress.message));
    }
    parts.join(" ")
}

/// Returns what explains the state of a job: when it starts, what it waits for, its progress,
/// the reason and the error.
pub(super) fn details(job: &Job, now: SystemTime) -> String {
    let mut parts = Vec::new();
    match job.state() {
        JobState::Scheduled if job.ready_at.is_some() => {
            parts.push(format!("starts {}", age(job.ready_at.as_ref(), now)));
        }
        JobState::Blocked => parts.push(format!("waits for {} jobs", job.pending_dependencies)),
        JobState::Running => {
            if job.cancel_requested {
                parts.push("cancel requested".to_owned());
            }
            parts.push(progress(job.progress.as_ref()));
        }
        _ => {}
    }
    if job.reason() != StateReason::Unspecified && job.reason() != StateReason::HandlerError {
        parts.push(reason(job.reason()));
    }
    if let Some(error) = &job.error
        && job.state() != JobState::Succeeded
    {
        parts.push(one_line(&error.message));
    }
    parts.retain(|part| !part.is_empty());
    parts.join("; ")
}

/// Returns a reason in words, such as `not retryable`.
fn reason(reason: StateReason) -> String {
    let name = reason.as_str_name();
    name.strip_prefix("STATE_REASON_").unwrap_or(name).to_ascii_lowercase().replace('_', " ")
}

/// Returns a job on one line: `ID STATE QUEUE/KIND attempt N (DETAILS)`.
pub(super) fn job_line(job: &Job, out: &Output) -> String {
    let style = style(job.state());
    let spec = job.spec.as_ref();
    let queue = spec.map_or("", |spec| spec.queue.as_str());
    let kind = spec.map_or("", |spec| spec.kind.as_str());
    let state = style.color.paint(&format!("{:9}", style.name), out.colors);
    let mut line = format!("{} {state} {queue}/{kind} attempt {}", job.id, job.attempt);
    let details = details(job, out.now);
    if !details.is_empty() {
        line.push_str(&format!(" ({details})"));
    }
    line
}

/// Returns a log line as `TIME LEVEL TEXT`.
pub(super) fn log_line(line: &LogLine, colors: bool) -> String {
    let (level, color) = match line.level() {
        LogLevel::Debug => ("DEBUG", TextColor::Gray),
        LogLevel::Unspecified | LogLevel::Info => ("INFO", TextColor::Green),
        LogLevel::Warn => ("WARN", TextColor::Yellow),
        LogLevel::Error => ("ERROR", TextColor::Red),
    };
    let time = line.time.as_ref().map_or("-".to_owned(), ToString::to_string);
    format!("{time} {} {}", color.paint(&format!("{level:5}"), colors), one_line(&line.text))
}
