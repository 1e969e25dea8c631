//! Look-ups by key, and what a start needs.

use bytes::Bytes;
use diesel::prelude::*;
use sentinel_broker::Position;
use sentinel_broker::codec::{self, Names, code};
use sentinel_domain::limits::PAGE_MAX;
use sentinel_domain::{AttemptEnd, Job, JobError, JobId, Millis, Queue, State, UniqueKey};

use super::fault::Fault;
use super::scan::{Direction, Merge, Source, queue_names};
use super::schema::{attempts, checkpoints, jobs, keys, queues, specs};
use super::{job_id, key};

/// How far the journal has been projected.
pub(crate) fn checkpoint(connection: &mut SqliteConnection) -> Result<Position, Fault> {
    let (epoch, seq): (i64, i64) = checkpoints::table
        .find(0)
        .select((checkpoints::epoch, checkpoints::seq))
        .get_result(connection)?;
    Ok(Position { epoch: epoch.cast_unsigned(), seq: seq.cast_unsigned() })
}

/// When the last projected entry was committed.
pub(crate) fn as_of(connection: &mut SqliteConnection) -> Result<Millis, Fault> {
    Ok(checkpoints::table.find(0).select(checkpoints::at_ms).get_result(connection)?)
}

/// The jobs in the order asked. One cached statement a job: a list of ids would be
/// compiled anew for every length.
pub(crate) fn get(
    connection: &mut SqliteConnection,
    ids: &[JobId],
) -> Result<Vec<Option<Job>>, Fault> {
    let mut names = Names::default();
    ids.iter().map(|id| job(connection, *id, &mut names)).collect()
}

/// One job, if the ledger has it. Without LIMIT: SQLite looks into a bound limit when it
/// plans, and so compiles the statement anew for each value.
pub(super) fn job(
    connection: &mut SqliteConnection,
    id: JobId,
    names: &mut Names,
) -> Result<Option<Job>, Fault> {
    let bytes = key(id);
    let row: Option<(Vec<u8>, Option<Vec<u8>>)> = jobs::table
        .find(&bytes[..])
        .select((jobs::status, jobs::spec))
        .get_result(connection)
        .optional()?;
    let Some((status, spec)) = row else { return Ok(None) };
    let spec = match spec {
        Some(spec) => spec,
        None => specs::table.find(&bytes[..]).select(specs::spec).get_result(connection)?,
    };
    Ok(Some(codec::decode_job(id, Bytes::from(spec), Bytes::from(status), names)?))
}

/// Keys that are held beyond `now`, with their holders.
pub(crate) fn held_keys(
    connection: &mut SqliteConnection,
    now: Millis,
) -> Result<Vec<(UniqueKey, JobId, Millis)>, Fault> {
    let rows: Vec<(Vec<u8>, Vec<u8>, Millis)> =
        keys::table.filter(keys::until_ms.gt(now)).load(connection)?;
    rows.into_iter()
        .map(|(key, job, until)| Ok((UniqueKey::from_bytes(&key), job_id(&job)?, until)))
        .collect()
}

/// Jobs that are not final, by rising id. Every queue and state has its own sorted range
/// in the index, so the ranges are merged.
pub(crate) fn live(
    connection: &mut SqliteConnection,
    after: Option<JobId>,
    limit: usize,
) -> Result<Vec<Job>, Fault> {
    let states = State::ALL.into_iter().filter(|state| !state.is_final());
    let mut sources = Vec::new();
    for queue in queue_names(connection)? {
        sources.extend(states.clone().map(|state| Source::State(queue.clone(), state)));
    }
    let mut merge = Merge::new(sources, Direction::Rising { after }, limit);
    let mut names = Names::default();
    let mut found = Vec::new();
    while found.len() < limit {
        let Some(candidate) = merge.next(connection)? else { break };
        found.extend(job(connection, candidate.id, &mut names)?);
    }
    Ok(found)
}

/// Every declared queue, by name.
pub(crate) fn queues(connection: &mut SqliteConnection) -> Result<Vec<Queue>, Fault> {
    let rows: Vec<Vec<u8>> =
        queues::table.order(queues::name).select(queues::declaration).load(connection)?;
    let mut names = Names::default();
    rows.into_iter().map(|row| Ok(codec::decode_queue(Bytes::from(row), &mut names)?)).collect()
}

#[derive(Queryable, Selectable)]
#[diesel(table_name = attempts)]
struct AttemptRow {
    epoch: i64,
    run: i64,
    attempt: i64,
    outcome: i32,
    started_at_ms: Option<i64>,
    ended_at_ms: i64,
    worker: Option<String>,
    error_message: Option<String>,
    error_code: Option<String>,
    error_retryable: Option<bool>,
}

impl AttemptRow {
    fn into_end(self) -> Result<AttemptEnd, Fault> {
        let error = match (self.error_message, self.error_code, self.error_retryable) {
            (Some(message), Some(code), Some(retryable)) => {
                Some(Box::new(JobError { message: message.into(), code: code.into(), retryable }))
            }
            _ => None,
        };
        Ok(AttemptEnd {
            run: self.run as u32,
            attempt: self.attempt as u32,
            epoch: self.epoch.cast_unsigned(),
            outcome: code::to_outcome(self.outcome.cast_unsigned())?,
            started_at: self.started_at_ms,
            ended_at: self.ended_at_ms,
            worker: self.worker.map(Into::into),
            error,
        })
    }
}

/// The attempts of a job that ended without success, oldest first; of more than a page
/// the newest.
pub(crate) fn attempts(
    connection: &mut SqliteConnection,
    id: JobId,
) -> Result<Vec<AttemptEnd>, Fault> {
    let rows: Vec<AttemptRow> = attempts::table
        .filter(attempts::job.eq(&key(id)[..]))
        .order(attempts::epoch.desc())
        .limit(PAGE_MAX.cast_signed())
        .select(AttemptRow::as_select())
        .load(connection)?;
    rows.into_iter().rev().map(AttemptRow::into_end).collect()
}
