//! One database file: how it is opened, and who may use it when.

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

use super::fault::told;
use crate::sql::Fault;
use crate::{LedgerError, LedgerOptions};

const HISTORY: EmbeddedMigrations = embed_migrations!("migrations/ledger");
const LOGS: EmbeddedMigrations = embed_migrations!("migrations/logs");

/// How long a statement waits for a lock of another process, such as a backup.
const BUSY_TIMEOUT_MS: u32 = 5_000;

/// What a file holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    History,
    Logs,
}

impl Kind {
    const fn migrations(self) -> EmbeddedMigrations {
        match self {
            Self::History => HISTORY,
            Self::Logs => LOGS,
        }
    }
}

/// One file with one writer and a few readers. Each use runs as one closure on a thread
/// that may block: the async wrapper would cross threads once a statement.
pub(crate) struct Database {
    path: PathBuf,
    max_bytes: Option<u64>,
    run_inline: bool,
    writer: Slots,
    readers: Slots,
}

/// Connections that wait to be used. Made when first needed, and again after a fault.
struct Slots {
    permits: Arc<Semaphore>,
    idle: Mutex<Vec<SqliteConnection>>,
}

impl Slots {
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

impl Database {
    /// Opens or creates the file and brings it to the format of this version.
    pub(crate) async fn open(
        path: PathBuf,
        kind: Kind,
        options: LedgerOptions,
    ) -> Result<Arc<Self>, LedgerError> {
        let database = Arc::new(Self {
            path,
            max_bytes: options.max_bytes,
            run_inline: options.run_inline,
            writer: Slots::new(1),
            readers: Slots::new(options.readers.max(1)),
        });
        let migrate = move |connection: &mut SqliteConnection| migrate(connection, kind);
        database.clone().run(|database| &database.writer, Self::open_writer, migrate).await?;
        sync_directory(&database.path)?;
        Ok(database)
    }

    /// Runs one transaction on the only connection that writes.
    pub(crate) async fn write<T: Send + 'static>(
        self: &Arc<Self>,
        work: impl FnOnce(&mut SqliteConnection) -> Result<T, Fault> + Send + 'static,
    ) -> Result<T, LedgerError> {
        let work = |connection: &mut SqliteConnection| {
            whole(|body| connection.immediate_transaction(body), work)
        };
        self.clone().run(|database| &database.writer, Self::open_writer, work).await
    }

    /// Runs one closure on a connection that can not write, over one state of the file.
    pub(crate) async fn read<T: Send + 'static>(
        self: &Arc<Self>,
        work: impl FnOnce(&mut SqliteConnection) -> Result<T, Fault> + Send + 'static,
    ) -> Result<T, LedgerError> {
        let work =
            |connection: &mut SqliteConnection| whole(|body| connection.transaction(body), work);
        self.clone().run(|database| &database.readers, Self::open_reader, work).await
    }

    async fn run<T: Send + 'static>(
        self: Arc<Self>,
        slots: fn(&Self) -> &Slots,
        open: fn(&Self) -> Result<SqliteConnection, Fault>,
        work: impl FnOnce(&mut SqliteConnection) -> Result<T, Fault> + Send + 'static,
    ) -> Result<T, LedgerError> {
        let permits = slots(&self).permits.clone();
        let permit = permits.acquire_owned().await.expect("the semaphore is never closed");
        let path = self.path.clone();
        let run_inline = self.run_inline;
        let work = move || {
            // Held until the closure is done, even if nobody waits for its answer.
            let _permit = permit;
            let mut connection = match slots(&self).take() {
                Some(connection) => connection,
                None => open(&self).map_err(|fault| told(fault, &self.path))?,
            };
            let done = work(&mut connection);
            if !done.as_ref().is_err_and(Fault::spoils_connection) {
                slots(&self).put(connection);
            }
            done.map_err(|fault| told(fault, &self.path))
        };
        if run_inline {
            return work();
        }
        match tokio::task::spawn_blocking(work).await {
            Ok(done) => done,
            Err(stopped) => Err(LedgerError::Unavailable { path, message: stopped.to_string() }),
        }
    }

    fn open_writer(&self) -> Result<SqliteConnection, Fault> {
        let mut connection = self.connect()?;
        // FULL: a projected entry may be forgotten by the journal. The checkpoint of the
        // write-ahead log is rarer than SQLite's own, since a batch is thousands of pages.
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

    fn open_reader(&self) -> Result<SqliteConnection, Fault> {
        let mut connection = self.connect()?;
        connection.batch_execute("PRAGMA query_only = ON; PRAGMA cache_size = -16384;")?;
        Ok(connection)
    }

    fn connect(&self) -> Result<SqliteConnection, Fault> {
        let path = self.path.to_str().expect("checked by Ledger::open");
        let mut connection = SqliteConnection::establish(path).map_err(Fault::Open)?;
        connection.batch_execute(&format!("PRAGMA busy_timeout = {BUSY_TIMEOUT_MS};"))?;
        Ok(connection)
    }
}

/// Runs a transaction and answers why it failed. SQLite ends a transaction by itself when
/// the disk is full; the roll-back that diesel then tries fails, and its error would hide
/// the cause.
fn whole<T>(
    run: impl FnOnce(
        &mut dyn FnMut(&mut SqliteConnection) -> Result<T, SqlError>,
    ) -> Result<T, SqlError>,
    work: impl FnOnce(&mut SqliteConnection) -> Result<T, Fault>,
) -> Result<T, Fault> {
    let mut cause = None;
    let mut work = Some(work);
    let done = run(&mut |connection| {
        let work = work.take().expect("a transaction runs its body once");
        work(connection).map_err(|fault| {
            cause = Some(fault);
            SqlError::RollbackTransaction
        })
    });
    done.map_err(|error| cause.unwrap_or(Fault::Sql(error)))
}

fn failed(error: Box<dyn std::error::Error + Send + Sync>) -> Fault {
    Fault::Migration(error.to_string())
}

/// Runs what is new in this version; refuses what a newer version ran.
fn migrate(connection: &mut SqliteConnection, kind: Kind) -> Result<(), Fault> {
    refuse_newer(connection, kind)?;
    connection.run_pending_migrations(kind.migrations()).map(drop).map_err(failed)
}

/// Refuses a file that a newer version has changed.
pub(super) fn refuse_newer(connection: &mut SqliteConnection, kind: Kind) -> Result<(), Fault> {
    let known: Vec<Box<dyn Migration<Sqlite>>> = kind.migrations().migrations().map_err(failed)?;
    let known: Vec<String> = known.iter().map(|m| m.name().version().to_string()).collect();
    let applied = connection.applied_migrations().map_err(failed)?;
    let stranger = applied.iter().map(ToString::to_string).find(|found| !known.contains(found));
    if let Some(found) = stranger {
        let known = known.last().cloned().unwrap_or_default();
        return Err(Fault::Newer { found, known });
    }
    Ok(())
}

/// A new file survives a power loss only once its directory does.
fn sync_directory(path: &Path) -> Result<(), LedgerError> {
    let Some(directory) = path.parent() else { return Ok(()) };
    File::open(directory).and_then(|directory| directory.sync_all()).map_err(|error| {
        LedgerError::Unavailable { path: directory.to_owned(), message: error.to_string() }
    })
}
