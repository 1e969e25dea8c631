//! Writes. Each statement handles as many rows as its maximum length permits.

use std::collections::HashSet;

use diesel::prelude::{BoolExpressionMethods, ExpressionMethods, OptionalExtension, QueryDsl};
use diesel_async::RunQueryDsl;
use sentinel_domain::{AttemptEnd, Job, Label};
use sentinel_store::codec::code;

use super::connection::MysqlSession;
use super::insert::{Insert, Target, Value};
use crate::batch::{Batch, ChangedJob, CreatedJob};
use crate::connection::{AttemptKey, DeleteScope};
use crate::database_error::DatabaseError;
use crate::sql::columns::id_bytes;
use crate::sql::schema::{attempts, jobs, keys, labels, logs, specs};
use crate::sql::selects;
use crate::types::logs::LogRow;

/// The maximum number of rows in one statement.
const ROWS_MAX: usize = 512;

/// The maximum size of one statement, unless a single row is larger.
const STATEMENT_BYTES: usize = 2 << 20;

/// A queue that contains no job, because a queue name is never empty. A change of an unknown job
/// inserts a row with it. That row is detected, and the transaction is rolled back.
const NO_QUEUE: &str = "";

pub(crate) const JOBS: Target = Target {
    into: "`jobs` (`id`, `queue`, `kind`, `state`, `status`, `spec`, `spec_bytes`)",
    on_duplicate: "`state` = VALUES(`state`), `status` = VALUES(`status`)",
};
pub(crate) const SPECS: Target =
    Target { into: "`specs` (`id`, `spec`)", on_duplicate: "`id` = VALUES(`id`)" };
pub(crate) const LABELS: Target =
    Target { into: "`labels` (`key`, `value`, `job`)", on_duplicate: "`job` = VALUES(`job`)" };
pub(crate) const ATTEMPTS: Target = Target {
    into: "`attempts` (`job`, `epoch`, `run`, `attempt`, `outcome`, `started_at_ms`, \
           `ended_at_ms`, `worker`, `error_message`, `error_code`, `error_retryable`, \
           `error_detail`)",
    on_duplicate: "`job` = VALUES(`job`)",
};
pub(crate) const KEYS: Target = Target {
    into: "`keys` (`key`, `job`, `until_ms`)",
    on_duplicate: "`job` = VALUES(`job`), `until_ms` = VALUES(`until_ms`)",
};
pub(crate) const QUEUES: Target = Target {
    into: "`queues` (`name`, `declaration`)",
    on_duplicate: "`declaration` = VALUES(`declaration`)",
};
pub(crate) const PRODUCERS: Target = Target {
    into: "`producers` (`id`, `answer`, `until_ms`)",
    on_duplicate: "`answer` = VALUES(`answer`), `until_ms` = VALUES(`until_ms`)",
};
pub(crate) const LOGS: Target = Target {
    into: "`logs` (`job`, `run`, `attempt`, `seq`, `at_ms`, `level`, `text`)",
    on_duplicate: "`seq` = VALUES(`seq`)",
};
pub(crate) const LOG_SIZES: Target = Target {
    into: "`log_sizes` (`job`, `run`, `attempt`, `bytes`, `first_seq`)",
    on_duplicate: "`job` = VALUES(`job`)",
};

pub(crate) const OUTPUTS: Target = Target {
    into: "`outputs` (`job`, `run`, `attempt`, `epoch`, `piece`, `start_byte`, `end_byte`, `data`)",
    on_duplicate: "`piece` = VALUES(`piece`)",
};

pub(crate) const KINDS: Target = Target {
    into: "`kinds` (`name`, `description`, `input_schema`, `declared_at_ms`, `seen_at_ms`)",
    on_duplicate: "`name` = VALUES(`name`)",
};

/// Writes a batch, table by table.
pub(super) async fn write(
    session: &mut MysqlSession,
    batch: &Batch<'_>,
) -> Result<(), DatabaseError> {
    let created: Vec<_> = batch.created.iter().map(created_row).collect();
    insert(session, JOBS, &created).await?;
    update_jobs(session, &batch.changed).await?;
    let specs = batch.specs.iter().map(|(id, spec)| [Value::Bytes(id), Value::Bytes(spec)]);
    insert(session, SPECS, &specs.collect::<Vec<_>>()).await?;
    let labels = batch.labels.iter().map(|(Label { key, value }, job)| {
        [Value::Text(key), Value::Text(value), Value::Bytes(job)]
    });
    insert(session, LABELS, &labels.collect::<Vec<_>>()).await?;
    let attempts: Vec<_> =
        batch.failed_attempts.iter().map(|(id, end)| attempt_row(id, end)).collect();
    insert(session, ATTEMPTS, &attempts).await?;
    let keys = batch
        .unique_keys
        .iter()
        .map(|(key, (job, until))| [Value::Bytes(key), Value::Bytes(job), Value::Long(*until)]);
    insert(session, KEYS, &keys.collect::<Vec<_>>()).await?;
    let queues = batch.queues.iter().map(|(name, row)| [Value::Text(name), Value::Bytes(row)]);
    insert(session, QUEUES, &queues.collect::<Vec<_>>()).await?;
    let producers = batch.producers.iter().map(|(id, (response, until))| {
        [Value::Text(id), Value::Bytes(response), Value::Long(*until)]
    });
    insert(session, PRODUCERS, &producers.collect::<Vec<_>>()).await
}

/// Inserts rows, as many per statement as fit.
pub(crate) async fn insert<const COLUMNS: usize>(
    session: &mut MysqlSession,
    target: Target,
    rows: &[[Value<'_>; COLUMNS]],
) -> Result<(), DatabaseError> {
    let bytes = |row: &[Value<'_>; COLUMNS]| row.iter().map(Value::bytes).sum();
    for rows in chunks(rows, bytes) {
        let statement = Insert { target, rows: rows.to_vec() };
        statement.execute(&mut session.connection).await?;
    }
    Ok(())
}

fn created_row<'a>(created: &'a CreatedJob<'_>) -> [Value<'a>; 7] {
    let CreatedJob { change, queue, kind, spec, spec_bytes } = created;
    job_row(change, (queue, kind), (*spec, *spec_bytes))
}

fn job_row<'a>(
    change: &'a ChangedJob,
    (queue, kind): (&'a str, &'a str),
    (spec, spec_bytes): (Option<&'a [u8]>, usize),
) -> [Value<'a>; 7] {
    [
        Value::Bytes(&change.id),
        Value::Text(queue),
        Value::Text(kind),
        Value::Integer(change.state),
        Value::Bytes(&change.status),
        Value::MaybeBytes(spec),
        Value::Long(spec_bytes as i64),
    ]
}

/// Updates the state of existing jobs with the insert statement: no other one handles many rows.
async fn update_jobs(
    session: &mut MysqlSession,
    changed: &[ChangedJob],
) -> Result<(), DatabaseError> {
    if changed.is_empty() {
        return Ok(());
    }
    let rows: Vec<_> =
        changed.iter().map(|change| job_row(change, (NO_QUEUE, NO_QUEUE), (None, 0))).collect();
    insert(session, JOBS, &rows).await?;
    let unknown: Option<Vec<u8>> = jobs::table
        .filter(jobs::queue.eq(NO_QUEUE))
        .select(jobs::id)
        .limit(1)
        .get_result(&mut session.connection)
        .await
        .optional()?;
    match unknown.and_then(|id| changed.iter().find(|change| change.id[..] == id[..])) {
        Some(change) => Err(change.missing()),
        None => Ok(()),
    }
}

fn attempt_row<'a>(id: &'a [u8], end: &'a AttemptEnd) -> [Value<'a>; 12] {
    let error = end.error.as_deref();
    [
        Value::Bytes(id),
        Value::Long(end.epoch.cast_signed()),
        Value::Long(i64::from(end.run)),
        Value::Long(i64::from(end.attempt)),
        Value::Integer(code::from_outcome(end.outcome).cast_signed()),
        Value::MaybeLong(end.started_at),
        Value::Long(end.ended_at),
        Value::MaybeText(end.worker.as_deref()),
        Value::MaybeText(error.map(|error| &*error.message)),
        Value::MaybeText(error.map(|error| &*error.code)),
        Value::MaybeBool(error.map(|error| error.retryable)),
        Value::MaybeText(error.and_then(|error| error.detail())),
    ]
}

/// Splits a list into parts that each fit into one statement.
fn chunks<'a, T>(
    mut rows: &'a [T],
    bytes: impl Fn(&T) -> usize + 'a,
) -> impl Iterator<Item = &'a [T]> + 'a {
    std::iter::from_fn(move || {
        let mut sum = 0;
        let fits = |row: &&T| {
            sum += bytes(row);
            sum <= STATEMENT_BYTES
        };
        let count = rows.iter().take(ROWS_MAX).take_while(fits).count().max(1);
        let (chunk, rest) = rows.split_at_checked(count)?;
        rows = rest;
        Some(chunk)
    })
}

/// Deletes jobs with all of their rows except log lines and output. Returns the number of rows.
pub(super) async fn delete(
    session: &mut MysqlSession,
    jobs: &[Job],
    scope: DeleteScope,
) -> Result<usize, DatabaseError> {
    let connection = &mut session.connection;
    let ids: Vec<[u8; 16]> = jobs.iter().map(|job| id_bytes(job.id)).collect();
    let ids: Vec<&[u8]> = ids.iter().map(|id| &id[..]).collect();
    let mut rows = 0;
    let labelled = jobs.iter().zip(&ids).flat_map(|(job, id)| {
        job.spec.labels.iter().map(move |label| (&*label.key, &*label.value, *id))
    });
    let labelled: Vec<_> = labelled.collect();
    for labelled in labelled.chunks(ROWS_MAX) {
        // Rows combined with OR: MariaDB uses no index range for a list of row values.
        let mut delete = diesel::delete(labels::table).into_boxed();
        for (key, value, job) in labelled {
            let row = labels::key.eq(*key).and(labels::value.eq(*value)).and(labels::job.eq(*job));
            delete = delete.or_filter(row);
        }
        rows += delete.execute(connection).await?;
    }
    rows += diesel::delete(specs::table.filter(specs::id.eq_any(&ids))).execute(connection).await?;
    rows += diesel::delete(jobs::table.filter(jobs::id.eq_any(&ids))).execute(connection).await?;
    if scope == DeleteScope::Spec {
        return Ok(rows);
    }
    let ends = attempts::table.filter(attempts::job.eq_any(&ids));
    rows += diesel::delete(ends).execute(connection).await?;
    for (job, id) in jobs.iter().zip(&ids) {
        if let Some(unique) = sentinel_domain::unique_key(&job.spec) {
            let held = keys::table.find(unique.as_bytes()).filter(keys::job.eq(*id));
            rows += diesel::delete(held).execute(connection).await?;
        }
    }
    Ok(rows)
}

/// Inserts the lines that do not exist yet. Returns their size in bytes.
pub(super) async fn insert_lines(
    session: &mut MysqlSession,
    attempt: AttemptKey,
    lines: &[(i64, &LogRow)],
) -> Result<i64, DatabaseError> {
    let job = id_bytes(attempt.job);
    let mut added = 0;
    for lines in chunks(lines, |(_, row)| row.text.len()) {
        let seqs: Vec<i64> = lines.iter().map(|(seq, _)| *seq).collect();
        let mut known = existing_seqs(session, attempt, &seqs).await?;
        let mut rows = Vec::with_capacity(lines.len());
        // A sequence number that occurs twice in a call counts once.
        for (seq, row) in lines.iter().filter(|(seq, _)| known.insert(*seq)) {
            added += row.text.len() as i64;
            rows.push([
                Value::Bytes(&job),
                Value::Long(attempt.run),
                Value::Long(attempt.attempt),
                Value::Long(*seq),
                Value::Long(row.at),
                Value::Integer(i32::from(row.level)),
                Value::Text(&row.text),
            ]);
        }
        insert(session, LOGS, &rows).await?;
    }
    Ok(added)
}

/// Returns which of these sequence numbers exist.
async fn existing_seqs(
    session: &mut MysqlSession,
    attempt: AttemptKey,
    seqs: &[i64],
) -> Result<HashSet<i64>, DatabaseError> {
    let job = id_bytes(attempt.job);
    let existing: Vec<i64> = selects::log_lines_of(&job, attempt.run, attempt.attempt)
        .filter(logs::seq.eq_any(seqs))
        .select(logs::seq)
        .load(&mut session.connection)
        .await?;
    Ok(existing.into_iter().collect())
}
