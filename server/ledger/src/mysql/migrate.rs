//! The format of a shared database: numbered steps, each of which says which programs may go
//! on working beside it.
//!
//! Servers of two versions share a database while an upgrade rolls over them. So a step first
//! adds what the newer version needs, and the older one works on; what only the older one
//! needed is dropped by a later step, when none is left. A server never changes the format by
//! itself: with several of them, it would be one of many that decides when.

use diesel::prelude::*;
use diesel::sql_types::{BigInt, Integer, Nullable};
use diesel_async::RunQueryDsl;

use super::address::Address;
use super::fault::told;
use super::session::{Access, Session};
use crate::LedgerError;
use crate::sql::Fault;

/// One step.
struct Step {
    version: u32,
    /// The oldest program that can work on a database with this step, by the version it knows.
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
];

/// The format of this version.
const KNOWN: u32 = STEPS[STEPS.len() - 1].version;

const TABLE: &str = "CREATE TABLE IF NOT EXISTS formats (\
     version INT NOT NULL PRIMARY KEY, \
     readable_by INT NOT NULL\
     ) ENGINE = InnoDB ROW_FORMAT = DYNAMIC";

/// How long one that migrates waits for another.
const LOCK_S: u32 = 60;

/// What a migration found and did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MigrationReport {
    /// Where, without the password.
    pub ledger: String,
    /// The format before; 0 for an empty database.
    pub from: u32,
    /// The format that this version needs.
    pub to: u32,
    /// The steps between, whether they were run or would be.
    pub steps: Vec<u32>,
}

/// Whether the steps are run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MigrationMode {
    /// Only told.
    DryRun,
    /// Run.
    Apply,
}

#[derive(QueryableByName)]
struct Format {
    #[diesel(sql_type = Nullable<Integer>)]
    version: Option<i32>,
    #[diesel(sql_type = Nullable<Integer>)]
    readable_by: Option<i32>,
}

#[derive(QueryableByName)]
struct Held {
    #[diesel(sql_type = Nullable<BigInt>)]
    held: Option<i64>,
}

/// Brings a database to the format of this version, or only tells what would be done.
pub(crate) async fn migrate(url: &str, state: MigrationMode) -> Result<MigrationReport, LedgerError> {
    let address = Address::parse(url)?;
    let work = async {
        let mut session = Session::open(&address, Access::Write).await?;
        // A step may take long, and so may the wait for another that migrates.
        if session.run("SET SESSION max_statement_time = 0").await.is_err() {
            session.run("SET SESSION max_execution_time = 0").await?;
        }
        lock(&mut session).await?;
        steps(&mut session, state).await
    };
    let (from, steps) = work.await.map_err(|fault: Fault| told(fault, address.shown()))?;
    Ok(MigrationReport { ledger: address.shown().display().to_string(), from, to: KNOWN, steps })
}

/// Held until the connection ends, so also by one that dies. The name is for all of the server.
async fn lock(session: &mut Session) -> Result<(), Fault> {
    let lock = format!("SELECT GET_LOCK(CONCAT('sentinel-', MD5(DATABASE())), {LOCK_S}) AS held");
    let held: Held = diesel::sql_query(lock).get_result(&mut session.connection).await?;
    match held.held {
        Some(1) => Ok(()),
        _ => Err(Fault::Away(format!("another migration did not end within {LOCK_S} s"))),
    }
}

async fn steps(session: &mut Session, state: MigrationMode) -> Result<(u32, Vec<u32>), Fault> {
    let from = match format(session).await? {
        Some((version, readable_by)) => {
            refuse_newer(version, readable_by)?;
            version
        }
        None => 0,
    };
    let mut done = Vec::new();
    for step in STEPS.iter().filter(|step| step.version > from) {
        if state == MigrationMode::Apply {
            session.run(TABLE).await?;
            for statement in statements(step.sql) {
                session.run(&statement).await?;
            }
            let row = format!(
                "INSERT INTO formats (version, readable_by) VALUES ({}, {})",
                step.version, step.readable_by
            );
            session.run(&row).await?;
        }
        done.push(step.version);
    }
    Ok((from, done))
}

/// The statements of a file. None of them has a `;` within.
fn statements(sql: &str) -> Vec<String> {
    let lines = sql.lines().filter(|line| !line.trim_start().starts_with("--"));
    let text: Vec<&str> = lines.collect();
    let text = text.join("\n");
    let parts = text.split(';').map(str::trim).filter(|part| !part.is_empty());
    parts.map(str::to_owned).collect()
}

/// Version and oldest reader; None in an empty database.
async fn format(session: &mut Session) -> Result<Option<(u32, u32)>, Fault> {
    #[derive(QueryableByName)]
    struct Tables {
        #[diesel(sql_type = BigInt)]
        tables: i64,
    }
    let there = "SELECT COUNT(*) AS tables FROM information_schema.tables \
                 WHERE table_schema = DATABASE() AND table_name = 'formats'";
    let there: Tables = diesel::sql_query(there).get_result(&mut session.connection).await?;
    if there.tables == 0 {
        return Ok(None);
    }
    let newest = "SELECT MAX(version) AS version, MAX(readable_by) AS readable_by FROM formats";
    let newest: Format = diesel::sql_query(newest).get_result(&mut session.connection).await?;
    Ok(newest.version.zip(newest.readable_by).map(|(v, r)| (v.cast_unsigned(), r.cast_unsigned())))
}

fn refuse_newer(version: u32, readable_by: u32) -> Result<(), Fault> {
    if readable_by > KNOWN {
        return Err(Fault::Newer { found: version.to_string(), known: KNOWN.to_string() });
    }
    Ok(())
}

/// Refuses a database that this version can not work on.
pub(super) async fn refuse_other_format(session: &mut Session) -> Result<(), Fault> {
    let older = |found: u32| Fault::Older { found: found.to_string(), known: KNOWN.to_string() };
    match format(session).await? {
        None => Err(older(0)),
        Some((version, _)) if version < KNOWN => Err(older(version)),
        Some((version, readable_by)) => refuse_newer(version, readable_by),
    }
}
