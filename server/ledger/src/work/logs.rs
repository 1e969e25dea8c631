//! What handlers logged: kept once, in order, within a bound an attempt, and forgotten.

use sentinel_domain::JobId;
use sentinel_domain::limits::{LOG_ATTEMPT_BYTES, PAGE_MAX};

use super::outputs::remove_output;
use crate::rows::{Attempt, Lock, LogSize, Rows};
use crate::sql::Fault;
use crate::{LogQuery, LogRow};

/// Lines that are dropped at once to make room.
const DROP_STEP: i64 = 256;

/// Lines of logs and pieces of output that one transaction deletes at the most.
const LINES_MAX: i64 = 2_048;

/// Writes lines. A line that is there stays as it is; the oldest lines of
/// an attempt make room for the newest.
pub(crate) async fn append_logs<R: Rows>(rows: &mut R, lines: &[LogRow]) -> Result<(), Fault> {
    let mut lines: Vec<&LogRow> = lines.iter().collect();
    lines.sort_by_key(|row| (row.job, row.cursor()));
    let same = |a: &&LogRow, b: &&LogRow| (a.job, a.run, a.attempt) == (b.job, b.run, b.attempt);
    for batch in lines.chunk_by(same) {
        append_attempt(rows, batch).await?;
    }
    Ok(())
}

async fn append_attempt<R: Rows>(rows: &mut R, lines: &[&LogRow]) -> Result<(), Fault> {
    let first = lines.first().expect("chunks are not empty");
    let of =
        Attempt { job: first.job, run: i64::from(first.run), attempt: i64::from(first.attempt) };
    let mut size = rows.log_size(of, Lock::Held).await?.unwrap_or_default();
    // A line that was dropped for room and comes again stays dropped.
    let new: Vec<(i64, &LogRow)> = lines
        .iter()
        .map(|row| (signed(row.seq), *row))
        .filter(|(seq, _)| *seq >= size.first_seq)
        .collect();
    size.bytes += rows.put_lines(of, &new).await?;
    while size.bytes > LOG_ATTEMPT_BYTES.cast_signed() {
        size = drop_oldest(rows, of, size.bytes).await?;
    }
    rows.put_log_size(of, size).await
}

fn signed(seq: u64) -> i64 {
    seq.min(i64::MAX as u64).cast_signed()
}

/// Drops lines from the oldest on until the rest fits or a step is done. Answers the bytes
/// that are left and the first seq that is not dropped.
async fn drop_oldest<R: Rows>(rows: &mut R, of: Attempt, bytes: i64) -> Result<LogSize, Fault> {
    let mut left = LogSize { bytes, first_seq: 0 };
    for (seq, bytes) in rows.oldest_lines(of, DROP_STEP).await? {
        if left.bytes <= LOG_ATTEMPT_BYTES.cast_signed() {
            break;
        }
        left.bytes -= bytes;
        left.first_seq = seq + 1;
    }
    rows.drop_lines(of, Some(left.first_seq)).await?;
    Ok(left)
}

/// What the lines of an attempt add up to, in bytes.
pub(crate) async fn log_bytes<R: Rows>(
    rows: &mut R,
    job: JobId,
    run: u32,
    attempt: u32,
) -> Result<u64, Fault> {
    let of = Attempt { job, run: i64::from(run), attempt: i64::from(attempt) };
    let size = rows.log_size(of, Lock::Free).await?.unwrap_or_default();
    Ok(size.bytes.cast_unsigned())
}

/// Lines in the order of run, attempt and seq. Goes attempt by attempt, since no one range
/// of the key starts in the middle of an attempt and goes on into the next.
pub(crate) async fn read_logs<R: Rows>(
    rows: &mut R,
    query: LogQuery,
) -> Result<Vec<LogRow>, Fault> {
    let limit = query.limit.clamp(1, PAGE_MAX as usize);
    let after = query.after;
    let first_run = after.map_or(0, |after| i64::from(after.run));
    let begin = after.map(|after| (i64::from(after.run), i64::from(after.attempt)));
    let wanted = query.attempt.map(i64::from);
    let mut found = Vec::new();
    for (run, attempt) in rows.log_attempts(query.job, first_run).await? {
        if found.len() == limit
            || wanted.is_some_and(|wanted| wanted != attempt)
            || begin.is_some_and(|begin| (run, attempt) < begin)
        {
            continue;
        }
        let after_seq = match after {
            Some(after) if begin == Some((run, attempt)) => signed(after.seq),
            _ => -1,
        };
        let of = Attempt { job: query.job, run, attempt };
        let lines = rows.lines(of, after_seq, (limit - found.len()) as i64).await?;
        found.extend(lines.into_iter().map(|line| LogRow {
            job: query.job,
            run: run as u32,
            attempt: attempt as u32,
            seq: line.seq.cast_unsigned(),
            at: line.at,
            level: line.level as u8,
            text: line.text,
        }));
    }
    Ok(found)
}

/// Deletes log lines and output of jobs. Answers how many of the jobs have none left.
pub(crate) async fn remove_logs<R: Rows>(rows: &mut R, ids: &[JobId]) -> Result<usize, Fault> {
    let mut left = LINES_MAX;
    for (done, job) in ids.iter().enumerate() {
        for (run, attempt) in rows.log_attempts(*job, 0).await? {
            let of = Attempt { job: *job, run, attempt };
            let beyond = rows.seq_at(of, left).await?;
            let dropped = rows.drop_lines(of, beyond).await?;
            if beyond.is_some() {
                return Ok(done);
            }
            left -= dropped as i64;
            rows.drop_log_size(of).await?;
        }
        left -= remove_output(rows, *job, left.max(1)).await?;
        if left <= 0 {
            return Ok(done);
        }
    }
    Ok(ids.len())
}
