//! The state of an import, in the database that it writes to.

use diesel::prelude::{ExpressionMethods, OptionalExtension, QueryDsl};
use diesel_async::RunQueryDsl;
use sentinel_domain::Millis;
use sentinel_store::{JournalEntry, Position};

use super::connection::MysqlSession;
use crate::connection::Connection;
use crate::connection::kinds::KindConnection;
use crate::database_error::DatabaseError;
use crate::sql::schema::{log_sizes, moves};
use crate::types::import::{Import, ImportStep};

const SHARD: i32 = 0;

/// A row of `moves`.
type ImportRow = (i64, i64, String, i32, i64);

/// Returns the import into this database, whether it is finished or not.
pub(crate) async fn current(session: &mut MysqlSession) -> Result<Option<Import>, DatabaseError> {
    let row: Option<ImportRow> = moves::table
        .find(SHARD)
        .select((moves::epoch, moves::seq, moves::directory, moves::step, moves::moved))
        .get_result(&mut session.connection)
        .await
        .optional()?;
    Ok(row.map(|(epoch, seq, directory, step, rows)| Import {
        source: Position { epoch: epoch.cast_unsigned(), seq: seq.cast_unsigned() },
        directory,
        step: decode_step(step),
        rows: rows.cast_unsigned(),
    }))
}

const fn decode_step(code: i32) -> ImportStep {
    match code {
        1 => ImportStep::CopyRows,
        2 => ImportStep::FillStore,
        _ => ImportStep::Done,
    }
}

const fn step_code(step: ImportStep) -> i32 {
    match step {
        ImportStep::CopyRows => 1,
        ImportStep::FillStore => 2,
        ImportStep::Done => 3,
    }
}

/// Fails while an import is unfinished: some of the rows are missing.
pub(super) async fn refuse_unfinished(session: &mut MysqlSession) -> Result<(), DatabaseError> {
    match current(session).await? {
        Some(import) if import.step != ImportStep::Done => {
            Err(DatabaseError::ImportInProgress(import.directory))
        }
        _ => Ok(()),
    }
}

/// Begins an import into an empty database. Sets the checkpoint to that of the source, so that no
/// server begins a new store with this ledger.
pub(crate) async fn begin(
    session: &mut MysqlSession,
    import: &Import,
    at: Millis,
) -> Result<(), DatabaseError> {
    refuse_existing_rows(session).await?;
    diesel::insert_into(moves::table)
        .values((
            moves::shard.eq(SHARD),
            moves::epoch.eq(import.source.epoch.cast_signed()),
            moves::seq.eq(import.source.seq.cast_signed()),
            moves::directory.eq(&import.directory),
            moves::step.eq(step_code(ImportStep::CopyRows)),
            moves::moved.eq(0),
        ))
        .execute(&mut session.connection)
        .await?;
    let (jobs, queues, requests) = Default::default();
    let last =
        JournalEntry { position: import.source, at, jobs, queues, idempotency_records: requests };
    if import.source.seq > 0 && !session.move_checkpoint(Position::default(), &last).await? {
        return Err(DatabaseError::NotEmpty("a checkpoint".to_owned()));
    }
    Ok(())
}

async fn refuse_existing_rows(session: &mut MysqlSession) -> Result<(), DatabaseError> {
    let (checkpoint, _) = session.checkpoint().await?;
    let logs = log_sizes::table.select(log_sizes::run).limit(1);
    let contents = if checkpoint != Position::default() {
        format!("the journal of a server up to {checkpoint}")
    } else if let Some(queue) = session.queue_after("").await? {
        format!("jobs in the queue {queue}")
    } else if !session.queues().await?.is_empty() {
        "queues".to_owned()
    } else if !session.held_unique_keys(0).await?.is_empty() {
        "unique keys".to_owned()
    } else if session.count_kinds().await? > 0 {
        "kinds of jobs".to_owned()
    } else if logs.get_result::<i64>(&mut session.connection).await.optional()?.is_some() {
        "log lines".to_owned()
    } else {
        return Ok(());
    };
    Err(DatabaseError::NotEmpty(contents))
}

/// Adds to the number of copied rows.
pub(crate) async fn add_rows(session: &mut MysqlSession, rows: usize) -> Result<(), DatabaseError> {
    diesel::update(moves::table.find(SHARD))
        .set(moves::moved.eq(moves::moved + rows as i64))
        .execute(&mut session.connection)
        .await?;
    Ok(())
}

pub(crate) async fn set_step(
    session: &mut MysqlSession,
    step: ImportStep,
) -> Result<(), DatabaseError> {
    diesel::update(moves::table.find(SHARD))
        .set(moves::step.eq(step_code(step)))
        .execute(&mut session.connection)
        .await?;
    Ok(())
}
