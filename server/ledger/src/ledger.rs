//! The handle to a ledger. Its queries are defined in `queries`.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::backup::logs_path;
use crate::error::LedgerError;
use crate::mysql::database::MysqlDatabase;
use crate::mysql::migrate::{self, MigrationMode, MigrationReport};
use crate::options::LedgerOptions;
use crate::sqlite::file::{FileKind, SqliteFile};

/// A handle to the history of every job. Clones are cheap and share the connections.
///
/// Dropping a future does not undo what it started on SQLite: a transaction that was handed to
/// the writer thread runs to completion. On MySQL it may be rolled back. It is atomic on both.
#[derive(Clone)]
pub struct Ledger {
    pub(crate) backend: Backend,
}

/// The database that holds the rows.
#[derive(Clone)]
pub(crate) enum Backend {
    Sqlite { history: Arc<SqliteFile>, logs: Arc<SqliteFile> },
    Mysql(Arc<MysqlDatabase>),
}

/// Runs a future over a connection to the ledger's database, in one transaction:
/// `with_conn!(self.history.read, |conn| future)` names the SQLite file and the access mode.
///
/// On SQLite it runs on a blocking thread. On MySQL it is retried after a conflict with another
/// transaction, so the expression is evaluated once for each try.
macro_rules! with_conn {
    ($self:ident.$file:ident.$access:ident, |$conn:ident| $query:expr) => {
        match &$self.backend {
            $crate::ledger::Backend::Sqlite { $file, .. } => {
                $file
                    .$access(move |$conn: &mut diesel::SqliteConnection| {
                        $crate::connection::complete_now($query)
                    })
                    .await
            }
            $crate::ledger::Backend::Mysql(database) => {
                $crate::mysql::database::with_transaction!(database.$access, |$conn| $query)
            }
        }
    };
}

pub(crate) use with_conn;

impl Ledger {
    /// Opens or creates the file at `path` and the log file `<path>-logs` beside it.
    ///
    /// # Errors
    /// [`LedgerError::NewerFormat`] if a newer version wrote it, [`LedgerError::Damaged`] if it
    /// is not a ledger, [`LedgerError::MissingLogs`] if only the log file is missing,
    /// [`LedgerError::Unavailable`] if it cannot be opened.
    pub async fn open(path: &Path) -> Result<Self, LedgerError> {
        // SQLite has no limit on the size of a row.
        Self::open_with(path, LedgerOptions::new(0)).await
    }

    /// Opens or creates the files of [`Ledger::open`] with other options than the default ones.
    ///
    /// # Errors
    /// As for [`Ledger::open`].
    pub async fn open_with(path: &Path, options: LedgerOptions) -> Result<Self, LedgerError> {
        let path = absolute_utf8_path(path)?;
        let logs = logs_path(&path);
        let open = |path, kind| SqliteFile::open(path, kind, options);
        if path.exists() {
            let history = open(path, FileKind::History).await?;
            if !logs.exists() {
                return Err(LedgerError::MissingLogs { path: logs });
            }
            let logs = open(logs, FileKind::Logs).await?;
            return Ok(Self { backend: Backend::Sqlite { history, logs } });
        }
        // The log file first: if the first start is interrupted after it, the next start does
        // not report it as missing.
        let logs = open(logs, FileKind::Logs).await?;
        let history = open(path, FileKind::History).await?;
        Ok(Self { backend: Backend::Sqlite { history, logs } })
    }

    /// Connects to the database `mysql://user:password@host:port/database` on MySQL 8 or
    /// MariaDB 10.11. Other servers may use it at the same time. Never changes its format.
    ///
    /// # Errors
    /// [`LedgerError::OlderFormat`] until [`Ledger::migrate`] was run,
    /// [`LedgerError::NewerFormat`] if only a newer version can use it,
    /// [`LedgerError::ImportInProgress`] while an import into it is unfinished,
    /// [`LedgerError::Misconfigured`] if the URL or a setting of the server does not fit,
    /// [`LedgerError::Unavailable`] if it does not respond within some seconds.
    pub async fn connect(url: &str, options: LedgerOptions) -> Result<Self, LedgerError> {
        Ok(Self { backend: Backend::Mysql(MysqlDatabase::connect(url, options).await?) })
    }

    /// Migrates a database to the format of this version, or only returns the necessary steps.
    /// If several processes migrate concurrently, one runs the steps and the others wait for it.
    ///
    /// # Errors
    /// As for [`Ledger::connect`], except [`LedgerError::OlderFormat`].
    pub async fn migrate(url: &str, mode: MigrationMode) -> Result<MigrationReport, LedgerError> {
        migrate::migrate(url, mode).await
    }
}

/// Returns an absolute path. SQLite interprets a relative name such as `file:x` as a URI.
fn absolute_utf8_path(path: &Path) -> Result<PathBuf, LedgerError> {
    let unavailable = |message: String| LedgerError::Unavailable { path: path.to_owned(), message };
    let absolute = std::path::absolute(path).map_err(|error| unavailable(error.to_string()))?;
    if absolute.to_str().is_none() {
        return Err(unavailable("the path is not valid UTF-8".to_owned()));
    }
    Ok(absolute)
}
