//! What attempts handed out: appended in order, read from a place on, and forgotten.

use sentinel_domain::JobId;
use sentinel_domain::limits::{OUTPUT_ATTEMPT_BYTES, OUTPUT_CHUNKS};

use crate::rows::{Attempt, Leased, Rows};
use crate::sql::Fault;
use crate::{OutputPiece, OutputPosition, OutputQuery};

/// Writes a piece where it goes on from what is there, and answers the bytes that are there
/// afterwards. A piece that is there stays as it is.
pub(crate) async fn append_output<R: Rows>(
    rows: &mut R,
    at: &OutputPosition,
    data: &[u8],
) -> Result<u64, Fault> {
    let of = leased(at);
    let (piece, end) = rows.output_end(of).await?.unwrap_or((0, 0));
    let after = end + data.len() as i64;
    let fits = after <= OUTPUT_ATTEMPT_BYTES.cast_signed() && piece < OUTPUT_CHUNKS.cast_signed();
    if at.offset != end.cast_unsigned() || data.is_empty() || !fits {
        return Ok(end.cast_unsigned());
    }
    rows.put_output(of, (piece + 1, end), data).await?;
    Ok(after.cast_unsigned())
}

/// The next pieces of the newest lease of an attempt.
pub(crate) async fn read_output<R: Rows>(
    rows: &mut R,
    query: OutputQuery,
) -> Result<Vec<OutputPiece>, Fault> {
    let OutputQuery { job, run, attempt, after, offset } = query;
    let of = Attempt { job, run: i64::from(run), attempt: i64::from(attempt) };
    let Some(epoch) = rows.newest_output(of).await? else { return Ok(Vec::new()) };
    // Another lease of the attempt began: so does its output.
    let (piece, beyond) = match after {
        Some((of_epoch, piece)) if of_epoch == epoch.cast_unsigned() => (piece, 0),
        Some(_) => (0, 0),
        None => (0, offset),
    };
    let found = rows.outputs(Leased { of, epoch }, piece.cast_signed(), clamped(beyond)).await?;
    let cut = |(piece, start, mut data): (i64, i64, Vec<u8>)| {
        let start = start.cast_unsigned();
        let skipped = beyond.saturating_sub(start);
        data.drain(..(skipped as usize).min(data.len()));
        OutputPiece {
            place: (epoch.cast_unsigned(), piece.cast_unsigned()),
            offset: start + skipped,
            data,
        }
    };
    Ok(found.into_iter().map(cut).collect())
}

/// The newest attempt of a run that left output.
pub(crate) async fn last_with_output<R: Rows>(
    rows: &mut R,
    job: JobId,
    run: u32,
) -> Result<Option<u32>, Fault> {
    let attempt = rows.last_with_output(job, i64::from(run)).await?;
    Ok(attempt.map(|attempt| attempt as u32))
}

/// Deletes output of a job, `left` pieces at the most. Answers how many it deleted.
pub(super) async fn remove_output<R: Rows>(
    rows: &mut R,
    job: JobId,
    left: i64,
) -> Result<i64, Fault> {
    let mut dropped = 0;
    while dropped < left
        && let Some((of, first)) = rows.first_output(job).await?
    {
        dropped += rows.drop_outputs(of, first + left - dropped).await? as i64;
    }
    Ok(dropped)
}

fn leased(at: &OutputPosition) -> Leased {
    let of = Attempt { job: at.job, run: i64::from(at.run), attempt: i64::from(at.attempt) };
    Leased { of, epoch: clamped(at.epoch) }
}

fn clamped(number: u64) -> i64 {
    number.min(i64::MAX as u64).cast_signed()
}
