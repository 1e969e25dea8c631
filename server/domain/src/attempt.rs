//! What an attempt leaves in the history when it ends without success.

use crate::{JobError, Millis, Name};

/// One row of the history of attempts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AttemptEnd {
    pub run: u32,
    pub attempt: u32,
    pub epoch: u64,
    pub outcome: AttemptOutcome,
    pub started_at: Option<Millis>,
    pub ended_at: Millis,
    pub worker: Option<Name>,
    pub error: Option<Box<JobError>>,
}

/// How an attempt ended, success apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AttemptOutcome {
    Failed,
    TimedOut,
    Lost,
    Snoozed,
    Released,
    NotReceived,
    Cancelled,
    /// The lease was taken after the grace of a cancel.
    Revoked,
}
