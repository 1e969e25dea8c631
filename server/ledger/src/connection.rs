//! The statements that a database backend implements.
//!
//! Each method runs one statement, or a few of the same kind. The logic on top of them is in
//! `queries`, once for all backends.

pub(crate) mod identity;
pub(crate) mod kinds;

use std::collections::VecDeque;

use futures_util::FutureExt;
use sentinel_domain::{AttemptEnd, Job, JobId, Label, Millis, Name, State};
use sentinel_store::{JournalEntry, Position};

use crate::batch::Batch;
use crate::database_error::DatabaseError;
use crate::types::logs::LogRow;

/// The future of a statement. On SQLite it is ready at once.
pub(crate) trait QueryFuture<T>: Future<Output = Result<T, DatabaseError>> + Send {}

impl<T, F: Future<Output = Result<T, DatabaseError>> + Send> QueryFuture<T> for F {}

/// Runs a future of SQLite statements to completion.
pub(crate) fn complete_now<T>(future: impl QueryFuture<T>) -> Result<T, DatabaseError> {
    future.now_or_never().expect("statements on SQLite never wait")
}

/// A sorted range of an index.
#[derive(Clone, Debug)]
pub(crate) enum Source {
    All,
    State(Name, State),
    Kind(Name),
    Label(Label),
}

/// The order in which a range is read, and its bounds.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Direction {
    Ascending {
        after: Option<JobId>,
    },
    /// The ids from `from` on, below `below`.
    Descending {
        from: Option<JobId>,
        below: Option<JobId>,
    },
}

/// The columns of a job that a range contains.
#[derive(Clone, Debug)]
pub(crate) struct Candidate {
    pub(crate) id: JobId,
    pub(crate) queue: Option<Name>,
    pub(crate) kind: Option<Name>,
    pub(crate) state: Option<State>,
}

/// An encoded job.
pub(crate) struct StoredJob {
    pub(crate) status: Vec<u8>,
    pub(crate) spec: Vec<u8>,
}

/// The key of an attempt's log lines and output.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct AttemptKey {
    pub(crate) job: JobId,
    pub(crate) run: i64,
    pub(crate) attempt: i64,
}

/// The key of one lease's output.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct LeaseKey {
    pub(crate) attempt: AttemptKey,
    pub(crate) epoch: i64,
}

/// The size of an attempt's log lines in bytes, and the first sequence number that was not
/// dropped to keep the size limit.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct LogSize {
    pub(crate) bytes: i64,
    pub(crate) first_seq: i64,
}

/// A log line of an attempt.
pub(crate) struct LogLine {
    pub(crate) seq: i64,
    pub(crate) at: Millis,
    pub(crate) level: i32,
    pub(crate) text: String,
}

/// Whether rows are locked until the transaction ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RowLock {
    None,
    ForUpdate,
}

/// The rows that are deleted with a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum DeleteScope {
    /// Every row except log lines and output.
    Job,
    /// The rows that were written from its spec: the job itself and its labels.
    Spec,
}

/// The maximum size of the jobs that one statement reads, unless a single job is larger.
pub(crate) const STORED_BYTES_MAX: usize = 4 << 20;

/// The statements. All statements of a transaction see the same state.
pub(crate) trait Connection: Send {
    /// The number of jobs that one statement reads or deletes: 1 if a statement needs no network
    /// round trip.
    const BATCH_SIZE: usize;

    fn checkpoint(&mut self) -> impl QueryFuture<(Position, Millis)>;
    /// Returns the first queue after `name` that contains a job.
    fn queue_after(&mut self, name: &str) -> impl QueryFuture<Option<Name>>;
    /// Reads the next part of each range. A part shorter than `limit` is the last one.
    fn ranges(
        &mut self,
        ranges: &[(&Source, Direction)],
        limit: usize,
    ) -> impl QueryFuture<Vec<VecDeque<Candidate>>>;
    /// Returns those of the jobs that have a label.
    fn jobs_with_label(&mut self, ids: &[JobId], label: &Label) -> impl QueryFuture<Vec<JobId>>;
    /// Reads the first of the jobs, in the order of `ids`: at least one, and at most
    /// [`Connection::BATCH_SIZE`] or [`STORED_BYTES_MAX`].
    fn stored_jobs(
        &mut self,
        ids: &[JobId],
        lock: RowLock,
    ) -> impl QueryFuture<Vec<Option<StoredJob>>>;
    /// Counts the jobs of a queue in one state; returns `cap` + 1 if there are more than `cap`.
    fn count(&mut self, queue: &str, state: State, cap: Option<u64>) -> impl QueryFuture<u64>;
    /// Returns an upper bound of the number of jobs, if the database has a cheap one.
    fn job_count_upper_bound(&mut self) -> impl QueryFuture<Option<u64>>;
    /// Reads the unique keys that are held beyond `now`: key, holder, end.
    fn held_unique_keys(&mut self, now: Millis) -> impl QueryFuture<Vec<(Vec<u8>, JobId, Millis)>>;
    /// Reads the producer records that expire after `now`, sorted by expiry: id, response,
    /// expiry.
    fn producer_records(&mut self, now: Millis)
    -> impl QueryFuture<Vec<(String, Vec<u8>, Millis)>>;
    /// Reads the encoded queue declarations, sorted by name.
    fn queues(&mut self) -> impl QueryFuture<Vec<Vec<u8>>>;
    /// Reads the failed attempts of a job with an epoch lower than `below`, newest first.
    fn attempts(&mut self, id: JobId, below: i64, limit: i64) -> impl QueryFuture<Vec<AttemptEnd>>;

    /// Moves the checkpoint from `from` to `last`. Returns false if it was not at `from`.
    fn move_checkpoint(&mut self, from: Position, last: &JournalEntry) -> impl QueryFuture<bool>;
    fn delete_expired_unique_keys(&mut self, until: Millis) -> impl QueryFuture<()>;
    fn delete_expired_producer_records(&mut self, until: Millis) -> impl QueryFuture<()>;
    fn write(&mut self, batch: &Batch<'_>) -> impl QueryFuture<()>;
    /// Deletes at most [`Connection::BATCH_SIZE`] jobs. Returns the number of rows deleted.
    fn delete_jobs(&mut self, jobs: &[Job], scope: DeleteScope) -> impl QueryFuture<usize>;

    fn log_size(&mut self, attempt: AttemptKey, lock: RowLock)
    -> impl QueryFuture<Option<LogSize>>;
    /// Returns run and attempt number of the attempts with log lines, ascending, from a run on.
    fn attempts_with_logs(&mut self, job: JobId, run: i64) -> impl QueryFuture<Vec<(i64, i64)>>;
    fn log_lines(
        &mut self,
        attempt: AttemptKey,
        after: i64,
        limit: i64,
    ) -> impl QueryFuture<Vec<LogLine>>;
    /// Returns sequence number and size of the oldest lines.
    fn oldest_lines(
        &mut self,
        attempt: AttemptKey,
        limit: i64,
    ) -> impl QueryFuture<Vec<(i64, i64)>>;
    /// Returns the sequence number of the line after the `offset` oldest ones.
    fn seq_at(&mut self, attempt: AttemptKey, offset: i64) -> impl QueryFuture<Option<i64>>;
    /// Inserts the lines that do not exist yet. Returns their size in bytes.
    fn insert_lines(
        &mut self,
        attempt: AttemptKey,
        lines: &[(i64, &LogRow)],
    ) -> impl QueryFuture<i64>;
    /// Deletes the lines with a sequence number lower than `below`, or all. Returns the number
    /// deleted.
    fn delete_lines(&mut self, attempt: AttemptKey, below: Option<i64>) -> impl QueryFuture<usize>;
    fn put_log_size(&mut self, attempt: AttemptKey, size: LogSize) -> impl QueryFuture<()>;
    fn delete_log_size(&mut self, attempt: AttemptKey) -> impl QueryFuture<()>;

    /// Returns number and end of the last chunk of a lease's output.
    fn output_end(&mut self, lease: LeaseKey) -> impl QueryFuture<Option<(i64, i64)>>;
    /// Inserts a chunk, given its number and its first byte, unless it exists.
    fn insert_output(
        &mut self,
        lease: LeaseKey,
        at: (i64, i64),
        data: &[u8],
    ) -> impl QueryFuture<()>;
    /// Returns the epoch of the newest lease of an attempt that has output.
    fn newest_epoch_with_output(&mut self, attempt: AttemptKey) -> impl QueryFuture<Option<i64>>;
    /// Returns the newest attempt of a run that has output.
    fn last_attempt_with_output(&mut self, job: JobId, run: i64) -> impl QueryFuture<Option<i64>>;
    /// Reads the next chunks after the chunk `after` that end beyond the byte `beyond`: number,
    /// first byte, bytes.
    fn outputs(
        &mut self,
        lease: LeaseKey,
        after: i64,
        beyond: i64,
    ) -> impl QueryFuture<Vec<(i64, i64, Vec<u8>)>>;
    /// Returns the first existing chunk of a job.
    fn first_output(&mut self, job: JobId) -> impl QueryFuture<Option<(LeaseKey, i64)>>;
    /// Deletes the chunks with a number lower than `below`. Returns the number deleted.
    fn delete_outputs(&mut self, lease: LeaseKey, below: i64) -> impl QueryFuture<usize>;
}
