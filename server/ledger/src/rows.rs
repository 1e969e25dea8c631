//! What a database must be able to do for the ledger. Each call is one statement or a few of
//! one kind; what they are for is decided in `work`, once for all databases.

mod identity;
mod kind;

pub(crate) use identity::IdentityRows;
pub(crate) use kind::KindRows;

use std::collections::VecDeque;

use sentinel_domain::{AttemptEnd, Job, JobId, Label, Millis, Name, State};
use sentinel_store::{JournalEntry, Position};

use crate::LogRow;
use crate::sql::Fault;
use crate::work::batch::Batch;

/// What a call answers, in time. A database in a file answers at once.
pub(crate) trait Answer<T>: Future<Output = Result<T, Fault>> + Send {}

impl<T, F: Future<Output = Result<T, Fault>> + Send> Answer<T> for F {}

/// Runs what was written for any database on one that never waits.
pub(crate) fn at_once<T>(answer: impl Answer<T>) -> Result<T, Fault> {
    futures_util::FutureExt::now_or_never(answer).expect("a file never waits")
}

/// One sorted range of an index.
#[derive(Clone, Debug)]
pub(crate) enum Source {
    All,
    State(Name, State),
    Kind(Name),
    Label(Label),
}

/// Which way through a range, and where to begin.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Direction {
    Rising {
        after: Option<JobId>,
    },
    /// From `from` on and below `below`.
    Falling {
        from: Option<JobId>,
        below: Option<JobId>,
    },
}

/// What a range tells about a job, as far as it had to be read.
#[derive(Clone, Debug)]
pub(crate) struct Candidate {
    pub(crate) id: JobId,
    pub(crate) queue: Option<Name>,
    pub(crate) kind: Option<Name>,
    pub(crate) state: Option<State>,
}

/// A job as it is stored.
pub(crate) struct Stored {
    pub(crate) status: Vec<u8>,
    pub(crate) spec: Vec<u8>,
}

/// Whose log lines or output.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Attempt {
    pub(crate) job: JobId,
    pub(crate) run: i64,
    pub(crate) attempt: i64,
}

/// One lease of an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Leased {
    pub(crate) of: Attempt,
    pub(crate) epoch: i64,
}

/// What the lines of an attempt add up to in bytes, and the first seq that was not dropped
/// for room.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct LogSize {
    pub(crate) bytes: i64,
    pub(crate) first_seq: i64,
}

/// A line without whose it is.
pub(crate) struct Line {
    pub(crate) seq: i64,
    pub(crate) at: Millis,
    pub(crate) level: i32,
    pub(crate) text: String,
}

/// Whether what is read may change before the transaction ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lock {
    Free,
    Held,
}

/// What is deleted of a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Extent {
    /// All that belongs to it but log lines and output.
    All,
    /// What its spec made: its row, its labels.
    Spec,
}

/// What jobs that are read at once may have, unless one alone has more.
pub(crate) const STORED_BYTES: usize = 4 << 20;

/// The statements. All of a transaction see and make one state.
pub(crate) trait Rows: Send {
    /// How many jobs one statement reads or deletes: 1 where a statement costs no way.
    const STEP: usize;

    fn checkpoint(&mut self) -> impl Answer<(Position, Millis)>;
    /// The first queue after a name that a job is in.
    fn queue_after(&mut self, name: &str) -> impl Answer<Option<Name>>;
    /// The next part of each range, in its direction; one with fewer than `limit` is at its
    /// end.
    fn ranges(
        &mut self,
        ranges: &[(&Source, Direction)],
        limit: usize,
    ) -> impl Answer<Vec<VecDeque<Candidate>>>;
    /// Which of the jobs have a label.
    fn labelled(&mut self, ids: &[JobId], label: &Label) -> impl Answer<Vec<JobId>>;
    /// The first of the jobs, in the order asked: at least one, and no more than
    /// [`Rows::STEP`] or [`STORED_BYTES`].
    fn stored(&mut self, ids: &[JobId], lock: Lock) -> impl Answer<Vec<Option<Stored>>>;
    /// How many jobs of a queue are in a state; one over the cap when there are more.
    fn count(&mut self, queue: &str, state: State, cap: Option<u64>) -> impl Answer<u64>;
    /// A number that the jobs can not exceed, where that costs nothing to know.
    fn jobs_at_most(&mut self) -> impl Answer<Option<u64>>;
    fn held_keys(&mut self, now: Millis) -> impl Answer<Vec<(Vec<u8>, JobId, Millis)>>;
    /// Id, answer and end of those whose time is not over, by that end.
    fn producers(&mut self, now: Millis) -> impl Answer<Vec<(String, Vec<u8>, Millis)>>;
    /// Declarations by name.
    fn queues(&mut self) -> impl Answer<Vec<Vec<u8>>>;
    /// The newest first, below an epoch.
    fn attempts(&mut self, id: JobId, below: i64, limit: i64) -> impl Answer<Vec<AttemptEnd>>;

    /// False when the checkpoint is not `from`.
    fn move_checkpoint(&mut self, from: Position, last: &JournalEntry) -> impl Answer<bool>;
    fn drop_keys(&mut self, until: Millis) -> impl Answer<()>;
    fn drop_producers(&mut self, until: Millis) -> impl Answer<()>;
    fn write(&mut self, batch: &Batch<'_>) -> impl Answer<()>;
    /// Deletes jobs; at most [`Rows::STEP`]. Answers how many rows.
    fn delete(&mut self, jobs: &[Job], extent: Extent) -> impl Answer<usize>;

    fn log_size(&mut self, of: Attempt, lock: Lock) -> impl Answer<Option<LogSize>>;
    /// Run and attempt, rising, from a run on.
    fn log_attempts(&mut self, job: JobId, run: i64) -> impl Answer<Vec<(i64, i64)>>;
    fn lines(&mut self, of: Attempt, after: i64, limit: i64) -> impl Answer<Vec<Line>>;
    /// Seq and bytes of the oldest lines.
    fn oldest_lines(&mut self, of: Attempt, limit: i64) -> impl Answer<Vec<(i64, i64)>>;
    /// The seq of the line after the oldest `offset`.
    fn seq_at(&mut self, of: Attempt, offset: i64) -> impl Answer<Option<i64>>;
    /// Adds the lines that are not there; answers their bytes.
    fn put_lines(&mut self, of: Attempt, lines: &[(i64, &LogRow)]) -> impl Answer<i64>;
    /// Deletes the lines below a seq, or all. Answers how many.
    fn drop_lines(&mut self, of: Attempt, below: Option<i64>) -> impl Answer<usize>;
    fn put_log_size(&mut self, of: Attempt, size: LogSize) -> impl Answer<()>;
    fn drop_log_size(&mut self, of: Attempt) -> impl Answer<()>;

    /// The last piece of a lease's output, and where it ends.
    fn output_end(&mut self, of: Leased) -> impl Answer<Option<(i64, i64)>>;
    /// Adds a piece, its number and its first byte given, unless it is there.
    fn put_output(&mut self, of: Leased, at: (i64, i64), data: &[u8]) -> impl Answer<()>;
    /// The epoch of the newest lease of an attempt that has output.
    fn newest_output(&mut self, of: Attempt) -> impl Answer<Option<i64>>;
    /// The newest attempt of a run that has output.
    fn last_with_output(&mut self, job: JobId, run: i64) -> impl Answer<Option<i64>>;
    /// Number, first byte and bytes of the next pieces after one that end beyond a byte.
    fn outputs(
        &mut self,
        of: Leased,
        after: i64,
        beyond: i64,
    ) -> impl Answer<Vec<(i64, i64, Vec<u8>)>>;
    /// The first piece that there is of a job.
    fn first_output(&mut self, job: JobId) -> impl Answer<Option<(Leased, i64)>>;
    /// Deletes the pieces below one. Answers how many.
    fn drop_outputs(&mut self, of: Leased, below: i64) -> impl Answer<usize>;
}
