//! Times, ages, payloads and one-line forms of jobs for people.

use std::time::{Duration, SystemTime};

use prost_types::Timestamp;
use sentinel_client::proto::jobs::v1::{Job, JobState, Progress, StateReason};

use super::look::look;

/// The time since `then`, in its largest unit: `3s`, `5m`, `2h`, `4d`. Ahead: `in 5m`.
pub(super) fn age(then: Option<&Timestamp>, now: SystemTime) -> String {
    let Some(then) = then.and_then(|then| SystemTime::try_from(*then).ok()) else {
        return "-".to_owned();
    };
    match now.duration_since(then) {
        Ok(ago) => short(ago),
        Err(ahead) => format!("in {}", short(ahead.duration())),
    }
}

/// A duration in its largest unit.
pub(super) fn short(span: Duration) -> String {
    let seconds = span.as_secs();
    match seconds {
        0 => format!("{}ms", span.as_millis()),
        1..=119 => format!("{seconds}s"),
        120..=7_199 => format!("{}m", seconds / 60),
        7_200..=172_799 => format!("{}h", seconds / 3_600),
        _ => format!("{}d", seconds / 86_400),
    }
}

/// The time between two stamps, where both are known.
pub(super) fn between(from: Option<&Timestamp>, to: Option<&Timestamp>) -> Option<Duration> {
    let from = SystemTime::try_from(*from?).ok()?;
    SystemTime::try_from(*to?).ok()?.duration_since(from).ok()
}

/// `45/100 45% message`; empty where nothing was reported.
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

/// What there is to know besides the state: the error, the reason, the progress, the wait.
pub(super) fn remark(job: &Job, now: SystemTime) -> String {
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
        parts.push(reason_word(job.reason()));
    }
    if let Some(error) = &job.error
        && job.state() != JobState::Succeeded
    {
        parts.push(one_line(&error.message));
    }
    parts.retain(|part| !part.is_empty());
    parts.join("; ")
}

/// `NOT_RETRYABLE` as people say it.
pub(super) fn reason_word(reason: StateReason) -> String {
    let name = reason.as_str_name();
    name.strip_prefix("STATE_REASON_").unwrap_or(name).to_ascii_lowercase().replace('_', " ")
}

/// `id state queue/kind attempt remark` on one line.
pub(super) fn job_line(job: &Job, out: &super::out::Out) -> String {
    let look = look(job.state());
    let spec = job.spec.as_ref();
    let queue = spec.map_or("", |spec| spec.queue.as_str());
    let kind = spec.map_or("", |spec| spec.kind.as_str());
    let state = look.hue.paint(&format!("{:9}", look.word), out.colors);
    let mut line = format!("{} {state} {queue}/{kind} attempt {}", job.id, job.attempt);
    let remark = remark(job, out.now);
    if !remark.is_empty() {
        line.push_str(&format!(" ({remark})"));
    }
    line
}

/// Control characters and line breaks of a message would tear a table or steer a terminal.
pub(super) fn one_line(text: &str) -> String {
    let clean: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    clean.trim().to_owned()
}
