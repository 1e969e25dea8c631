//! What handlers logged. In a file of its own: a flood of lines must not hold the lock
//! that projection needs.

use diesel::prelude::*;
use diesel::upsert::excluded;
use sentinel_domain::JobId;
use sentinel_domain::limits::{LOG_ATTEMPT_BYTES, PAGE_MAX};

use super::fault::Fault;
use super::key;
use super::schema::{log_sizes, logs};
use crate::{LogQuery, LogRow};

/// Lines that are dropped at once to make room.
const DROP_STEP: i64 = 256;

/// Writes lines. A line that is there stays as it is; the oldest lines of
/// an attempt make room for the newest.
pub(crate) fn append_logs(connection: &mut SqliteConnection, rows: &[LogRow]) -> Result<(), Fault> {
    let mut rows: Vec<&LogRow> = rows.iter().collect();
    rows.sort_by_key(|row| (row.job, row.cursor()));
    let same = |a: &&LogRow, b: &&LogRow| (a.job, a.run, a.attempt) == (b.job, b.run, b.attempt);
    for batch in rows.chunk_by(same) {
        append_attempt(connection, batch)?;
    }
    Ok(())
}

fn append_attempt(connection: &mut SqliteConnection, rows: &[&LogRow]) -> Result<(), Fault> {
    let first = rows.first().expect("chunks are not empty");
    let (job, run, attempt) = (key(first.job), i64::from(first.run), i64::from(first.attempt));
    let size: Option<(i64, i64)> = log_sizes::table
        .find((&job[..], run, attempt))
        .select((log_sizes::bytes, log_sizes::first_seq))
        .get_result(connection)
        .optional()?;
    let (mut bytes, mut first_seq) = size.unwrap_or_default();
    for row in rows {
        // A line that was dropped for room and comes again stays dropped.
        let seq = row.seq.min(i64::MAX as u64).cast_signed();
        if seq < first_seq {
            continue;
        }
        let added = diesel::insert_into(logs::table)
            .values((
                logs::job.eq(&job[..]),
                logs::run.eq(run),
                logs::attempt.eq(attempt),
                logs::seq.eq(seq),
                logs::at_ms.eq(row.at),
                logs::level.eq(i32::from(row.level)),
                logs::text.eq(&row.text),
            ))
            .on_conflict_do_nothing()
            .execute(connection)?;
        if added == 1 {
            bytes += row.text.len() as i64;
        }
    }
    while bytes > LOG_ATTEMPT_BYTES.cast_signed() {
        (bytes, first_seq) = drop_oldest(connection, (&job, run, attempt), bytes)?;
    }
    diesel::insert_into(log_sizes::table)
        .values((
            log_sizes::job.eq(&job[..]),
            log_sizes::run.eq(run),
            log_sizes::attempt.eq(attempt),
            log_sizes::bytes.eq(bytes),
            log_sizes::first_seq.eq(first_seq),
        ))
        .on_conflict((log_sizes::job, log_sizes::run, log_sizes::attempt))
        .do_update()
        .set((
            log_sizes::bytes.eq(excluded(log_sizes::bytes)),
            log_sizes::first_seq.eq(excluded(log_sizes::first_seq)),
        ))
        .execute(connection)?;
    Ok(())
}

/// Drops lines from the oldest on until the rest fits or a step is done. Answers the bytes
/// that are left and the first seq that is not dropped.
fn drop_oldest(
    connection: &mut SqliteConnection,
    (job, run, attempt): (&[u8], i64, i64),
    mut bytes: i64,
) -> Result<(i64, i64), Fault> {
    let of = logs::table
        .filter(logs::job.eq(job))
        .filter(logs::run.eq(run))
        .filter(logs::attempt.eq(attempt));
    let oldest: Vec<(i64, String)> = of
        .order(logs::seq.asc())
        .limit(DROP_STEP)
        .select((logs::seq, logs::text))
        .load(connection)?;
    let mut first_seq = 0;
    for (seq, text) in oldest {
        if bytes <= LOG_ATTEMPT_BYTES.cast_signed() {
            break;
        }
        bytes -= text.len() as i64;
        first_seq = seq + 1;
    }
    diesel::delete(of.filter(logs::seq.lt(first_seq))).execute(connection)?;
    Ok((bytes, first_seq))
}

/// What the lines of an attempt add up to, in bytes.
pub(crate) fn log_bytes(
    connection: &mut SqliteConnection,
    job: JobId,
    run: u32,
    attempt: u32,
) -> Result<u64, Fault> {
    let bytes: Option<i64> = log_sizes::table
        .find((&key(job)[..], i64::from(run), i64::from(attempt)))
        .select(log_sizes::bytes)
        .get_result(connection)
        .optional()?;
    Ok(bytes.unwrap_or_default().cast_unsigned())
}

/// Lines in the order of run, attempt and seq. Goes attempt by attempt, since no one range
/// of the key starts in the middle of an attempt and goes on into the next.
pub(crate) fn read_logs(
    connection: &mut SqliteConnection,
    query: LogQuery,
) -> Result<Vec<LogRow>, Fault> {
    let limit = query.limit.clamp(1, PAGE_MAX as usize);
    let job = key(query.job);
    let after = query.after;
    let attempts: Vec<(i64, i64)> = log_sizes::table
        .filter(log_sizes::job.eq(&job[..]))
        .filter(log_sizes::run.ge(after.map_or(0, |after| i64::from(after.run))))
        .order((log_sizes::run.asc(), log_sizes::attempt.asc()))
        .select((log_sizes::run, log_sizes::attempt))
        .load(connection)?;
    let wanted = query.attempt.map(i64::from);
    let mut found = Vec::new();
    for (run, attempt) in attempts {
        let begin = after.map(|after| (i64::from(after.run), i64::from(after.attempt)));
        if found.len() == limit
            || wanted.is_some_and(|wanted| wanted != attempt)
            || begin.is_some_and(|begin| (run, attempt) < begin)
        {
            continue;
        }
        let after_seq = match after {
            Some(after) if begin == Some((run, attempt)) => {
                after.seq.min(i64::MAX as u64).cast_signed()
            }
            _ => -1,
        };
        let rows: Vec<(i64, i64, i32, String)> = logs::table
            .filter(logs::job.eq(&job[..]))
            .filter(logs::run.eq(run))
            .filter(logs::attempt.eq(attempt))
            .filter(logs::seq.gt(after_seq))
            .order(logs::seq.asc())
            .limit((limit - found.len()) as i64)
            .select((logs::seq, logs::at_ms, logs::level, logs::text))
            .load(connection)?;
        found.extend(rows.into_iter().map(|(seq, at, level, text)| LogRow {
            job: query.job,
            run: run as u32,
            attempt: attempt as u32,
            seq: seq.cast_unsigned(),
            at,
            level: level as u8,
            text,
        }));
    }
    Ok(found)
}
