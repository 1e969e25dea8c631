//! The record of an attempt that did not succeed.

use crate::{JobError, Millis, Name};

/// The end of an attempt that did not succeed, as the history keeps it.
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

/// The outcome of an attempt that did not succeed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AttemptOutcome {
    Failed,
    TimedOut,
    Lost,
    Snoozed,
    Released,
    NotReceived,
    Cancelled,
    /// The lease was revoked when the grace period of a cancel had passed.
    Revoked,
}
