//! What can be asked of the ledger, and the shape of the answers.

use sentinel_domain::{Job, JobId, Millis, Name, State};

/// Which part of a list. Ids descend, so the newest job comes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PageRequest {
    /// How many jobs at the most; taken as 1 ..= [`sentinel_domain::limits::PAGE_MAX`].
    pub size: usize,
    /// Only jobs with a lower id: [`Page::next`] of the page before.
    pub before: Option<JobId>,
}

/// A part of a list.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Page {
    /// May be fewer than asked for, even none, though `next` is there: a page looks at no
    /// more than 100,000 candidates and carries about 16 MiB.
    pub jobs: Vec<Job>,
    /// Where to go on. None: this was the last page.
    pub next: Option<JobId>,
}

/// How many jobs of a queue are in a state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QueueCount {
    pub queue: Name,
    pub state: State,
    pub count: u64,
    /// There are more: counting stopped at [`sentinel_domain::limits::COUNT_CAP`].
    pub capped: bool,
}

/// The low bits of a line's place are its worker's; above them is the epoch, and the whole is
/// no negative number where a database has signed ones only.
const LINE_BITS: u32 = 32;
const LINE_MAX: u64 = u32::MAX as u64;
const EPOCH_MAX: u64 = LINE_MAX >> 1;

/// One line that a handler logged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogRow {
    pub job: JobId,
    pub run: u32,
    pub attempt: u32,
    /// Rises within an attempt, over all its leases: [`LogRow::seq_of`].
    pub seq: u64,
    pub at: Millis,
    pub level: u8,
    pub text: String,
}

/// A place in the logs of a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct LogCursor {
    pub run: u32,
    pub attempt: u32,
    pub seq: u64,
}

impl LogRow {
    /// The place of a worker's line among those of all leases of an attempt. A worker counts
    /// anew under each lease, and an attempt that was snoozed has another one later.
    pub const fn seq_of(epoch: u64, line: u64) -> u64 {
        let line = if line > LINE_MAX { LINE_MAX } else { line };
        (epoch & EPOCH_MAX) << LINE_BITS | line
    }

    /// As its worker counted it.
    pub const fn line(&self) -> u64 {
        self.seq & LINE_MAX
    }

    /// Where the line stands in the logs of its job.
    pub const fn cursor(&self) -> LogCursor {
        LogCursor { run: self.run, attempt: self.attempt, seq: self.seq }
    }
}

/// Where a piece of output goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OutputPosition {
    pub job: JobId,
    pub run: u32,
    pub attempt: u32,
    /// Tells the leases of one attempt apart.
    pub epoch: u64,
    /// Bytes of the lease before the piece.
    pub offset: u64,
}

/// Which output of a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OutputQuery {
    pub job: JobId,
    pub run: u32,
    pub attempt: u32,
    /// Only what came after this [`OutputPiece::place`].
    pub after: Option<(u64, u64)>,
    /// Without `after`: bytes to step over.
    pub offset: u64,
}

/// A piece of the output of one attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OutputPiece {
    /// Where to go on: the epoch of the lease, and the number of the piece.
    pub place: (u64, u64),
    /// Bytes of the lease before these.
    pub offset: u64,
    pub data: Vec<u8>,
}

/// Which lines of a job, in the order of run, attempt and seq.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LogQuery {
    pub job: JobId,
    /// Only this attempt, of every run.
    pub attempt: Option<u32>,
    /// Only lines after this one.
    pub after: Option<LogCursor>,
    /// How many lines at the most; taken as 1 ..= [`sentinel_domain::limits::PAGE_MAX`].
    pub limit: usize,
}
