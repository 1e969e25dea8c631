//! Many rows a statement, as far as one may be long.

use diesel::prelude::{BoolExpressionMethods, ExpressionMethods, OptionalExtension, QueryDsl};
use diesel_async::RunQueryDsl;
use sentinel_domain::{AttemptEnd, Job, Label};
use sentinel_store::codec::code;

use super::session::Session;
use super::statement::{Put, Target, Value};
use crate::LogRow;
use crate::rows::{Attempt, Extent};
use crate::sql::schema::{attempts, jobs, keys, labels, specs};
use crate::sql::{Fault, key};
use crate::work::batch::{Batch, Changed, Created};

/// Rows of one statement.
const ROWS_MAX: usize = 512;

/// Bytes of one statement, unless a single row has more.
const STATEMENT_BYTES: usize = 2 << 20;

/// A queue that no job can be in: a name is never empty. The row that a change of an unknown
/// job makes is found by it, and undone with all else.
const NOWHERE: &str = "";

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
           `ended_at_ms`, `worker`, `error_message`, `error_code`, `error_retryable`)",
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

/// Writes a batch, kind by kind.
pub(super) async fn write(session: &mut Session, batch: &Batch<'_>) -> Result<(), Fault> {
    let born: Vec<_> = batch.born.iter().map(born).collect();
    put(session, JOBS, &born).await?;
    put_changes(session, &batch.changed).await?;
    let specs = batch.specs.iter().map(|(id, spec)| [Value::Bytes(id), Value::Bytes(spec)]);
    put(session, SPECS, &specs.collect::<Vec<_>>()).await?;
    let labels = batch.labels.iter().map(|(Label { key, value }, job)| {
        [Value::Text(key), Value::Text(value), Value::Bytes(job)]
    });
    put(session, LABELS, &labels.collect::<Vec<_>>()).await?;
    let ends: Vec<_> = batch.ends.iter().map(|(id, end)| ended(id, end)).collect();
    put(session, ATTEMPTS, &ends).await?;
    let keys = batch
        .keys
        .iter()
        .map(|(key, (job, until))| [Value::Bytes(key), Value::Bytes(job), Value::Long(*until)]);
    put(session, KEYS, &keys.collect::<Vec<_>>()).await?;
    let queues = batch.queues.iter().map(|(name, row)| [Value::Text(name), Value::Bytes(row)]);
    put(session, QUEUES, &queues.collect::<Vec<_>>()).await?;
    let producers = batch
        .producers
        .iter()
        .map(|(id, (answer, until))| [Value::Text(id), Value::Bytes(answer), Value::Long(*until)]);
    put(session, PRODUCERS, &producers.collect::<Vec<_>>()).await
}

/// Puts rows, as many a statement as fit.
pub(crate) async fn put<const COLUMNS: usize>(
    session: &mut Session,
    target: Target,
    rows: &[[Value<'_>; COLUMNS]],
) -> Result<(), Fault> {
    let bytes = |row: &[Value<'_>; COLUMNS]| row.iter().map(Value::bytes).sum();
    for rows in chunks(rows, bytes) {
        let statement = Put { target, rows: rows.to_vec() };
        statement.execute(&mut session.connection).await?;
    }
    Ok(())
}

fn born<'a>(born: &'a Created<'_>) -> [Value<'a>; 7] {
    let Created { change, queue, kind, spec, spec_bytes } = born;
    row(change, (queue, kind), (*spec, *spec_bytes))
}

fn row<'a>(
    change: &'a Changed,
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

/// New states of known jobs, by the statement that inserts: no other takes many rows.
async fn put_changes(session: &mut Session, changed: &[Changed]) -> Result<(), Fault> {
    if changed.is_empty() {
        return Ok(());
    }
    let rows: Vec<_> =
        changed.iter().map(|change| row(change, (NOWHERE, NOWHERE), (None, 0))).collect();
    put(session, JOBS, &rows).await?;
    let unknown: Option<Vec<u8>> = jobs::table
        .filter(jobs::queue.eq(NOWHERE))
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

fn ended<'a>(id: &'a [u8], end: &'a AttemptEnd) -> [Value<'a>; 11] {
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
    ]
}

/// Parts of a list, each of which fits into a statement.
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

/// Deletes jobs with all that belongs to them but log lines.
pub(super) async fn delete(
    session: &mut Session,
    gone: &[Job],
    extent: Extent,
) -> Result<usize, Fault> {
    let connection = &mut session.connection;
    let ids: Vec<[u8; 16]> = gone.iter().map(|job| key(job.id)).collect();
    let ids: Vec<&[u8]> = ids.iter().map(|id| &id[..]).collect();
    let mut rows = 0;
    let labelled = gone.iter().zip(&ids).flat_map(|(job, id)| {
        job.spec.labels.iter().map(move |label| (&*label.key, &*label.value, *id))
    });
    let labelled: Vec<_> = labelled.collect();
    for labelled in labelled.chunks(ROWS_MAX) {
        // A row at a time by OR: MariaDB finds no range in a list of rows.
        let mut of = diesel::delete(labels::table).into_boxed();
        for (key, value, job) in labelled {
            let row = labels::key.eq(*key).and(labels::value.eq(*value)).and(labels::job.eq(*job));
            of = of.or_filter(row);
        }
        rows += of.execute(connection).await?;
    }
    rows += diesel::delete(specs::table.filter(specs::id.eq_any(&ids))).execute(connection).await?;
    rows += diesel::delete(jobs::table.filter(jobs::id.eq_any(&ids))).execute(connection).await?;
    if extent == Extent::Spec {
        return Ok(rows);
    }
    let ends = attempts::table.filter(attempts::job.eq_any(&ids));
    rows += diesel::delete(ends).execute(connection).await?;
    for (job, id) in gone.iter().zip(&ids) {
        if let Some(unique) = sentinel_domain::unique_key(&job.spec) {
            let held = keys::table.find(unique.as_bytes()).filter(keys::job.eq(*id));
            rows += diesel::delete(held).execute(connection).await?;
        }
    }
    Ok(rows)
}

/// Adds the lines that are not there; answers their bytes.
pub(super) async fn put_lines(
    session: &mut Session,
    of: Attempt,
    lines: &[(i64, &LogRow)],
) -> Result<i64, Fault> {
    let job = key(of.job);
    let mut added = 0;
    for lines in chunks(lines, |(_, row)| row.text.len()) {
        let seqs: Vec<i64> = lines.iter().map(|(seq, _)| *seq).collect();
        let mut known = session.known_seqs(of, &seqs).await?;
        let mut rows = Vec::with_capacity(lines.len());
        // A seq twice in a call counts once.
        for (seq, row) in lines.iter().filter(|(seq, _)| known.insert(*seq)) {
            added += row.text.len() as i64;
            rows.push([
                Value::Bytes(&job),
                Value::Long(of.run),
                Value::Long(of.attempt),
                Value::Long(*seq),
                Value::Long(row.at),
                Value::Integer(i32::from(row.level)),
                Value::Text(&row.text),
            ]);
        }
        put(session, LOGS, &rows).await?;
    }
    Ok(added)
}
