//! Log lines.

use sentinel_domain::{JobId, Millis};

/// The low 32 bits of a sequence number hold the line number, the 31 bits above hold the lease
/// epoch. The sign bit stays clear because the databases have signed integers only.
const LINE_BITS: u32 = 32;
const LINE_MAX: u64 = u32::MAX as u64;
const EPOCH_MAX: u64 = LINE_MAX >> 1;

/// A line that a handler logged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogRow {
    pub job: JobId,
    pub run: u32,
    pub attempt: u32,
    /// Increases within an attempt, across all of its leases. See [`LogRow::seq_of`].
    pub seq: u64,
    pub at: Millis,
    pub level: u8,
    pub text: String,
}

/// The position of a line in the logs of a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct LogCursor {
    pub run: u32,
    pub attempt: u32,
    pub seq: u64,
}

impl LogRow {
    /// Returns the sequence number of a line within its attempt. A worker restarts its line
    /// numbers under each lease, and a snoozed attempt gets another lease later.
    pub const fn seq_of(epoch: u64, line: u64) -> u64 {
        let line = if line > LINE_MAX { LINE_MAX } else { line };
        (epoch & EPOCH_MAX) << LINE_BITS | line
    }

    /// Returns the line number that the worker assigned.
    pub const fn line(&self) -> u64 {
        self.seq & LINE_MAX
    }

    /// Returns the position of the line in the logs of its job.
    pub const fn cursor(&self) -> LogCursor {
        LogCursor { run: self.run, attempt: self.attempt, seq: self.seq }
    }
}

/// A selection of a job's lines, in the order of run, attempt and sequence number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LogQuery {
    pub job: JobId,
    /// Only lines of this attempt number, in every run.
    pub attempt: Option<u32>,
    /// Only lines after this one.
    pub after: Option<LogCursor>,
    /// The maximum number of lines, clamped to 1 ..= [`sentinel_domain::limits::PAGE_MAX`].
    pub limit: usize,
}
