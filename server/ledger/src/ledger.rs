//! The handle that the rest of the server holds.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use sentinel_broker::{Entry, Position};
use sentinel_domain::{AttemptEnd, Filter, Job, JobId, Millis, Name, Queue, UniqueKey};

use crate::sqlite::{self, Database, Kind};
use crate::{LedgerError, LogQuery, LogRow, Page, PageRequest, QueueCount};

/// How a ledger is opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LedgerOptions {
    /// Connections that read at the same time, per file; at least 1.
    pub readers: usize,
    /// The most that each of the two files may grow to, in bytes. None: the disk.
    pub max_bytes: Option<u64>,
}

impl Default for LedgerOptions {
    fn default() -> Self {
        Self { readers: 4, max_bytes: None }
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
    /// when it is no ledger, [`LedgerError::Unavailable`] when it can not be opened.
    pub async fn open(path: &Path) -> Result<Self, LedgerError> {
        Self::open_with(path, LedgerOptions::default()).await
    }

    /// The same, not with the defaults.
    ///
    /// # Errors
    /// As for [`Ledger::open`].
    pub async fn open_with(path: &Path, options: LedgerOptions) -> Result<Self, LedgerError> {
        let path = checked(path)?;
        let mut logs = path.clone().into_os_string();
        logs.push("-logs");
        Ok(Self {
            history: Database::open(path, Kind::History, options).await?,
            logs: Database::open(logs.into(), Kind::Logs, options).await?,
        })
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
