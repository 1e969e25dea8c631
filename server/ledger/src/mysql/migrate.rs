//! Migrations of a shared database: numbered steps, each of which names the oldest program version
//! that can still use the database.
//!
//! During a rolling upgrade, servers of two versions share the database. So a step first adds what
//! the newer version needs, and the older version keeps working. A later step drops what only the
//! older version needed. Servers never migrate by themselves, because the operator must decide when
//! all of them can use the new format.

use diesel::prelude::*;
use diesel::sql_types::{BigInt, Integer, Nullable};
use diesel_async::RunQueryDsl;

use super::address::Address;
use super::connection::{Access, MysqlSession};
use super::errors::with_path;
use crate::database_error::DatabaseError;
use crate::error::LedgerError;

/// A migration step.
struct Step {
    version: u32,
    /// The format version of the oldest program that can use a database with this step.
    readable_by: u32,
    sql: &'static str,
}

const STEPS: &[Step] = &[
    Step { version: 1, readable_by: 1, sql: include_str!("../../migrations/mysql/001_ledger.sql") },
    Step { version: 2, readable_by: 1, sql: include_str!("../../migrations/mysql/002_moves.sql") },
    Step {
        version: 3,
        readable_by: 1,
        sql: include_str!("../../migrations/mysql/003_identity.sql"),
    },
    Step {
        version: 4,
        readable_by: 1,
        sql: include_str!("../../migrations/mysql/004_outputs.sql"),
    },
    Step { version: 5, readable_by: 1, sql: include_str!("../../migrations/mysql/005_kinds.sql") },
    Step {
        version: 6,
        readable_by: 1,
        sql: include_str!("../../migrations/mysql/006_producers.sql"),
    },
    Step {
        version: 7,
        readable_by: 1,
        sql: include_str!("../../migrations/mysql/007_error_detail.sql"),
    },
];

/// The format version of this program.
const KNOWN: u32 = STEPS[STEPS.len() - 1].version;

const TABLE: &str = "CREATE TABLE IF NOT EXISTS formats (\
     version INT NOT NULL PRIMARY KEY, \
     readable_by INT NOT NULL\
     ) ENGINE = InnoDB ROW_FORMAT = DYNAMIC";

/// The maximum wait for a concurrent migration.
const LOCK_S: u32 = 60;

/// The result of [`crate::Ledger::migrate`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MigrationReport {
    /// The URL of the database without the password.
    pub ledger: String,
    /// The format before the migration; 0 for an empty database.
    pub from: u32,
    /// The format that this program needs.
    pub to: u32,
    /// The steps from `from` to `to`, whether they were applied or not.
    pub steps: Vec<u32>,
}

/// Whether [`crate::Ledger::migrate`] applies the steps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MigrationMode {
    /// Only return the steps.
    DryRun,
    /// Apply the steps.
    Apply,
}

#[derive(QueryableByName)]
struct FormatRow {
    #[diesel(sql_type = Nullable<Integer>)]
    version: Option<i32>,
    #[diesel(sql_type = Nullable<Integer>)]
    readable_by: Option<i32>,
}

#[derive(QueryableByName)]
struct LockRow {
    #[diesel(sql_type = Nullable<BigInt>)]
    acquired: Option<i64>,
}

/// Migrates a database to the format of this version, or only returns the necessary steps.
pub(crate) async fn migrate(
    url: &str,
    mode: MigrationMode,
) -> Result<MigrationReport, LedgerError> {
    let address = Address::parse(url)?;
    let migration = async {
        let mut session = MysqlSession::open(&address, Access::Write).await?;
        // A step may take long, and so may the wait for a concurrent migration.
        if session.run_sql("SET SESSION max_statement_time = 0").await.is_err() {
            session.run_sql("SET SESSION max_execution_time = 0").await?;
        }
        lock(&mut session).await?;
        run_steps(&mut session, mode).await
    };
    let (from, steps) =
        migration.await.map_err(|error: DatabaseError| with_path(error, address.display()))?;
    Ok(MigrationReport { ledger: address.display().display().to_string(), from, to: KNOWN, steps })
}

/// Acquires a lock that is released when the connection closes. Lock names are global to the
/// database server, so the name includes the database.
async fn lock(session: &mut MysqlSession) -> Result<(), DatabaseError> {
    let lock =
        format!("SELECT GET_LOCK(CONCAT('sentinel-', MD5(DATABASE())), {LOCK_S}) AS acquired");
    let row: LockRow = diesel::sql_query(lock).get_result(&mut session.connection).await?;
    match row.acquired {
        Some(1) => Ok(()),
        _ => Err(DatabaseError::Unreachable(format!(
            "another migration did not finish within {LOCK_S} s: try again later"
        ))),
    }
}

async fn run_steps(
    session: &mut MysqlSession,
    mode: MigrationMode,
) -> Result<(u32, Vec<u32>), DatabaseError> {
    let from = match format(session).await? {
        Some((version, readable_by)) => {
            refuse_newer(version, readable_by)?;
            version
        }
        None => 0,
    };
    let mut done = Vec::new();
    for step in STEPS.iter().filter(|step| step.version > from) {
        if mode == MigrationMode::Apply {
            session.run_sql(TABLE).await?;
            for statement in statements(step.sql) {
                session.run_sql(&statement).await?;
            }
            let row = format!(
                "INSERT INTO formats (version, readable_by) VALUES ({}, {})",
                step.version, step.readable_by
            );
            session.run_sql(&row).await?;
        }
        done.push(step.version);
    }
    Ok((from, done))
}

/// Splits a file into statements. No statement contains a `;`.
fn statements(sql: &str) -> Vec<String> {
    let lines = sql.lines().filter(|line| !line.trim_start().starts_with("--"));
    let text: Vec<&str> = lines.collect();
    let text = text.join("\n");
    let parts = text.split(';').map(str::trim).filter(|part| !part.is_empty());
    parts.map(str::to_owned).collect()
}

/// Returns the format version and the oldest program version that can use it; `None` for an empty
/// database.
async fn format(session: &mut MysqlSession) -> Result<Option<(u32, u32)>, DatabaseError> {
    #[derive(QueryableByName)]
    struct TableCount {
        #[diesel(sql_type = BigInt)]
        tables: i64,
    }
    let query = "SELECT COUNT(*) AS tables FROM information_schema.tables \
                 WHERE table_schema = DATABASE() AND table_name = 'formats'";
    let found: TableCount = diesel::sql_query(query).get_result(&mut session.connection).await?;
    if found.tables == 0 {
        return Ok(None);
    }
    let newest = "SELECT MAX(version) AS version, MAX(readable_by) AS readable_by FROM formats";
    let newest: FormatRow = diesel::sql_query(newest).get_result(&mut session.connection).await?;
    Ok(newest.version.zip(newest.readable_by).map(|(v, r)| (v.cast_unsigned(), r.cast_unsigned())))
}

fn refuse_newer(version: u32, readable_by: u32) -> Result<(), DatabaseError> {
    if readable_by > KNOWN {
        return Err(DatabaseError::NewerFormat {
            found: version.to_string(),
            known: KNOWN.to_string(),
        });
    }
    Ok(())
}

/// Fails if this program cannot use the database.
pub(super) async fn refuse_other_format(session: &mut MysqlSession) -> Result<(), DatabaseError> {
    let older = |found: u32| DatabaseError::OlderFormat {
        found: found.to_string(),
        known: KNOWN.to_string(),
    };
    match format(session).await? {
        None => Err(older(0)),
        Some((version, _)) if version < KNOWN => Err(older(version)),
        Some((version, readable_by)) => refuse_newer(version, readable_by),
    }
}
