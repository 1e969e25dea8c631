//! The connection pools of one database, and transactions: every wait has a timeout, and a
//! transaction is retried after a conflict with another server.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::address::Address;
use super::connection::{Access, MysqlSession, within};
use super::errors::{Conflict, conflict, is_connection_lost, with_path};
use super::import_state::refuse_unfinished;
use super::migrate::refuse_other_format;
use crate::database_error::DatabaseError;
use crate::error::LedgerError;
use crate::options::LedgerOptions;

/// The number of concurrent write transactions: projection, logs, retention, and a spare one.
const WRITERS: usize = 4;

/// The maximum wait for a free connection of the pool.
const ACQUIRE: Duration = Duration::from_secs(10);

/// The maximum time an idle connection may take to begin a transaction.
const BEGIN: Duration = Duration::from_secs(2);

/// The maximum duration of a transaction.
const READ: Duration = Duration::from_secs(35);
const WRITE: Duration = Duration::from_secs(60);

/// The maximum number of tries of a transaction that conflicts with others. A lock wait timeout
/// takes seconds, so it counts as several tries.
const TRIES_MAX: u32 = 16;
const LOCK_WAIT_TRIES: u32 = 4;

/// The pause before the second try. It doubles with each try, so that one of many
/// conflicting transactions succeeds.
const PAUSE: Duration = Duration::from_millis(2);
const PAUSE_MAX: Duration = Duration::from_millis(256);

/// The maximum size of a row in addition to its payload: headers, status, labels.
const ROW_OVERHEAD_BYTES: u64 = 2 << 20;

/// A database that other servers may use, too.
pub(crate) struct MysqlDatabase {
    address: Address,
    readers: ConnectionPool,
    writers: ConnectionPool,
}

struct ConnectionPool {
    permits: Arc<Semaphore>,
    idle: Mutex<Vec<MysqlSession>>,
}

impl ConnectionPool {
    fn new(count: usize) -> Self {
        Self { permits: Arc::new(Semaphore::new(count)), idle: Mutex::new(Vec::new()) }
    }

    fn take(&self) -> Option<MysqlSession> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop()
    }

    fn put(&self, session: MysqlSession) {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).push(session);
    }

    /// Closes all idle connections: if one was lost, the others probably are, too.
    fn clear(&self) {
        let idle = std::mem::take(&mut *self.idle.lock().unwrap_or_else(PoisonError::into_inner));
        drop(idle);
    }
}

impl MysqlDatabase {
    /// Connects to a database that has the format of this version.
    pub(crate) async fn connect(
        url: &str,
        options: LedgerOptions,
    ) -> Result<Arc<Self>, LedgerError> {
        let address = Address::parse(url)?;
        let database = Self {
            address,
            readers: ConnectionPool::new(options.readers.max(1)),
            writers: ConnectionPool::new(WRITERS),
        };
        let with_path = |error| with_path(error, database.address.display());
        let mut session = database.open(Access::Write).await.map_err(with_path)?;
        check_settings(&session, options).map_err(with_path)?;
        if !options.allow_unfinished_import {
            within(BEGIN, refuse_unfinished(&mut session)).await.map_err(with_path)?;
        }
        database.writers.put(session);
        Ok(Arc::new(database))
    }

    /// Returns a read-only transaction.
    pub(crate) fn read(&self) -> RetriedTransaction<'_> {
        RetriedTransaction { database: self, access: Access::Read, tries: 0, session: None }
    }

    /// Returns a transaction that writes.
    pub(crate) fn write(&self) -> RetriedTransaction<'_> {
        RetriedTransaction { database: self, access: Access::Write, tries: 0, session: None }
    }

    fn pool(&self, access: Access) -> &ConnectionPool {
        match access {
            Access::Read => &self.readers,
            Access::Write => &self.writers,
        }
    }

    async fn open(&self, access: Access) -> Result<MysqlSession, DatabaseError> {
        let mut session = MysqlSession::open(&self.address, access).await?;
        within(BEGIN, refuse_other_format(&mut session)).await?;
        Ok(session)
    }

    async fn acquire(
        &self,
        access: Access,
    ) -> Result<(MysqlSession, OwnedSemaphorePermit), DatabaseError> {
        let permits = self.pool(access).permits.clone();
        let permit = within(ACQUIRE, async {
            Ok(permits.acquire_owned().await.expect("the semaphore is never closed"))
        });
        let permit = permit.await.map_err(|_| {
            let seconds = ACQUIRE.as_secs();
            DatabaseError::Unreachable(format!("all connections were in use for {seconds} s"))
        })?;
        Ok((self.begin(access).await?, permit))
    }

    /// Returns a connection in a transaction. The first statement shows whether an idle connection
    /// still works. If it does not, nothing is lost.
    async fn begin(&self, access: Access) -> Result<MysqlSession, DatabaseError> {
        let pool = self.pool(access);
        if let Some(mut session) = pool.take() {
            if within(BEGIN, session.run_sql("START TRANSACTION")).await.is_ok() {
                return Ok(session);
            }
            pool.clear();
        }
        let mut session = self.open(access).await?;
        within(BEGIN, session.run_sql("START TRANSACTION")).await?;
        Ok(session)
    }
}

/// Checks the settings of the database server that the ledger depends on.
fn check_settings(session: &MysqlSession, options: LedgerOptions) -> Result<(), DatabaseError> {
    let needed = options.max_payload_bytes + ROW_OVERHEAD_BYTES;
    if session.packet_bytes < needed {
        return Err(DatabaseError::Misconfigured(format!(
            "max_allowed_packet of the server is {} bytes, and the largest payload needs \
             {needed}: raise it there, or lower payload_max_bytes",
            session.packet_bytes
        )));
    }
    // The journal may delete an entry once it is projected.
    if session.flush_at_commit != 1 {
        return Err(DatabaseError::Misconfigured(format!(
            "innodb_flush_log_at_trx_commit of the server is {}, so a power loss would lose \
             acknowledged jobs: set it to 1",
            session.flush_at_commit
        )));
    }
    Ok(())
}

/// A transaction that is retried until it succeeds or fails for good. Dropping it rolls it back.
pub(crate) struct RetriedTransaction<'a> {
    database: &'a MysqlDatabase,
    access: Access,
    tries: u32,
    session: Option<(MysqlSession, OwnedSemaphorePermit)>,
}

impl RetriedTransaction<'_> {
    /// Begins the next try.
    pub(crate) async fn begin(&mut self) -> Result<&mut MysqlSession, LedgerError> {
        self.tries += 1;
        let database = self.database;
        let acquired = database.acquire(self.access).await;
        let acquired = acquired.map_err(|error| with_path(error, database.address.display()))?;
        let (session, _) = self.session.insert(acquired);
        Ok(session)
    }

    /// Returns the maximum duration of a try.
    pub(crate) const fn limit(&self) -> Duration {
        match self.access {
            Access::Read => READ,
            Access::Write => WRITE,
        }
    }

    /// Commits a success and rolls back a failure. Returns `None` if the caller must retry.
    pub(crate) async fn end<T>(
        &mut self,
        result: Result<T, DatabaseError>,
    ) -> Option<Result<T, LedgerError>> {
        let (mut session, permit) = self.session.take().expect("the transaction was begun");
        let statement = if result.is_ok() { "COMMIT" } else { "ROLLBACK" };
        let is_lost = result.as_ref().is_err_and(is_connection_lost);
        let ended =
            if is_lost { Ok(()) } else { within(BEGIN * 5, session.run_sql(statement)).await };
        let is_ended = !is_lost && ended.is_ok();
        let result = result.and_then(|value| ended.map(|()| value));
        let pool = self.database.pool(self.access);
        let error = match result {
            Ok(value) => {
                pool.put(session);
                return Some(Ok(value));
            }
            Err(error) => error,
        };
        let conflict = conflict(&error);
        if is_connection_lost(&error) {
            pool.clear();
        } else if is_ended && (conflict.is_some() || !error.invalidates_connection()) {
            pool.put(session);
        }
        drop(permit);
        if self.should_retry(&error, conflict) {
            let doubled = PAUSE * (1 << self.tries.min(8));
            tokio::time::sleep(doubled.min(PAUSE_MAX)).await;
            return None;
        }
        Some(Err(with_path(error, self.database.address.display())))
    }

    fn should_retry(&mut self, error: &DatabaseError, conflict: Option<Conflict>) -> bool {
        let is_retryable = match conflict {
            Some(Conflict::Deadlock) => true,
            Some(Conflict::LockWaitTimeout) => {
                self.tries += LOCK_WAIT_TRIES - 1;
                true
            }
            // A lost connection: reads are repeated once. A write may have been committed.
            None => {
                let was_cut =
                    is_connection_lost(error) && !matches!(error, DatabaseError::Unreachable(_));
                self.access == Access::Read && was_cut && self.tries == 1
            }
        };
        is_retryable && self.tries < TRIES_MAX
    }
}

/// Runs a future in a transaction: `with_transaction!(database.read, |session| future)`. Evaluates
/// the expression once for each try.
macro_rules! with_transaction {
    ($database:ident.$access:ident, |$session:ident| $query:expr) => {{
        let mut transaction = $database.$access();
        let limit = transaction.limit();
        loop {
            let $session = transaction.begin().await?;
            let result = $crate::mysql::connection::within(limit, $query).await;
            if let Some(result) = transaction.end(result).await {
                break result;
            }
        }
    }};
}

pub(crate) use with_transaction;
