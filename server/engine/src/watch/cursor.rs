//! The position at which a watch resumes.

use std::fmt;
use std::str::FromStr;

use sentinel_store::{JournalEntry, Position};

use super::watcher::JournalChange;
use crate::EngineError;

/// The position after some events of a journal entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cursor {
    pub(super) entry: Position,
    /// The events of the entry before the position; `usize::MAX` for all of them.
    pub(super) events: usize,
}

impl Cursor {
    pub(super) fn after(entry: Position) -> Self {
        Self { entry, events: usize::MAX }
    }

    pub(super) fn after_event(entry: &JournalEntry, index: usize) -> Self {
        let events = if index + 1 == entry.jobs.len() { usize::MAX } else { index + 1 };
        Self { entry: entry.position, events }
    }

    /// Whether a change is before the position.
    pub(super) fn covers(&self, change: &JournalChange) -> bool {
        let at = change.entry.position;
        at < self.entry || (at == self.entry && change.index < self.events)
    }
}

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.events {
            usize::MAX => write!(f, "{}", self.entry),
            events => write!(f, "{}.{events}", self.entry),
        }
    }
}

impl FromStr for Cursor {
    type Err = EngineError;

    fn from_str(text: &str) -> Result<Self, EngineError> {
        let parse = || {
            let (entry, events) = match text.split_once('.') {
                None => (text, usize::MAX),
                Some((entry, events)) => (entry, events.parse().ok()?),
            };
            Some(Self { entry: entry.parse().ok()?, events })
        };
        parse().ok_or_else(|| EngineError::invalid("cursor", "is not a cursor of a watch"))
    }
}
