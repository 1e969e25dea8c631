//! Log lines: appending, reading in order, limiting per attempt, and deleting.

use sentinel_domain::JobId;
use sentinel_domain::limits::{LOG_ATTEMPT_BYTES, PAGE_MAX};

use super::outputs::delete_output;
use crate::connection::{AttemptKey, Connection, LogSize, RowLock};
use crate::database_error::DatabaseError;
use crate::error::LedgerError;
use crate::ledger::{Ledger, with_conn};
use crate::types::logs::{LogQuery, LogRow};

/// The maximum number of lines that one statement drops to keep the size limit.
const DROP_STEP: i64 = 256;

/// The maximum number of log lines and output chunks that one transaction deletes.
const DELETE_MAX: i64 = 2_048;

impl Ledger {
    /// Appends log lines in one transaction. Lines that exist are left unchanged. Beyond
    /// [`sentinel_domain::limits::LOG_ATTEMPT_BYTES`] the oldest lines of an attempt are dropped.
    ///
    /// # Errors
    /// Only those of the database.
    pub async fn append_logs(&self, lines: Vec<LogRow>) -> Result<(), LedgerError> {
        with_conn!(self.logs.write, |conn| append_logs(conn, &lines))
    }

    /// Returns log lines of a job in the order of run, attempt and sequence number.
    ///
    /// # Errors
    /// Only those of the database.
    pub async fn read_logs(&self, query: LogQuery) -> Result<Vec<LogRow>, LedgerError> {
        with_conn!(self.logs.read, |conn| read_logs(conn, query))
    }

    /// Returns the size of an attempt's log lines in bytes of text.
    ///
    /// # Errors
    /// Only those of the database.
    pub async fn log_bytes(&self, job: JobId, run: u32, attempt: u32) -> Result<u64, LedgerError> {
        let attempt = AttemptKey { job, run: i64::from(run), attempt: i64::from(attempt) };
        with_conn!(self.logs.read, |conn| async {
            let size = conn.log_size(attempt, RowLock::None).await?.unwrap_or_default();
            Ok(size.bytes.cast_unsigned())
        })
    }

    /// Deletes log lines and output of jobs, a limited number per call. Returns how many of the
    /// jobs, from the first on, have none left.
    ///
    /// # Errors
    /// Only those of the database.
    pub async fn remove_attempt_data(&self, ids: Vec<JobId>) -> Result<usize, LedgerError> {
        with_conn!(self.logs.write, |conn| remove_attempt_data(conn, &ids))
    }
}

async fn append_logs<C: Connection>(conn: &mut C, lines: &[LogRow]) -> Result<(), DatabaseError> {
    let mut lines: Vec<&LogRow> = lines.iter().collect();
    lines.sort_by_key(|row| (row.job, row.cursor()));
    let same = |a: &&LogRow, b: &&LogRow| (a.job, a.run, a.attempt) == (b.job, b.run, b.attempt);
    for of_attempt in lines.chunk_by(same) {
        append_to_attempt(conn, of_attempt).await?;
    }
    Ok(())
}

async fn append_to_attempt<C: Connection>(
    conn: &mut C,
    lines: &[&LogRow],
) -> Result<(), DatabaseError> {
    let first = lines.first().expect("chunks are not empty");
    let (run, attempt) = (i64::from(first.run), i64::from(first.attempt));
    let attempt = AttemptKey { job: first.job, run, attempt };
    let mut size = conn.log_size(attempt, RowLock::ForUpdate).await?.unwrap_or_default();
    // A line that was dropped to keep the size limit is not inserted again.
    let new: Vec<(i64, &LogRow)> = lines
        .iter()
        .map(|row| (signed(row.seq), *row))
        .filter(|(seq, _)| *seq >= size.first_seq)
        .collect();
    size.bytes += conn.insert_lines(attempt, &new).await?;
    while size.bytes > LOG_ATTEMPT_BYTES.cast_signed() {
        size = drop_oldest(conn, attempt, size.bytes).await?;
    }
    conn.put_log_size(attempt, size).await
}

fn signed(seq: u64) -> i64 {
    seq.min(i64::MAX as u64).cast_signed()
}

/// Drops the oldest lines until the size limit is kept or one step is done. Returns the
/// remaining size and the first sequence number that was not dropped.
async fn drop_oldest<C: Connection>(
    conn: &mut C,
    attempt: AttemptKey,
    bytes: i64,
) -> Result<LogSize, DatabaseError> {
    let mut left = LogSize { bytes, first_seq: 0 };
    for (seq, bytes) in conn.oldest_lines(attempt, DROP_STEP).await? {
        if left.bytes <= LOG_ATTEMPT_BYTES.cast_signed() {
            break;
        }
        left.bytes -= bytes;
        left.first_seq = seq + 1;
    }
    conn.delete_lines(attempt, Some(left.first_seq)).await?;
    Ok(left)
}

/// Reads attempt by attempt: no single range of the key starts in the middle of one attempt and
/// continues with the next.
async fn read_logs<C: Connection>(
    conn: &mut C,
    query: LogQuery,
) -> Result<Vec<LogRow>, DatabaseError> {
    let limit = query.limit.clamp(1, PAGE_MAX as usize);
    let after = query.after;
    let first_run = after.map_or(0, |after| i64::from(after.run));
    let begin = after.map(|after| (i64::from(after.run), i64::from(after.attempt)));
    let wanted = query.attempt.map(i64::from);
    let mut found = Vec::new();
    for (run, attempt) in conn.attempts_with_logs(query.job, first_run).await? {
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
        let key = AttemptKey { job: query.job, run, attempt };
        let lines = conn.log_lines(key, after_seq, (limit - found.len()) as i64).await?;
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

async fn remove_attempt_data<C: Connection>(
    conn: &mut C,
    ids: &[JobId],
) -> Result<usize, DatabaseError> {
    let mut left = DELETE_MAX;
    for (done, job) in ids.iter().enumerate() {
        for (run, attempt) in conn.attempts_with_logs(*job, 0).await? {
            let attempt = AttemptKey { job: *job, run, attempt };
            let beyond = conn.seq_at(attempt, left).await?;
            let deleted = conn.delete_lines(attempt, beyond).await?;
            if beyond.is_some() {
                return Ok(done);
            }
            left -= deleted as i64;
            conn.delete_log_size(attempt).await?;
        }
        left -= delete_output(conn, *job, left.max(1)).await?;
        if left <= 0 {
            return Ok(done);
        }
    }
    Ok(ids.len())
}
