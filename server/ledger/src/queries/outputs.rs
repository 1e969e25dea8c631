//! Streamed output of attempts: appending, reading from an offset, and deleting.

use bytes::Bytes;
use sentinel_domain::JobId;
use sentinel_domain::limits::{OUTPUT_ATTEMPT_BYTES, OUTPUT_CHUNKS};

use crate::connection::{AttemptKey, Connection, LeaseKey};
use crate::database_error::DatabaseError;
use crate::error::LedgerError;
use crate::ledger::{Ledger, with_conn};
use crate::types::outputs::{OutputChunk, OutputPosition, OutputQuery};

impl Ledger {
    /// Appends a chunk of output if it starts where the stored output of its lease ends. Returns
    /// the number of bytes stored for the lease afterwards. It differs from the end of the chunk
    /// if the chunk did not start there, or would exceed
    /// [`sentinel_domain::limits::OUTPUT_ATTEMPT_BYTES`].
    ///
    /// # Errors
    /// Only those of the database.
    pub async fn append_output(&self, at: OutputPosition, data: Bytes) -> Result<u64, LedgerError> {
        with_conn!(self.logs.write, |conn| append_output(conn, &at, &data))
    }

    /// Returns the next output of an attempt's newest lease, about 1 MiB.
    ///
    /// # Errors
    /// Only those of the database.
    pub async fn read_output(&self, query: OutputQuery) -> Result<Vec<OutputChunk>, LedgerError> {
        with_conn!(self.logs.read, |conn| read_output(conn, query))
    }

    /// Returns the newest attempt of a run that has output.
    ///
    /// # Errors
    /// Only those of the database.
    pub async fn last_attempt_with_output(
        &self,
        job: JobId,
        run: u32,
    ) -> Result<Option<u32>, LedgerError> {
        with_conn!(self.logs.read, |conn| async {
            let attempt = conn.last_attempt_with_output(job, i64::from(run)).await?;
            Ok(attempt.map(|attempt| attempt as u32))
        })
    }
}

async fn append_output<C: Connection>(
    conn: &mut C,
    at: &OutputPosition,
    data: &[u8],
) -> Result<u64, DatabaseError> {
    let lease = lease_key(at);
    let (chunk, end) = conn.output_end(lease).await?.unwrap_or((0, 0));
    let new_end = end + data.len() as i64;
    let fits = new_end <= OUTPUT_ATTEMPT_BYTES.cast_signed() && chunk < OUTPUT_CHUNKS.cast_signed();
    if at.offset != end.cast_unsigned() || data.is_empty() || !fits {
        return Ok(end.cast_unsigned());
    }
    conn.insert_output(lease, (chunk + 1, end), data).await?;
    Ok(new_end.cast_unsigned())
}

async fn read_output<C: Connection>(
    conn: &mut C,
    query: OutputQuery,
) -> Result<Vec<OutputChunk>, DatabaseError> {
    let OutputQuery { job, run, attempt, after, offset } = query;
    let attempt = AttemptKey { job, run: i64::from(run), attempt: i64::from(attempt) };
    let Some(epoch) = conn.newest_epoch_with_output(attempt).await? else { return Ok(Vec::new()) };
    // If the cursor is of an older lease, reading restarts with the output of the newest one.
    let (chunk, beyond) = match after {
        Some((of_epoch, chunk)) if of_epoch == epoch.cast_unsigned() => (chunk, 0),
        Some(_) => (0, 0),
        None => (0, offset),
    };
    let lease = LeaseKey { attempt, epoch };
    let found = conn.outputs(lease, chunk.cast_signed(), clamped(beyond)).await?;
    let skip_to_offset = |(chunk, start, mut data): (i64, i64, Vec<u8>)| {
        let start = start.cast_unsigned();
        let skipped = beyond.saturating_sub(start);
        data.drain(..(skipped as usize).min(data.len()));
        OutputChunk {
            cursor: (epoch.cast_unsigned(), chunk.cast_unsigned()),
            offset: start + skipped,
            data,
        }
    };
    Ok(found.into_iter().map(skip_to_offset).collect())
}

/// Deletes at most `max` chunks of a job's output. Returns the number deleted.
pub(super) async fn delete_output<C: Connection>(
    conn: &mut C,
    job: JobId,
    max: i64,
) -> Result<i64, DatabaseError> {
    let mut deleted = 0;
    while deleted < max
        && let Some((lease, first)) = conn.first_output(job).await?
    {
        deleted += conn.delete_outputs(lease, first + max - deleted).await? as i64;
    }
    Ok(deleted)
}

fn lease_key(at: &OutputPosition) -> LeaseKey {
    let (run, attempt) = (i64::from(at.run), i64::from(at.attempt));
    let attempt = AttemptKey { job: at.job, run, attempt };
    LeaseKey { attempt, epoch: clamped(at.epoch) }
}

fn clamped(number: u64) -> i64 {
    number.min(i64::MAX as u64).cast_signed()
}
