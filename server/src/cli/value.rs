//! Values of flags that are more than a text.

use std::time::{Duration, SystemTime};

use prost_types::Timestamp;

use super::look;
use crate::config::{NotAnAmount, parse_span};
use sentinel_client::proto::jobs::v1::JobState;

/// Why a flag's value is refused.
#[derive(Debug, thiserror::Error)]
pub(super) enum BadValue {
    /// Not `key=value`.
    #[error("expected KEY=VALUE")]
    Pair,
    /// No state.
    #[error(
        "expected one of scheduled, blocked, ready, running, succeeded, failed, cancelled, expired"
    )]
    State,
    /// Neither a time nor a duration.
    #[error(
        "expected a time such as 2026-01-31T12:00:00Z or a duration from now such as 10m ({0})"
    )]
    Moment(#[from] NotAnAmount),
}

/// A point in time, given as such or as a duration from now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Moment {
    At(SystemTime),
    In(Duration),
}

impl Moment {
    /// The point in time.
    pub(super) fn since(self, now: SystemTime) -> SystemTime {
        match self {
            Moment::At(time) => time,
            Moment::In(span) => now + span,
        }
    }
}

/// `2026-01-31T12:00:00Z` or `10m`.
pub(super) fn moment(text: &str) -> Result<Moment, BadValue> {
    let stamp = text.parse::<Timestamp>().ok().and_then(|stamp| SystemTime::try_from(stamp).ok());
    match stamp {
        Some(time) => Ok(Moment::At(time)),
        None => Ok(Moment::In(parse_span(text)?)),
    }
}

/// `key=value`.
pub(super) fn pair(text: &str) -> Result<(String, String), BadValue> {
    let (key, value) = text.split_once('=').ok_or(BadValue::Pair)?;
    if key.is_empty() {
        return Err(BadValue::Pair);
    }
    Ok((key.to_owned(), value.to_owned()))
}

/// A state by its word.
pub(super) fn state(text: &str) -> Result<JobState, BadValue> {
    look::state_of(text).ok_or(BadValue::State)
}
