//! One database file: opening, migrating, and its connection pools.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use diesel::connection::SimpleConnection;
use diesel::migration::{Migration, MigrationSource};
use diesel::result::Error as SqlError;
use diesel::sqlite::Sqlite;
use diesel::{Connection, SqliteConnection};
use diesel_migrations::{EmbeddedMigrations, MigrationHarness, embed_migrations};
use tokio::sync::Semaphore;

use super::errors::with_path;
use crate::database_error::DatabaseError;
use crate::error::LedgerError;
use crate::options::LedgerOptions;

const HISTORY: EmbeddedMigrations = embed_migrations!("migrations/ledger");
const LOGS: EmbeddedMigrations = embed_migrations!("migrations/logs");

/// The maximum wait of a statement for a lock of another process, such as a backup.
const BUSY_TIMEOUT_MS: u32 = 5_000;

/// The content of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FileKind {
    History,
    Logs,
}

impl FileKind {
    const fn migrations(self) -> EmbeddedMigrations {
        match self {
            Self::History => HISTORY,
            Self::Logs => LOGS,
        }
    }
}

/// A database file with one connection that writes and a few that read. Each transaction runs as
/// one closure on a blocking thread: an async wrapper would switch threads for each statement.
pub(crate) struct SqliteFile {
    path: PathBuf,
    max_bytes: Option<u64>,
    run_inline: bool,
    writer: ConnectionPool,
    readers: ConnectionPool,
}

/// A pool of connections. They are opened when first needed, and reopened after an error.
struct ConnectionPool {
    permits: Arc<Semaphore>,
    idle: Mutex<Vec<SqliteConnection>>,
}

impl ConnectionPool {
    fn new(count: usize) -> Self {
        Self { permits: Arc::new(Semaphore::new(count)), idle: Mutex::new(Vec::new()) }
    }

    fn take(&self) -> Option<SqliteConnection> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop()
    }

    fn put(&self, connection: SqliteConnection) {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).push(connection);
    }
}

impl SqliteFile {
    /// Opens or creates the file and migrates it to the format of this version.
    pub(crate) async fn open(
        path: PathBuf,
        kind: FileKind,
        options: LedgerOptions,
    ) -> Result<Arc<Self>, LedgerError> {
        let file = Arc::new(Self {
            path,
            max_bytes: options.max_bytes,
            run_inline: options.run_inline,
            writer: ConnectionPool::new(1),
            readers: ConnectionPool::new(options.readers.max(1)),
        });
        let migrate = move |connection: &mut SqliteConnection| migrate(connection, kind);
        file.clone().run(|file| &file.writer, Self::open_writer, migrate).await?;
        sync_directory(&file.path)?;
        Ok(file)
    }

    /// Runs a transaction on the connection that writes.
    pub(crate) async fn write<T: Send + 'static>(
        self: &Arc<Self>,
        body: impl FnOnce(&mut SqliteConnection) -> Result<T, DatabaseError> + Send + 'static,
    ) -> Result<T, LedgerError> {
        let transaction = |connection: &mut SqliteConnection| {
            run_transaction(|body| connection.immediate_transaction(body), body)
        };
        self.clone().run(|file| &file.writer, Self::open_writer, transaction).await
    }

    /// Runs a transaction on a read-only connection.
    pub(crate) async fn read<T: Send + 'static>(
        self: &Arc<Self>,
        body: impl FnOnce(&mut SqliteConnection) -> Result<T, DatabaseError> + Send + 'static,
    ) -> Result<T, LedgerError> {
        let transaction = |connection: &mut SqliteConnection| {
            run_transaction(|body| connection.transaction(body), body)
        };
        self.clone().run(|file| &file.readers, Self::open_reader, transaction).await
    }

    async fn run<T: Send + 'static>(
        self: Arc<Self>,
        pool: fn(&Self) -> &ConnectionPool,
        open: fn(&Self) -> Result<SqliteConnection, DatabaseError>,
        body: impl FnOnce(&mut SqliteConnection) -> Result<T, DatabaseError> + Send + 'static,
    ) -> Result<T, LedgerError> {
        let permits = pool(&self).permits.clone();
        let permit = permits.acquire_owned().await.expect("the semaphore is never closed");
        let path = self.path.clone();
        let run_inline = self.run_inline;
        let run = move || {
            // Held until the closure is done, even if its caller was dropped.
            let _permit = permit;
            let mut connection = match pool(&self).take() {
                Some(connection) => connection,
                None => open(&self).map_err(|error| with_path(error, &self.path))?,
            };
            let result = body(&mut connection);
            if !result.as_ref().is_err_and(DatabaseError::invalidates_connection) {
                pool(&self).put(connection);
            }
            result.map_err(|error| with_path(error, &self.path))
        };
        if run_inline {
            return run();
        }
        match tokio::task::spawn_blocking(run).await {
            Ok(result) => result,
            Err(error) => Err(LedgerError::Unavailable { path, message: error.to_string() }),
        }
    }

    fn open_writer(&self) -> Result<SqliteConnection, DatabaseError> {
        let mut connection = self.connect()?;
        // FULL: the journal may delete an entry once it is projected. The write-ahead log is
        // checkpointed less often than by default, because a batch is thousands of pages.
        connection.batch_execute(
            "PRAGMA page_size = 8192; PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; \
             PRAGMA cache_size = -65536; PRAGMA wal_autocheckpoint = 4000; \
             PRAGMA journal_size_limit = 67108864;",
        )?;
        if let Some(max_bytes) = self.max_bytes {
            let pages = (max_bytes / 8192).max(1);
            connection.batch_execute(&format!("PRAGMA max_page_count = {pages};"))?;
        }
        Ok(connection)
    }

    fn open_reader(&self) -> Result<SqliteConnection, DatabaseError> {
        let mut connection = self.connect()?;
        connection.batch_execute("PRAGMA query_only = ON; PRAGMA cache_size = -16384;")?;
        Ok(connection)
    }

    fn connect(&self) -> Result<SqliteConnection, DatabaseError> {
        let path = self.path.to_str().expect("Ledger::open checks that the path is UTF-8");
        let mut connection = SqliteConnection::establish(path).map_err(DatabaseError::Connect)?;
        connection.batch_execute(&format!("PRAGMA busy_timeout = {BUSY_TIMEOUT_MS};"))?;
        Ok(connection)
    }
}

/// Runs a transaction and returns the error of its body. When the disk is full, SQLite rolls the
/// transaction back by itself. The rollback that diesel then tries fails, and its error would
/// hide the cause.
fn run_transaction<T>(
    run: impl FnOnce(
        &mut dyn FnMut(&mut SqliteConnection) -> Result<T, SqlError>,
    ) -> Result<T, SqlError>,
    body: impl FnOnce(&mut SqliteConnection) -> Result<T, DatabaseError>,
) -> Result<T, DatabaseError> {
    let mut cause = None;
    let mut body = Some(body);
    let result = run(&mut |connection| {
        let body = body.take().expect("a transaction runs its body once");
        body(connection).map_err(|error| {
            cause = Some(error);
            SqlError::RollbackTransaction
        })
    });
    result.map_err(|error| cause.unwrap_or(DatabaseError::Sql(error)))
}

fn migration_error(error: Box<dyn std::error::Error + Send + Sync>) -> DatabaseError {
    DatabaseError::Migration(error.to_string())
}

/// Runs the pending migrations. Fails if a newer version migrated the file.
fn migrate(connection: &mut SqliteConnection, kind: FileKind) -> Result<(), DatabaseError> {
    refuse_newer(connection, kind)?;
    connection.run_pending_migrations(kind.migrations()).map(drop).map_err(migration_error)
}

/// Fails if a newer version migrated the file.
pub(super) fn refuse_newer(
    connection: &mut SqliteConnection,
    kind: FileKind,
) -> Result<(), DatabaseError> {
    let known: Vec<Box<dyn Migration<Sqlite>>> =
        kind.migrations().migrations().map_err(migration_error)?;
    let known: Vec<String> = known.iter().map(|m| m.name().version().to_string()).collect();
    let applied = connection.applied_migrations().map_err(migration_error)?;
    let unknown = applied.iter().map(ToString::to_string).find(|found| !known.contains(found));
    if let Some(found) = unknown {
        let known = known.last().cloned().unwrap_or_default();
        return Err(DatabaseError::NewerFormat { found, known });
    }
    Ok(())
}

/// Makes a new file durable: its directory entry must be on the disk, too.
fn sync_directory(path: &Path) -> Result<(), LedgerError> {
    let Some(directory) = path.parent() else { return Ok(()) };
    File::open(directory).and_then(|directory| directory.sync_all()).map_err(|error| {
        LedgerError::Unavailable { path: directory.to_owned(), message: error.to_string() }
    })
}
