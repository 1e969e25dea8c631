//! A connection to the database server. Its session settings make the ledger independent of the
//! server's configuration.

use std::future::Future;
use std::time::Duration;

use diesel::prelude::*;
use diesel::sql_types::{BigInt, Text};
use diesel_async::{AsyncConnection, AsyncMysqlConnection, RunQueryDsl, SimpleAsyncConnection};

use super::address::Address;
use crate::database_error::DatabaseError;

/// The timeout for connecting.
const CONNECT: Duration = Duration::from_secs(5);

/// The maximum wait of a statement for a row lock of another server.
const LOCK_WAIT_S: u32 = 5;

/// The maximum duration of a statement, enforced by the database server.
const STATEMENT_S: u32 = 30;

/// How long the database server keeps the transaction of a client that sends nothing. Its locks
/// block all other servers. A live client sends its next statement at once.
const IDLE_TRANSACTION_S: u32 = 5;

/// The idle timeout of MySQL, which has none for transactions only. It also closes idle pooled
/// connections, which are reopened on use.
const IDLE_S: u32 = 30;

/// The access mode of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Access {
    /// All statements of a transaction see the state as of the first one.
    Read,
    /// Statements see the newest rows and lock them one by one. No gaps are locked, so two
    /// servers can insert neighbouring rows.
    Write,
}

/// A configured connection to the database server.
pub(crate) struct MysqlSession {
    pub(crate) connection: AsyncMysqlConnection,
    /// The maximum length of a statement, `max_allowed_packet`.
    pub(super) packet_bytes: u64,
    /// `innodb_flush_log_at_trx_commit`. 1: a commit is on the disk when it is acknowledged.
    pub(super) flush_at_commit: i64,
}

#[derive(QueryableByName)]
struct ServerSettings {
    #[diesel(sql_type = Text)]
    version: String,
    #[diesel(sql_type = BigInt)]
    packet_bytes: i64,
    #[diesel(sql_type = BigInt)]
    flush_at_commit: i64,
}

impl MysqlSession {
    pub(super) async fn open(address: &Address, access: Access) -> Result<Self, DatabaseError> {
        within(CONNECT, Self::connect(address, access)).await
    }

    async fn connect(address: &Address, access: Access) -> Result<Self, DatabaseError> {
        let mut connection =
            AsyncMysqlConnection::establish(address.url()).await.map_err(DatabaseError::Connect)?;
        let isolation = match access {
            Access::Read => "REPEATABLE READ, READ ONLY",
            Access::Write => "READ COMMITTED, READ WRITE",
        };
        for statement in [
            "SET NAMES utf8mb4 COLLATE utf8mb4_bin",
            "SET SESSION autocommit = 1, lc_messages = 'en_US'",
            "SET SESSION sql_mode = 'STRICT_ALL_TABLES,NO_ENGINE_SUBSTITUTION'",
            &format!("SET SESSION innodb_lock_wait_timeout = {LOCK_WAIT_S}"),
            &format!("SET SESSION net_read_timeout = {IDLE_TRANSACTION_S}"),
            &format!("SET SESSION TRANSACTION ISOLATION LEVEL {isolation}"),
        ] {
            connection.batch_execute(statement).await?;
        }
        let query = "SELECT VERSION() AS version, \
                     CAST(@@max_allowed_packet AS SIGNED) AS packet_bytes, \
                     CAST(@@innodb_flush_log_at_trx_commit AS SIGNED) AS flush_at_commit";
        let settings: ServerSettings = diesel::sql_query(query).get_result(&mut connection).await?;
        let timeouts = if settings.version.contains("MariaDB") {
            format!(
                "SET SESSION max_statement_time = {STATEMENT_S}, \
                 idle_transaction_timeout = {IDLE_TRANSACTION_S}"
            )
        } else {
            let statement_ms = STATEMENT_S * 1_000;
            format!("SET SESSION max_execution_time = {statement_ms}, wait_timeout = {IDLE_S}")
        };
        connection.batch_execute(&timeouts).await?;
        let (packet_bytes, flush_at_commit) =
            (settings.packet_bytes.cast_unsigned(), settings.flush_at_commit);
        Ok(Self { connection, packet_bytes, flush_at_commit })
    }

    pub(super) async fn run_sql(&mut self, statement: &str) -> Result<(), DatabaseError> {
        Ok(self.connection.batch_execute(statement).await?)
    }
}

/// Limits the duration of a future. A network that drops packets must not block the caller.
pub(crate) async fn within<T>(
    limit: Duration,
    future: impl Future<Output = Result<T, DatabaseError>>,
) -> Result<T, DatabaseError> {
    match tokio::time::timeout(limit, future).await {
        Ok(result) => result,
        Err(_) => {
            let message = format!("no response within {} s", limit.as_secs());
            Err(DatabaseError::Unreachable(message))
        }
    }
}
