//! What a database knows of rows that are carried to it from the files of one server.

use diesel::prelude::{ExpressionMethods, OptionalExtension, QueryDsl};
use diesel_async::RunQueryDsl;
use sentinel_domain::Millis;
use sentinel_store::{JournalEntry, Position};

use super::session::Session;
use crate::carry::{Import, ImportStep};
use crate::rows::{KindRows, Rows};
use crate::sql::Fault;
use crate::sql::schema::{log_sizes, moves};

const SHARD: i32 = 0;

/// A row of `moves`.
type MoveRow = (i64, i64, String, i32, i64);

/// The move into this database, whether it has ended or not.
pub(crate) async fn current(session: &mut Session) -> Result<Option<Import>, Fault> {
    let row: Option<MoveRow> = moves::table
        .find(SHARD)
        .select((moves::epoch, moves::seq, moves::directory, moves::step, moves::moved))
        .get_result(&mut session.connection)
        .await
        .optional()?;
    Ok(row.map(|(epoch, seq, directory, step, moved)| Import {
        source: Position { epoch: epoch.cast_unsigned(), seq: seq.cast_unsigned() },
        directory,
        step: step_of(step),
        rows: moved.cast_unsigned(),
    }))
}

const fn step_of(code: i32) -> ImportStep {
    match code {
        1 => ImportStep::CopyRows,
        2 => ImportStep::FillStore,
        _ => ImportStep::Done,
    }
}

const fn code_of(step: ImportStep) -> i32 {
    match step {
        ImportStep::CopyRows => 1,
        ImportStep::FillStore => 2,
        ImportStep::Done => 3,
    }
}

/// Nobody works on a part of the rows.
pub(super) async fn refuse_half(session: &mut Session) -> Result<(), Fault> {
    match current(session).await? {
        Some(begun) if begun.step != ImportStep::Done => Err(Fault::Moving(begun.directory)),
        _ => Ok(()),
    }
}

/// Begins a move into a database that is empty. From here on it says of itself to be where the
/// source is, so that no server begins a store beside it.
pub(crate) async fn begin(session: &mut Session, of: &Import, at: Millis) -> Result<(), Fault> {
    refuse_rows(session).await?;
    diesel::insert_into(moves::table)
        .values((
            moves::shard.eq(SHARD),
            moves::epoch.eq(of.source.epoch.cast_signed()),
            moves::seq.eq(of.source.seq.cast_signed()),
            moves::directory.eq(&of.directory),
            moves::step.eq(code_of(ImportStep::CopyRows)),
            moves::moved.eq(0),
        ))
        .execute(&mut session.connection)
        .await?;
    let (jobs, queues, requests) = Default::default();
    let last = JournalEntry { position: of.source, at, jobs, queues, requests };
    if of.source.seq > 0 && !session.move_checkpoint(Position::default(), &last).await? {
        return Err(Fault::NotEmpty("a checkpoint".to_owned()));
    }
    Ok(())
}

async fn refuse_rows(session: &mut Session) -> Result<(), Fault> {
    let (checkpoint, _) = session.checkpoint().await?;
    let of_logs = log_sizes::table.select(log_sizes::run).limit(1);
    let holds = if checkpoint != Position::default() {
        format!("the journal of a server up to {checkpoint}")
    } else if let Some(queue) = session.queue_after("").await? {
        format!("jobs in the queue {queue}")
    } else if !session.queues().await?.is_empty() {
        "queues".to_owned()
    } else if !session.held_keys(0).await?.is_empty() {
        "unique keys".to_owned()
    } else if session.count_kinds().await? > 0 {
        "kinds of jobs".to_owned()
    } else if of_logs.get_result::<i64>(&mut session.connection).await.optional()?.is_some() {
        "log lines".to_owned()
    } else {
        return Ok(());
    };
    Err(Fault::NotEmpty(holds))
}

/// Some rows more are here.
pub(crate) async fn arrived(session: &mut Session, rows: usize) -> Result<(), Fault> {
    diesel::update(moves::table.find(SHARD))
        .set(moves::moved.eq(moves::moved + rows as i64))
        .execute(&mut session.connection)
        .await?;
    Ok(())
}

pub(crate) async fn set_step(session: &mut Session, step: ImportStep) -> Result<(), Fault> {
    diesel::update(moves::table.find(SHARD))
        .set(moves::step.eq(code_of(step)))
        .execute(&mut session.connection)
        .await?;
    Ok(())
}
