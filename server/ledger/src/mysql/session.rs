//! One connection, set up so that nothing of the server's configuration changes what the
//! ledger means.

use std::future::Future;
use std::time::Duration;

use diesel::prelude::*;
use diesel::sql_types::{BigInt, Text};
use diesel_async::{AsyncConnection, AsyncMysqlConnection, RunQueryDsl, SimpleAsyncConnection};

use super::address::Address;
use crate::sql::Fault;

/// How long a connection may take to be made.
const CONNECT: Duration = Duration::from_secs(5);

/// How long a statement waits for a row that another server writes.
const LOCK_WAIT_S: u32 = 5;

/// What one statement may take, by the clock of the server.
const STATEMENT_S: u32 = 30;

/// How long the database keeps the transaction of a server that says nothing any more: what it
/// has locked, nobody else can change. A server that lives says something at once.
const SILENCE_S: u32 = 5;

/// The same where there is no time for transactions of their own, so that it is for connections
/// that lie idle, too. Those are made again.
const IDLE_S: u32 = 30;

/// What a connection is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Access {
    /// One state of the database, from the first statement on.
    Read,
    /// The newest rows, locked one by one: gaps between rows that two servers write stay free.
    Write,
}

/// A connection that is ready.
pub(crate) struct Session {
    pub(crate) connection: AsyncMysqlConnection,
    /// What one statement may be long.
    pub(super) packet_bytes: u64,
    /// 1: a commit is on the disk before it is acknowledged.
    pub(super) flush_at_commit: i64,
}

#[derive(QueryableByName)]
struct About {
    #[diesel(sql_type = Text)]
    version: String,
    #[diesel(sql_type = BigInt)]
    packet_bytes: i64,
    #[diesel(sql_type = BigInt)]
    flush_at_commit: i64,
}

impl Session {
    pub(super) async fn open(address: &Address, access: Access) -> Result<Self, Fault> {
        within(CONNECT, Self::set_up(address, access)).await
    }

    async fn set_up(address: &Address, access: Access) -> Result<Self, Fault> {
        let mut connection =
            AsyncMysqlConnection::establish(address.url()).await.map_err(Fault::Open)?;
        let isolation = match access {
            Access::Read => "REPEATABLE READ, READ ONLY",
            Access::Write => "READ COMMITTED, READ WRITE",
        };
        for statement in [
            "SET NAMES utf8mb4 COLLATE utf8mb4_bin",
            "SET SESSION autocommit = 1, lc_messages = 'en_US'",
            "SET SESSION sql_mode = 'STRICT_ALL_TABLES,NO_ENGINE_SUBSTITUTION'",
            &format!("SET SESSION innodb_lock_wait_timeout = {LOCK_WAIT_S}"),
            &format!("SET SESSION net_read_timeout = {SILENCE_S}"),
            &format!("SET SESSION TRANSACTION ISOLATION LEVEL {isolation}"),
        ] {
            connection.batch_execute(statement).await?;
        }
        let about = "SELECT VERSION() AS version, \
                     CAST(@@max_allowed_packet AS SIGNED) AS packet_bytes, \
                     CAST(@@innodb_flush_log_at_trx_commit AS SIGNED) AS flush_at_commit";
        let about: About = diesel::sql_query(about).get_result(&mut connection).await?;
        let bound = if about.version.contains("MariaDB") {
            format!(
                "SET SESSION max_statement_time = {STATEMENT_S}, \
                 idle_transaction_timeout = {SILENCE_S}"
            )
        } else {
            let statement_ms = STATEMENT_S * 1_000;
            format!("SET SESSION max_execution_time = {statement_ms}, wait_timeout = {IDLE_S}")
        };
        connection.batch_execute(&bound).await?;
        let (packet_bytes, flush_at_commit) =
            (about.packet_bytes.cast_unsigned(), about.flush_at_commit);
        Ok(Self { connection, packet_bytes, flush_at_commit })
    }

    pub(super) async fn run(&mut self, statement: &str) -> Result<(), Fault> {
        Ok(self.connection.batch_execute(statement).await?)
    }
}

/// A network that swallows packets must not hold anybody up.
pub(crate) async fn within<T>(
    limit: Duration,
    work: impl Future<Output = Result<T, Fault>>,
) -> Result<T, Fault> {
    match tokio::time::timeout(limit, work).await {
        Ok(done) => done,
        Err(_) => Err(Fault::Away(format!("no answer within {} s", limit.as_secs()))),
    }
}
