//! One database file as a whole: copied, checked, moved to another epoch. These run outside
//! of the pools, by a process that does not serve.

use std::path::Path;

use diesel::connection::SimpleConnection;
use diesel::prelude::*;
use diesel::sql_types::Text;
use sentinel_store::Position;

use super::fault::told;
use super::file::{Kind, refuse_newer};
use crate::rows::at_once;
use crate::sql::Fault;
use crate::sql::schema::checkpoints;
use crate::{LedgerError, work};

/// A connection to a file that must be there, in a format that this version knows.
fn connect(path: &Path, kind: Kind) -> Result<SqliteConnection, LedgerError> {
    let unavailable = |message: String| LedgerError::Unavailable { path: path.to_owned(), message };
    if !path.is_file() {
        return Err(unavailable("there is no such file".to_owned()));
    }
    let absolute = std::path::absolute(path).map_err(|error| unavailable(error.to_string()))?;
    let connect = || {
        let mut connection =
            SqliteConnection::establish(&absolute.to_string_lossy()).map_err(Fault::Open)?;
        connection.batch_execute("PRAGMA busy_timeout = 5000; PRAGMA synchronous = FULL;")?;
        refuse_newer(&mut connection, kind)?;
        Ok(connection)
    };
    connect().map_err(|fault: Fault| told(fault, path))
}

/// A whole and compact copy of one moment. A transaction of its own, so it sees no half one.
pub(crate) fn copy(from: &Path, to: &Path, kind: Kind) -> Result<(), LedgerError> {
    let mut connection = connect(from, kind)?;
    // A copy leaves out what a damaged page no longer shows.
    quick_check(&mut connection).map_err(|fault| told(fault, from))?;
    let copy = diesel::sql_query("VACUUM INTO ?").bind::<Text, _>(to.to_string_lossy());
    copy.execute(&mut connection).map(drop).map_err(|error| LedgerError::Copy {
        from: from.to_owned(),
        to: to.to_owned(),
        message: error.to_string(),
    })
}

/// Reads every page. Answers the checkpoint, of a file that has one.
pub(crate) fn check(path: &Path, kind: Kind) -> Result<Position, LedgerError> {
    let mut connection = connect(path, kind)?;
    let mut look = || {
        quick_check(&mut connection)?;
        match kind {
            Kind::History => at_once(work::checkpoint(&mut connection)),
            Kind::Logs => Ok(Position::default()),
        }
    };
    look().map_err(|fault: Fault| told(fault, path))
}

#[derive(QueryableByName)]
struct Found {
    #[diesel(sql_type = Text)]
    quick_check: String,
}

fn quick_check(connection: &mut SqliteConnection) -> Result<(), Fault> {
    let found: Vec<Found> = diesel::sql_query("PRAGMA quick_check(1)").load(connection)?;
    match found.into_iter().find(|row| row.quick_check != "ok") {
        None => Ok(()),
        Some(row) => Err(Fault::Damaged(row.quick_check)),
    }
}

pub(crate) fn peek(path: &Path) -> Result<Position, LedgerError> {
    let mut connection = connect(path, Kind::History)?;
    at_once(work::checkpoint(&mut connection)).map_err(|fault| told(fault, path))
}

/// The journal beside it has begun this epoch, with the same entries.
pub(crate) fn begin_epoch(path: &Path, epoch: u64) -> Result<(), LedgerError> {
    let mut connection = connect(path, Kind::History)?;
    // A checkpoint before the first entry is of no epoch.
    let begun = checkpoints::table.filter(checkpoints::seq.gt(0));
    let set = diesel::update(begun).set(checkpoints::epoch.eq(epoch.cast_signed()));
    set.execute(&mut connection).map(drop).map_err(|error| told(Fault::Sql(error), path))
}
