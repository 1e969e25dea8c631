//! The handle that the rest of the server holds.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use sentinel_broker::{Entry, Position};
use sentinel_domain::{AttemptEnd, Filter, Job, JobId, Millis, Name, Queue, UniqueKey};

use crate::sqlite::{self, Database, Kind};
use crate::{
    Expiry, LedgerError, LogQuery, LogRow, Page, PageRequest, Place, QueueCount, Removed, Stale,
    StalePage,
};

/// How a ledger is opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LedgerOptions {
    /// Connections that read at the same time, per file; at least 1.
    pub readers: usize,
    /// The most that each of the two files may grow to, in bytes. None: the disk.
    pub max_bytes: Option<u64>,
    /// Work in the thread of the caller: for a program of one thread, where a thread beside it
    /// would only blur the order of things. Elsewhere it holds up everything.
    pub is_inline: bool,
}

impl Default for LedgerOptions {
    fn default() -> Self {
        Self { readers: 4, max_bytes: None, is_inline: false }
    }
}

/// The history of every job. Cheap to clone; clones share the files.
///
/// Dropping a future does not undo what it began: a projection or an append that was
/// handed over runs to its end.
#[derive(Clone)]
pub struct Ledger {
    history: Arc<Database>,
    logs: Arc<Database>,
}

impl Ledger {
    /// Opens or creates the file at `path` and `<path>-logs` beside it.
    ///
    /// # Errors
    /// [`LedgerError::NewerFormat`] when a newer version wrote it, [`LedgerError::Damaged`]
    /// when it is no ledger, [`LedgerError::Missing`] when only the ledger is there,
    /// [`LedgerError::Unavailable`] when it can not be opened.
    pub async fn open(path: &Path) -> Result<Self, LedgerError> {
        Self::open_with(path, LedgerOptions::default()).await
    }

    /// The same, not with the defaults.
    ///
    /// # Errors
    /// As for [`Ledger::open`].
    pub async fn open_with(path: &Path, options: LedgerOptions) -> Result<Self, LedgerError> {
        let path = checked(path)?;
        let logs = crate::backup::logs_of(&path);
        let open = |path, kind| Database::open(path, kind, options);
        if path.exists() {
            let history = open(path, Kind::History).await?;
            if !logs.exists() {
                return Err(LedgerError::Missing { path: logs });
            }
            return Ok(Self { history, logs: open(logs, Kind::Logs).await? });
        }
        // In this order, so that a first start that is cut short is not taken for a loss.
        let logs = open(logs, Kind::Logs).await?;
        Ok(Self { history: open(path, Kind::History).await?, logs })
    }

    /// How far the journal has been projected; the default when nothing was.
    ///
    /// # Errors
    /// Only those of the file.
    pub async fn checkpoint(&self) -> Result<Position, LedgerError> {
        self.history.read(sqlite::checkpoint).await
    }

    /// When the last projected entry was committed; 0 when nothing was projected.
    ///
    /// # Errors
    /// Only those of the file.
    pub async fn as_of(&self) -> Result<Millis, LedgerError> {
        self.history.read(sqlite::as_of).await
    }

    /// Records the entries that follow `from`, all or nothing, and answers the new
    /// checkpoint. From `(0, 0)` an entry of any epoch may come first.
    ///
    /// # Errors
    /// [`LedgerError::Superseded`] when the checkpoint is not `from`, [`LedgerError::Gap`]
    /// when the entries do not follow, [`LedgerError::MissingJob`] when an entry changes a
    /// job that no entry created, and those of the file.
    pub async fn project(
        &self,
        from: Position,
        entries: Vec<Arc<Entry>>,
    ) -> Result<Position, LedgerError> {
        self.history.write(move |connection| sqlite::project(connection, from, &entries)).await
    }

    /// The jobs in the order asked; none where the ledger has no such job.
    ///
    /// # Errors
    /// Only those of the file.
    pub async fn get(&self, ids: Vec<JobId>) -> Result<Vec<Option<Job>>, LedgerError> {
        self.history.read(move |connection| sqlite::get(connection, &ids)).await
    }

    /// A page of the jobs of a filter, newest first.
    ///
    /// # Errors
    /// Only those of the file.
    pub async fn list(&self, filter: Filter, request: PageRequest) -> Result<Page, LedgerError> {
        self.history.read(move |connection| sqlite::list(connection, &filter, request)).await
    }

    /// How many jobs are in each state, sorted by queue and state, zeroes left out. No
    /// queues: all.
    ///
    /// # Errors
    /// Only those of the file.
    pub async fn counts(&self, queues: Vec<Name>) -> Result<Vec<QueueCount>, LedgerError> {
        self.history.read(move |connection| sqlite::counts(connection, queues)).await
    }

    /// At most `limit` jobs that are not final, by rising id, after `after`. Fewer than
    /// `limit` means that these were the last.
    ///
    /// # Errors
    /// Only those of the file.
    pub async fn live(&self, after: Option<JobId>, limit: usize) -> Result<Vec<Job>, LedgerError> {
        self.history.read(move |connection| sqlite::live(connection, after, limit)).await
    }

    /// Every declared queue, by name.
    ///
    /// # Errors
    /// Only those of the file.
    pub async fn queues(&self) -> Result<Vec<Queue>, LedgerError> {
        self.history.read(sqlite::queues).await
    }

    /// Unique keys with a time of their own that is not over at `now`: key, holder, end.
    ///
    /// # Errors
    /// Only those of the file.
    pub async fn held_keys(
        &self,
        now: Millis,
    ) -> Result<Vec<(UniqueKey, JobId, Millis)>, LedgerError> {
        self.history.read(move |connection| sqlite::held_keys(connection, now)).await
    }

    /// The attempts of a job that ended without success, oldest first; of more than
    /// [`sentinel_domain::limits::PAGE_MAX`] the newest.
    ///
    /// # Errors
    /// Only those of the file.
    pub async fn attempts(&self, id: JobId) -> Result<Vec<AttemptEnd>, LedgerError> {
        self.history.read(move |connection| sqlite::attempts(connection, id)).await
    }

    /// Records log lines, all or nothing. A line that is there is left as it is. Beyond
    /// [`sentinel_domain::limits::LOG_ATTEMPT_BYTES`] an attempt loses its oldest lines.
    ///
    /// # Errors
    /// Only those of the file.
    pub async fn append_logs(&self, rows: Vec<LogRow>) -> Result<(), LedgerError> {
        self.logs.write(move |connection| sqlite::append_logs(connection, &rows)).await
    }

    /// Log lines of a job, in order.
    ///
    /// # Errors
    /// Only those of the file.
    pub async fn read_logs(&self, query: LogQuery) -> Result<Vec<LogRow>, LedgerError> {
        self.logs.read(move |connection| sqlite::read_logs(connection, query)).await
    }

    /// What the log lines of an attempt add up to, in bytes of text.
    ///
    /// # Errors
    /// Only those of the file.
    pub async fn log_bytes(&self, job: JobId, run: u32, attempt: u32) -> Result<u64, LedgerError> {
        self.logs.read(move |connection| sqlite::log_bytes(connection, job, run, attempt)).await
    }

    /// Finished jobs that are old enough to go, in the order of queue, state and id. Looks at
    /// no more than `looks` of them; the page says where to go on.
    ///
    /// # Errors
    /// Only those of the file.
    pub async fn expired(
        &self,
        expiry: Expiry,
        from: Option<Place>,
        looks: usize,
    ) -> Result<StalePage, LedgerError> {
        let expired = move |connection: &mut _| {
            sqlite::expired(connection, expiry, from.as_ref(), looks.max(1))
        };
        self.history.read(expired).await
    }

    /// Queues with more than `max` finished jobs, and by how many.
    ///
    /// # Errors
    /// Only those of the file.
    pub async fn overfull(&self, max: u64) -> Result<Vec<(Name, u64)>, LedgerError> {
        self.history.read(move |connection| sqlite::overfull(connection, max)).await
    }

    /// Those of the next `limit` finished jobs of a queue after `after` that may go, the
    /// oldest first, and where to go on; None at the end of the queue.
    ///
    /// # Errors
    /// Only those of the file.
    pub async fn oldest_finished(
        &self,
        queue: Name,
        expiry: Expiry,
        after: Option<JobId>,
        limit: usize,
    ) -> Result<(Vec<Stale>, Option<JobId>), LedgerError> {
        let oldest =
            move |connection: &mut _| sqlite::oldest(connection, &queue, expiry, after, limit);
        self.history.read(oldest).await
    }

    /// Deletes jobs with their labels and attempts, where they are as they were looked at.
    /// One transaction of a bounded size: it may leave some of them to the next one. The
    /// log lines go first, by [`Ledger::remove_logs`]: nobody could find them later.
    ///
    /// # Errors
    /// Only those of the file.
    pub async fn remove(&self, stale: Vec<Stale>) -> Result<Removed, LedgerError> {
        self.history.write(move |connection| sqlite::remove(connection, &stale)).await
    }

    /// Deletes log lines of jobs, a bounded number. Answers how many of the jobs, from the
    /// first on, have none left.
    ///
    /// # Errors
    /// Only those of the file.
    pub async fn remove_logs(&self, ids: Vec<JobId>) -> Result<usize, LedgerError> {
        self.logs.write(move |connection| sqlite::remove_logs(connection, &ids)).await
    }
}

/// An absolute path that SQLite takes literally: a name such as `file:x` would be read as
/// a URI.
fn checked(path: &Path) -> Result<PathBuf, LedgerError> {
    let wrong = |message: String| LedgerError::Unavailable { path: path.to_owned(), message };
    let absolute = std::path::absolute(path).map_err(|error| wrong(error.to_string()))?;
    if absolute.to_str().is_none() {
        return Err(wrong("the path is not UTF-8".to_owned()));
    }
    Ok(absolute)
}
