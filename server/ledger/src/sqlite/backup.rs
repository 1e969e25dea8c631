//! Operations on one whole database file: copy, check, change of epoch. They do not use the
//! connection pools, because the process that runs them is not a server.

use std::path::Path;

use diesel::connection::SimpleConnection;
use diesel::prelude::*;
use diesel::sql_types::Text;
use sentinel_store::Position;

use super::errors::with_path;
use super::file::{FileKind, refuse_newer};
use crate::connection::{Connection, complete_now};
use crate::database_error::DatabaseError;
use crate::error::LedgerError;
use crate::sql::schema::checkpoints;

/// Connects to an existing file in a format that this version supports.
fn connect(path: &Path, kind: FileKind) -> Result<SqliteConnection, LedgerError> {
    let unavailable = |message: String| LedgerError::Unavailable { path: path.to_owned(), message };
    if !path.is_file() {
        return Err(unavailable("the file does not exist".to_owned()));
    }
    let absolute = std::path::absolute(path).map_err(|error| unavailable(error.to_string()))?;
    let connect = || {
        let url = absolute.to_string_lossy();
        let mut connection = <SqliteConnection as diesel::Connection>::establish(&url)
            .map_err(DatabaseError::Connect)?;
        connection.batch_execute("PRAGMA busy_timeout = 5000; PRAGMA synchronous = FULL;")?;
        refuse_newer(&mut connection, kind)?;
        Ok(connection)
    };
    connect().map_err(|error: DatabaseError| with_path(error, path))
}

/// Writes a compact copy of the file as of one moment. The statement is a transaction of its own,
/// so it sees only committed data.
pub(crate) fn copy(from: &Path, to: &Path, kind: FileKind) -> Result<(), LedgerError> {
    let mut connection = connect(from, kind)?;
    // A copy of a damaged file silently omits the rows of the damaged pages.
    quick_check(&mut connection).map_err(|error| with_path(error, from))?;
    let copy = diesel::sql_query("VACUUM INTO ?").bind::<Text, _>(to.to_string_lossy());
    copy.execute(&mut connection).map(drop).map_err(|error| LedgerError::Copy {
        from: from.to_owned(),
        to: to.to_owned(),
        message: error.to_string(),
    })
}

/// Reads every page. Returns the checkpoint of a history file, the default of a log file.
pub(crate) fn check(path: &Path, kind: FileKind) -> Result<Position, LedgerError> {
    let mut connection = connect(path, kind)?;
    let mut check = || {
        quick_check(&mut connection)?;
        match kind {
            FileKind::History => read_checkpoint(&mut connection),
            FileKind::Logs => Ok(Position::default()),
        }
    };
    check().map_err(|error: DatabaseError| with_path(error, path))
}

#[derive(QueryableByName)]
struct QuickCheckRow {
    #[diesel(sql_type = Text)]
    quick_check: String,
}

fn quick_check(connection: &mut SqliteConnection) -> Result<(), DatabaseError> {
    let rows: Vec<QuickCheckRow> = diesel::sql_query("PRAGMA quick_check(1)").load(connection)?;
    match rows.into_iter().find(|row| row.quick_check != "ok") {
        None => Ok(()),
        Some(row) => Err(DatabaseError::Damaged(row.quick_check)),
    }
}

fn read_checkpoint(connection: &mut SqliteConnection) -> Result<Position, DatabaseError> {
    complete_now(connection.checkpoint()).map(|(position, _)| position)
}

/// Returns the checkpoint of a history file.
pub(crate) fn checkpoint(path: &Path) -> Result<Position, LedgerError> {
    let mut connection = connect(path, FileKind::History)?;
    read_checkpoint(&mut connection).map_err(|error| with_path(error, path))
}

/// Moves the checkpoint to an epoch that the store's journal began with the same entries.
pub(crate) fn begin_epoch(path: &Path, epoch: u64) -> Result<(), LedgerError> {
    let mut connection = connect(path, FileKind::History)?;
    // A checkpoint before the first entry belongs to no epoch.
    let projected = checkpoints::table.filter(checkpoints::seq.gt(0));
    let update = diesel::update(projected).set(checkpoints::epoch.eq(epoch.cast_signed()));
    update
        .execute(&mut connection)
        .map(drop)
        .map_err(|error| with_path(DatabaseError::Sql(error), path))
}
