//! Where a watch resumes.

use std::fmt;
use std::str::FromStr;

use sentinel_store::{Entry, Position};

use crate::EngineError;
use crate::fanout::Live;

/// Where a watch resumes: after an event of an entry of the journal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cursor {
    pub(super) entry: Position,
    /// Events of the entry that were seen.
    pub(super) events: usize,
}

impl Cursor {
    pub(super) fn after(entry: Position) -> Self {
        Self { entry, events: usize::MAX }
    }

    pub(super) fn after_event(entry: &Entry, index: usize) -> Self {
        let events = if index + 1 == entry.jobs.len() { usize::MAX } else { index + 1 };
        Self { entry: entry.position, events }
    }

    pub(super) fn covers(&self, live: &Live) -> bool {
        let at = live.entry.position;
        at < self.entry || (at == self.entry && live.index < self.events)
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
        parse()
            .ok_or_else(|| EngineError::invalid("cursor", "is not a cursor that a watch has sent"))
    }
}
