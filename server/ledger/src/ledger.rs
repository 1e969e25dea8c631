//! The handle that the rest of the server holds.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use diesel::SqliteConnection;
use sentinel_domain::limits::{KEYS_MAX, KINDS_MAX, PAYLOAD_MAX_BYTES};
use sentinel_domain::{
    ApiKey, AttemptEnd, AuditEntry, Filter, Job, JobId, KeyId, Millis, Name, Queue, UniqueKey,
};
use sentinel_store::{JournalEntry, IdempotencyRecord, Position};

use crate::mysql::{self, MigrationReport, MigrationMode, Server, within};
use crate::rows::at_once;
use crate::sqlite::{Database, Kind};
use crate::{
    RetentionCutoffs, PutKeyResult, ApiKeySnapshot, KnownKind, LedgerError, LogQuery, LogRow, OutputPiece, OutputPosition,
    OutputQuery, Page, PageRequest, RetentionCursor, QueueCount, RemovalResult, RemovableJob, RemovablePage, work,
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
    pub run_inline: bool,
    /// The largest payload of a job, in bytes. A database server must take it in one piece.
    pub max_payload_bytes: u64,
    /// Reach a database that a move has not filled yet, too. Only the move itself does.
    pub allow_unfinished_import: bool,
}

impl Default for LedgerOptions {
    fn default() -> Self {
        Self {
            readers: 4,
            max_bytes: None,
            run_inline: false,
            max_payload_bytes: PAYLOAD_MAX_BYTES,
            allow_unfinished_import: false,
        }
    }
}

/// The history of every job. Cheap to clone; clones share the files or the connections.
///
/// Dropping a future does not undo what it began in a file: a projection or an append that was
/// handed over runs to its end. On a database server it may be undone or not; either is whole.
#[derive(Clone)]
pub struct Ledger {
    pub(crate) home: Home,
}

/// Where the rows are.
#[derive(Clone)]
pub(crate) enum Home {
    Files { history: Arc<Database>, logs: Arc<Database> },
    Server(Arc<Server>),
}

/// Runs a piece of work where the rows are: in a thread that may block on a file, or over a
/// connection to a server, again where another server was in the way.
macro_rules! ask {
    ($self:ident.$file:ident.$access:ident, |$rows:ident| $work:expr) => {
        match &$self.home {
            Home::Files { $file, .. } => {
                $file.$access(move |$rows: &mut SqliteConnection| at_once($work)).await
            }
            Home::Server(server) => {
                let mut turn = server.$access();
                let limit = turn.limit();
                loop {
                    let $rows = turn.begin().await?;
                    let done = within(limit, $work).await;
                    if let Some(done) = turn.end(done).await {
                        break done;
                    }
                }
            }
        }
    };
}

impl Ledger {
    /// Opens or creates the file at `path` and `<path>-logs` beside it.
    ///
    /// # Errors
    /// [`LedgerError::NewerFormat`] when a newer version wrote it, [`LedgerError::Damaged`]
    /// when it is no ledger, [`LedgerError::MissingLogs`] when only the ledger is there,
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
                return Err(LedgerError::MissingLogs { path: logs });
            }
            let logs = open(logs, Kind::Logs).await?;
            return Ok(Self { home: Home::Files { history, logs } });
        }
        // In this order, so that a first start that is cut short is not taken for a loss.
        let logs = open(logs, Kind::Logs).await?;
        let history = open(path, Kind::History).await?;
        Ok(Self { home: Home::Files { history, logs } })
    }

    /// Reaches the database of `mysql://user:password@host:port/database`, on MySQL 8 or
    /// MariaDB 10.11, which other servers may use at the same time. Never changes its format.
    ///
    /// # Errors
    /// [`LedgerError::OlderFormat`] until [`Ledger::migrate`] was run,
    /// [`LedgerError::NewerFormat`] when only a newer version can work on it,
    /// [`LedgerError::ImportInProgress`] while a move fills it,
    /// [`LedgerError::Misconfigured`] when the URL or a setting of the server does not fit,
    /// [`LedgerError::Unavailable`] when it can not be reached within some seconds.
    pub async fn connect(url: &str, options: LedgerOptions) -> Result<Self, LedgerError> {
        Ok(Self { home: Home::Server(Server::connect(url, options).await?) })
    }

    /// Brings such a database to the format of this version, or only tells what would be done.
    /// Of several at the same time one does it, the others wait and find it done.
    ///
    /// # Errors
    /// As for [`Ledger::connect`], but for an older format.
    pub async fn migrate(url: &str, state: MigrationMode) -> Result<MigrationReport, LedgerError> {
        mysql::migrate(url, state).await
    }

    /// How far the journal has been projected; the default when nothing was.
    ///
    /// # Errors
    /// Only those of the file.
    pub async fn checkpoint(&self) -> Result<Position, LedgerError> {
        ask!(self.history.read, |rows| work::checkpoint(rows))
    }

    /// When the last projected entry was committed; 0 when nothing was projected.
    ///
    /// # Errors
    /// Only those of the file.
    pub async fn as_of(&self) -> Result<Millis, LedgerError> {
        ask!(self.history.read, |rows| work::as_of(rows))
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
        entries: Vec<Arc<JournalEntry>>,
    ) -> Result<Position, LedgerError> {
        // The log lines of a deleted job go first: nobody could find them later.
        let mut gone = work::deleted(&entries);
        while !gone.is_empty() {
            let done = self.remove_attempt_data(gone.clone()).await?;
            gone.drain(..done);
        }
        ask!(self.history.write, |rows| work::project(rows, from, &entries))
    }

    /// The jobs in the order asked; none where the ledger has no such job.
    ///
    /// # Errors
    /// Only those of the file.
    pub async fn get(&self, ids: Vec<JobId>) -> Result<Vec<Option<Job>>, LedgerError> {
        ask!(self.history.read, |rows| work::get(rows, &ids))
    }

    /// A page of the jobs of a filter, newest first.
    ///
    /// # Errors
    /// Only those of the file.
    pub async fn list(&self, filter: Filter, request: PageRequest) -> Result<Page, LedgerError> {
        ask!(self.history.read, |rows| work::list(rows, &filter, request))
    }

    /// How many jobs match a filter. Looks at no more than `looks`; true when there may be more.
    ///
    /// # Errors
    /// Only those of the file.
    pub async fn count_matching(&self, filter: Filter, looks: usize) -> Result<(u64, bool), LedgerError> {
        ask!(self.history.read, |rows| work::matching(rows, &filter, looks))
    }

    /// How many jobs are in each state, sorted by queue and state, zeroes left out. No
    /// queues: all.
    ///
    /// # Errors
    /// Only those of the file.
    pub async fn count_by_state(&self, queues: Vec<Name>) -> Result<Vec<QueueCount>, LedgerError> {
        ask!(self.history.read, |rows| work::counts(rows, &queues))
    }

    /// How many jobs of some queues ended, sorted by queue and state, zeroes left out.
    ///
    /// # Errors
    /// Only those of the file.
    pub async fn count_terminal(&self, queues: Vec<Name>) -> Result<Vec<QueueCount>, LedgerError> {
        ask!(self.history.read, |rows| work::finals(rows, &queues))
    }

    /// At most `limit` jobs that are not final, by rising id, after `after`. Fewer than
    /// `limit` means that these were the last.
    ///
    /// # Errors
    /// Only those of the file.
    pub async fn live_jobs(&self, after: Option<JobId>, limit: usize) -> Result<Vec<Job>, LedgerError> {
        ask!(self.history.read, |rows| work::live(rows, after, limit))
    }

    /// Every declared queue, by name.
    ///
    /// # Errors
    /// Only those of the file.
    pub async fn queues(&self) -> Result<Vec<Queue>, LedgerError> {
        ask!(self.history.read, |rows| work::queues(rows))
    }

    /// Unique keys with a time of their own that is not over at `now`: key, holder, end.
    ///
    /// # Errors
    /// Only those of the file.
    pub async fn held_unique_keys(
        &self,
        now: Millis,
    ) -> Result<Vec<(UniqueKey, JobId, Millis)>, LedgerError> {
        ask!(self.history.read, |rows| work::held_keys(rows, now))
    }

    /// Where producers stand, of those that are remembered beyond `now`.
    ///
    /// # Errors
    /// Only those of the file.
    pub async fn producer_records(&self, now: Millis) -> Result<Vec<IdempotencyRecord>, LedgerError> {
        ask!(self.history.read, |rows| work::producers(rows, now))
    }

    /// The attempts of a job that ended without success, newest first: those below an epoch,
    /// at most `limit` and [`sentinel_domain::limits::PAGE_MAX`].
    ///
    /// # Errors
    /// Only those of the file.
    pub async fn attempts(
        &self,
        id: JobId,
        below: Option<u64>,
        limit: usize,
    ) -> Result<Vec<AttemptEnd>, LedgerError> {
        ask!(self.history.read, |rows| work::attempts(rows, id, below, limit))
    }

    /// Records log lines, all or nothing. A line that is there is left as it is. Beyond
    /// [`sentinel_domain::limits::LOG_ATTEMPT_BYTES`] an attempt loses its oldest lines.
    ///
    /// # Errors
    /// Only those of the file.
    pub async fn append_logs(&self, lines: Vec<LogRow>) -> Result<(), LedgerError> {
        ask!(self.logs.write, |rows| work::append_logs(rows, &lines))
    }

    /// Log lines of a job, in order.
    ///
    /// # Errors
    /// Only those of the file.
    pub async fn read_logs(&self, query: LogQuery) -> Result<Vec<LogRow>, LedgerError> {
        ask!(self.logs.read, |rows| work::read_logs(rows, query))
    }

    /// What the log lines of an attempt add up to, in bytes of text.
    ///
    /// # Errors
    /// Only those of the file.
    pub async fn log_bytes(&self, job: JobId, run: u32, attempt: u32) -> Result<u64, LedgerError> {
        ask!(self.logs.read, |rows| work::log_bytes(rows, job, run, attempt))
    }

    /// Records a piece of output where it goes on from what is there. Answers the bytes of its
    /// lease that are there afterwards: more or fewer than the piece ends at when it does not
    /// go on there, or when it would go beyond
    /// [`sentinel_domain::limits::OUTPUT_ATTEMPT_BYTES`].
    ///
    /// # Errors
    /// Only those of the file.
    pub async fn append_output(&self, at: OutputPosition, data: Bytes) -> Result<u64, LedgerError> {
        ask!(self.logs.write, |rows| work::append_output(rows, &at, &data))
    }

    /// The next output of an attempt, about 1 MiB: that of its newest lease.
    ///
    /// # Errors
    /// Only those of the file.
    pub async fn read_output(&self, query: OutputQuery) -> Result<Vec<OutputPiece>, LedgerError> {
        ask!(self.logs.read, |rows| work::read_output(rows, query))
    }

    /// The newest attempt of a run that left output.
    ///
    /// # Errors
    /// Only those of the file.
    pub async fn last_attempt_with_output(&self, job: JobId, run: u32) -> Result<Option<u32>, LedgerError> {
        ask!(self.logs.read, |rows| work::last_with_output(rows, job, run))
    }

    /// Finished jobs that are old enough to go, in the order of queue, state and id. Looks at
    /// no more than `looks` of them; the page says where to go on.
    ///
    /// # Errors
    /// Only those of the file.
    pub async fn removable_jobs(
        &self,
        expiry: RetentionCutoffs,
        from: Option<RetentionCursor>,
        looks: usize,
    ) -> Result<RemovablePage, LedgerError> {
        let looks = looks.max(1);
        ask!(self.history.read, |rows| work::expired(rows, expiry, from.as_ref(), looks))
    }

    /// Queues with more than `max` finished jobs, and by how many.
    ///
    /// # Errors
    /// Only those of the file.
    pub async fn queues_over_limit(&self, max: u64) -> Result<Vec<(Name, u64)>, LedgerError> {
        ask!(self.history.read, |rows| work::overfull(rows, max))
    }

    /// Those of the next `limit` finished jobs of a queue after `after` that may go, the
    /// oldest first, and where to go on; None at the end of the queue.
    ///
    /// # Errors
    /// Only those of the file.
    pub async fn oldest_removable(
        &self,
        queue: Name,
        expiry: RetentionCutoffs,
        after: Option<JobId>,
        limit: usize,
    ) -> Result<(Vec<RemovableJob>, Option<JobId>), LedgerError> {
        ask!(self.history.read, |rows| work::oldest(rows, &queue, expiry, after, limit))
    }

    /// Deletes jobs with their labels and attempts, where they are as they were looked at.
    /// One transaction of a bounded size: it may leave some of them to the next one. The
    /// log lines go first, by [`Ledger::remove_logs`]: nobody could find them later.
    ///
    /// # Errors
    /// Only those of the file.
    pub async fn remove_jobs(&self, stale: Vec<RemovableJob>) -> Result<RemovalResult, LedgerError> {
        ask!(self.history.write, |rows| work::remove(rows, &stale))
    }

    /// Deletes log lines and output of jobs, a bounded number. Answers how many of the jobs, from the
    /// first on, have none left.
    ///
    /// # Errors
    /// Only those of the file.
    pub async fn remove_attempt_data(&self, ids: Vec<JobId>) -> Result<usize, LedgerError> {
        ask!(self.logs.write, |rows| work::remove_logs(rows, &ids))
    }

    /// All keys, unless nothing changed since [`ApiKeySnapshot::seq`] of an answer before.
    ///
    /// # Errors
    /// Only those of the file.
    pub async fn api_keys(&self, known: Option<u64>) -> Result<Option<ApiKeySnapshot>, LedgerError> {
        ask!(self.history.read, |rows| work::keys(rows, known))
    }

    /// Adds a key.
    ///
    /// # Errors
    /// Only those of the file.
    pub async fn put_api_key(&self, key: ApiKey) -> Result<PutKeyResult, LedgerError> {
        ask!(self.history.write, |rows| work::put_key(rows, &key, KEYS_MAX))
    }

    /// Revokes a key, unless it is; answers it, or none when there is no such key.
    ///
    /// # Errors
    /// Only those of the file.
    pub async fn revoke_api_key(&self, id: KeyId, at: Millis) -> Result<Option<ApiKey>, LedgerError> {
        ask!(self.history.write, |rows| work::revoke_key(rows, id, at))
    }

    /// Notes when keys were used last.
    ///
    /// # Errors
    /// Only those of the file.
    pub async fn touch_api_keys(&self, used: Vec<(KeyId, Millis)>) -> Result<(), LedgerError> {
        ask!(self.history.write, |rows| work::touch_keys(rows, &used))
    }

    /// Takes in what workers declare; the words of a session that began later stay.
    ///
    /// # Errors
    /// Only those of the file.
    pub async fn declare_kinds(&self, kinds: Vec<KnownKind>) -> Result<(), LedgerError> {
        ask!(self.history.write, |rows| work::declare_kinds(rows, &kinds, KINDS_MAX))
    }

    /// Notes that live workers have kinds.
    ///
    /// # Errors
    /// Only those of the file.
    pub async fn touch_kinds(&self, names: Vec<Name>, at: Millis) -> Result<(), LedgerError> {
        ask!(self.history.write, |rows| work::see_kinds(rows, &names, at))
    }

    /// Forgets kinds that no worker had since a time.
    ///
    /// # Errors
    /// Only those of the file.
    pub async fn delete_unseen_kinds(&self, before: Millis) -> Result<(), LedgerError> {
        ask!(self.history.write, |rows| work::drop_unseen_kinds(rows, before))
    }

    /// Kinds by name, behind one.
    ///
    /// # Errors
    /// Only those of the file.
    pub async fn kinds(&self, after: String, limit: usize) -> Result<Vec<KnownKind>, LedgerError> {
        ask!(self.history.read, |rows| work::kinds(rows, &after, limit))
    }

    /// One kind.
    ///
    /// # Errors
    /// Only those of the file.
    pub async fn kind(&self, name: String) -> Result<Option<KnownKind>, LedgerError> {
        ask!(self.history.read, |rows| work::kind(rows, &name))
    }

    /// Adds to the audit trail. A repeat adds nothing twice.
    ///
    /// # Errors
    /// Only those of the file.
    pub async fn append_audit(&self, entries: Vec<AuditEntry>) -> Result<(), LedgerError> {
        ask!(self.history.write, |rows| work::put_audit(rows, &entries))
    }

    /// Removes all of the audit trail but the newest entries.
    ///
    /// # Errors
    /// Only those of the file.
    pub async fn trim_audit(&self, max: u64) -> Result<(), LedgerError> {
        ask!(self.history.write, |rows| work::trim_audit(rows, max))
    }

    /// Entries of the audit trail below an id, the newest first.
    ///
    /// # Errors
    /// Only those of the file.
    pub async fn list_audit(
        &self,
        below: Option<JobId>,
        limit: usize,
    ) -> Result<Vec<AuditEntry>, LedgerError> {
        ask!(self.history.read, |rows| work::audit(rows, below, limit))
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
