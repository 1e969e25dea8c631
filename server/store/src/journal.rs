//! The journal: all changes in the order of their commits, for the projector and for watchers.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use bytes::Bytes;
use sentinel_domain::{AttemptEnd, JobId, Millis, Queue, Spec, Status};

use crate::IdempotencyRecord;

/// A position in the journal.
///
/// Sequence numbers are dense within an epoch. A store that was rebuilt or emptied has another
/// epoch. The default position is before the first entry of any epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Position {
    pub epoch: u64,
    pub seq: u64,
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.epoch, self.seq)
    }
}

/// The error of a string that is not a position.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a journal position: use the form <epoch>-<seq>")]
pub struct ParsePositionError(pub String);

impl FromStr for Position {
    type Err = ParsePositionError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let parse = || {
            let (epoch, seq) = text.split_once('-')?;
            Some(Self { epoch: epoch.parse().ok()?, seq: seq.parse().ok()? })
        };
        parse().ok_or_else(|| ParsePositionError(text.to_owned()))
    }
}

/// The journal entry of one commit with durable changes.
#[derive(Clone, Debug, PartialEq)]
pub struct JournalEntry {
    pub position: Position,
    /// The time of the commit.
    pub at: Millis,
    pub jobs: Vec<JobEvent>,
    pub queues: Vec<Queue>,
    pub idempotency_records: Vec<IdempotencyRecord>,
}

/// A job after one change.
#[derive(Clone, Debug, PartialEq)]
pub struct JobEvent {
    pub id: JobId,
    pub status: Status,
    /// Present if the job is new, or if the store has the spec in memory.
    pub spec: Option<Arc<Spec>>,
    /// The encoded spec if the job is new, has a new spec, was retried or was deleted.
    ///
    /// A reopened store gets only live jobs from the ledger, so a retried job brings its spec. A
    /// deleted job may be unknown to every other reader of the journal.
    pub encoded_spec: Option<Bytes>,
    /// Present if the change ended an attempt without success.
    pub attempt_end: Option<AttemptEnd>,
}

/// The result of [`crate::Store::read_journal`].
#[derive(Clone, Debug)]
pub enum JournalPage {
    /// The next entries, in order. Empty at the head.
    Entries(Vec<Arc<JournalEntry>>),
    /// The next entries were trimmed.
    Trimmed,
    /// The position is of another epoch, or after the head.
    OtherEpoch,
}
