//! The journal: every change in the order of commit, for the ledger and for watchers.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use bytes::Bytes;
use sentinel_domain::{AttemptEnd, JobId, Millis, Queue, Spec, Status};

use crate::IdempotencyRecord;

/// A place in the journal. Sequence numbers are dense within an epoch; a store that was
/// rebuilt or emptied has another epoch. The default is before the first entry of any epoch.
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

/// A text that is not a position.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a journal position: <epoch>-<seq>")]
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

/// One group commit that changed something durable.
#[derive(Clone, Debug, PartialEq)]
pub struct JournalEntry {
    pub position: Position,
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
    /// There when the job is new, and where the store has it at hand.
    pub spec: Option<Arc<Spec>>,
    /// The encoded spec of a job that is new, that has another spec, that a retry brought back from its end, or that is
    /// deleted. The ledger may know the job: it hands only live ones to a store that starts. And
    /// of a deleted one nobody else may know any more who was told of it.
    pub encoded_spec: Option<Bytes>,
    /// How an attempt ended, when this change ended one without success.
    pub attempt_end: Option<AttemptEnd>,
}

/// What follows a position.
#[derive(Clone, Debug)]
pub enum JournalPage {
    /// In order; empty at the head.
    Entries(Vec<Arc<JournalEntry>>),
    /// The entries right after the position are gone.
    Trimmed,
    /// The position is of another epoch, or after the head.
    OtherEpoch,
}
