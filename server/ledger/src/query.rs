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

/// One line that a handler logged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogRow {
    pub job: JobId,
    pub run: u32,
    pub attempt: u32,
    /// Rises within an attempt. A gap shows lines that were dropped.
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
    /// Where the line stands in the logs of its job.
    pub const fn cursor(&self) -> LogCursor {
        LogCursor { run: self.run, attempt: self.attempt, seq: self.seq }
    }
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
