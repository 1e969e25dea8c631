//! Pages and counts of jobs.

use sentinel_domain::{Job, JobId, Name, State};

/// The size and the start of a page. Ids descend, so the newest job comes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PageRequest {
    /// The maximum number of jobs, clamped to 1 ..= [`sentinel_domain::limits::PAGE_MAX`].
    pub size: usize,
    /// Only jobs with a lower id: [`Page::next`] of the previous page.
    pub before: Option<JobId>,
}

/// A page of a job list.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Page {
    /// May hold fewer jobs than requested, even none, although `next` is set: a page scans at
    /// most 100,000 candidates and holds about 16 MiB.
    pub jobs: Vec<Job>,
    /// The start of the next page. `None`: this is the last page.
    pub next: Option<JobId>,
}

/// The number of jobs of a queue in one state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QueueCount {
    pub queue: Name,
    pub state: State,
    pub count: u64,
    /// Counting stopped at [`sentinel_domain::limits::COUNT_CAP`]: there are more jobs.
    pub capped: bool,
}
