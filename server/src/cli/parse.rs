//! Parsers of flag values.

use std::time::{Duration, SystemTime};

use prost_types::Timestamp;
use sentinel_client::proto::jobs::v1::JobState;

use super::state_style::state_by_name;
use crate::config::{UnitError, parse_duration};

/// Why the value of a flag is invalid.
#[derive(Debug, thiserror::Error)]
pub(super) enum ParseError {
    #[error("expected KEY=VALUE")]
    KeyValue,
    #[error(
        "expected one of scheduled, blocked, ready, running, succeeded, failed, cancelled, expired"
    )]
    State,
    #[error(
        "expected a time such as 2026-01-31T12:00:00Z or a duration from now such as 10m ({0})"
    )]
    Time(#[from] UnitError),
}

/// A point in time, absolute or relative to now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum TimeArg {
    At(SystemTime),
    FromNow(Duration),
}

impl TimeArg {
    /// Returns the absolute time.
    pub(super) fn resolve(self, now: SystemTime) -> SystemTime {
        match self {
            TimeArg::At(time) => time,
            TimeArg::FromNow(duration) => now + duration,
        }
    }
}

/// Parses an RFC 3339 time (`2026-01-31T12:00:00Z`) or a duration from now (`10m`).
pub(super) fn time(text: &str) -> Result<TimeArg, ParseError> {
    let timestamp = text.parse::<Timestamp>().ok();
    match timestamp.and_then(|timestamp| SystemTime::try_from(timestamp).ok()) {
        Some(time) => Ok(TimeArg::At(time)),
        None => Ok(TimeArg::FromNow(parse_duration(text)?)),
    }
}

/// Parses `key=value`. The value may contain `=` and may be empty.
pub(super) fn key_value(text: &str) -> Result<(String, String), ParseError> {
    let (key, value) = text.split_once('=').ok_or(ParseError::KeyValue)?;
    if key.is_empty() {
        return Err(ParseError::KeyValue);
    }
    Ok((key.to_owned(), value.to_owned()))
}

/// Parses the name of a job state.
pub(super) fn state(text: &str) -> Result<JobState, ParseError> {
    state_by_name(text).ok_or(ParseError::State)
}
